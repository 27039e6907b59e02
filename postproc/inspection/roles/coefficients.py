"""Coefficients: how much of each prototype is in the mask of a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from postproc.inspection.evidence import Evidence, Part, Source, speaks_against, speaks_for
from postproc.inspection.nodes import SQUASHING
from postproc.inspection.observed import Columns, Observed


@dataclass(frozen=True)
class Coefficients:
    """As many numbers a row as there are prototypes."""

    columns: Columns

    def examined(self, observed: Observed) -> Iterator[Evidence]:
        """Yield whether operators or a run tell them from probabilities, which are not negative."""
        sources = observed.sources(self.columns) - {"Constant"}
        if sources and sources <= SQUASHING:
            text = f"{self.columns.tensor}: {' or '.join(sorted(sources))} gives no coefficients"
            yield speaks_against(Source.OPERATORS, text, Part.COLUMNS)
        rows = observed.rows(self.columns)
        if rows is not None and rows.size and (rows < 0).any() and (rows > 0).any():
            text = (
                f"{self.columns.tensor}: {rows.min():.3g} to {rows.max():.3g} in a run, as coefficients are"
            )
            yield speaks_for(Source.RUN, text, Part.COLUMNS)
