"""Angles: by how much boxes are turned, in radians."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from postproc.inspection.evidence import Evidence, Part, Source, speaks_against, speaks_for
from postproc.inspection.observed import Columns, Observed

_FEW = 3  # rows, whose angles may be whole by chance


@dataclass(frozen=True)
class Angles:
    """A number a row by which its box is turned."""

    columns: Columns

    def examined(self, observed: Observed) -> Iterator[Evidence]:
        """Yield what the operators and the run say for and against it."""
        name = self.columns.tensor
        if observed.has_integers(self.columns):
            text = f"{name}: integers, such as classes, are no angles"
            yield speaks_against(Source.OPERATORS, text, Part.COLUMNS)
        rows = observed.rows(self.columns)
        rows = None if rows is None else rows[np.isfinite(rows) & (rows != 0)]  # zeros fill a list up
        if rows is None or not rows.size:
            return
        whole = bool((rows == rows.round()).all())
        if whole and rows.size >= _FEW:
            text = f"{name}: {rows[0]:.3g} and other whole numbers in a run are no angles"
            yield speaks_against(Source.RUN, text, Part.COLUMNS)
        elif not whole:
            text = f"{name}: from {rows.min():.3g} to {rows.max():.3g} in a run, and no whole numbers"
            yield speaks_for(Source.RUN, f"{text}, as angles are", Part.COLUMNS)
