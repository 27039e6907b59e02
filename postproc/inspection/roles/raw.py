"""Raw numbers: what the last layers give, which is still to be decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from postproc.inspection.evidence import Evidence, Part, Source, speaks_against, speaks_for
from postproc.inspection.nodes import is_raw
from postproc.inspection.observed import Columns, Observed


@dataclass(frozen=True)
class Raw:
    """Numbers of the last layers as they are.

    Parameters
    ----------
    columns : Columns
        Where they are.
    is_squashed : bool
        Whether a sigmoid or softmax may have gone over them.
    tells : tuple of Part
        What it speaks for that they are raw: nothing where other readings want raw numbers, too.
    """

    columns: Columns
    is_squashed: bool = False
    tells: tuple[Part, ...] = (Part.KIND, Part.COLUMNS)

    def examined(self, observed: Observed) -> Iterator[Evidence]:
        """Yield whether operators follow the last layers, and whether a run gives negative numbers."""
        each = observed.histories(self.columns)
        name = self.columns.tensor
        if each is not None and all(column for column in each):
            if all(is_raw(column, squashed=self.is_squashed) for column in each):
                text = f"{name}: no arithmetic follows the last layers, so it is not decoded"
                yield speaks_for(Source.OPERATORS, text, *self.tells)
            else:
                between = ", ".join(sorted(frozenset().union(*each)))
                text = f"{name}: its numbers are not those of the last layers ({between})"
                yield speaks_against(Source.OPERATORS, text, Part.KIND)
        rows = observed.rows(self.columns)
        if rows is None or not rows.size or self.is_squashed or rows.max() == rows.min():
            return
        if rows.min() >= 0 and rows.max() <= 1:
            text = f"{name}: numbers of a run are within [0, 1], so a sigmoid went over them already"
            yield speaks_against(Source.RUN, text, Part.KIND)
        elif rows.min() < 0:
            text = f"{name}: there are negative numbers in a run, as before a sigmoid or an exponential"
            yield speaks_for(Source.RUN, text, *self.tells)
