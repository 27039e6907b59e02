"""Images: a number a row that names the image of the batch that the row belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from postproc.inspection.evidence import Evidence, Part, Source, speaks_against, speaks_for
from postproc.inspection.observed import Columns, Observed


@dataclass(frozen=True)
class Images:
    """The image of each row.

    Parameters
    ----------
    columns : Columns
        Where they are: one column.
    scores : Columns or None
        The scores of the rows: those of score 0 fill a list up, and their image says nothing.
    """

    columns: Columns
    scores: Columns | None = None

    def examined(self, observed: Observed) -> Iterator[Evidence]:
        """Yield what the operators and the run of one image say for and against it."""
        name = self.columns.tensor
        if observed.has_integers(self.columns):
            yield speaks_for(Source.OPERATORS, f"{name}: images are integers in the graph", Part.COLUMNS)
        elif observed.has_fractions(self.columns):
            text = f"{name}: what layers and activations give is no number of an image"
            yield speaks_against(Source.OPERATORS, text, Part.COLUMNS)
        rows = observed.rows(self.columns)
        scores = None if self.scores is None else observed.rows(self.scores)
        if rows is not None and scores is not None and scores.size == rows.size:
            rows = rows.reshape(-1)[scores.reshape(-1) != 0]
        if rows is None or not rows.size:
            return
        other = rows[(rows != 0) & (rows != -1)]  # -1 ends a list
        if other.size:
            text = f"{name}: {other[0]:.3g} in a run of one image is no number of an image"
            yield speaks_against(Source.RUN, text, Part.COLUMNS)
        elif len(rows) > 1:
            yield speaks_for(Source.RUN, f"{name}: all rows of a run are of image 0", Part.COLUMNS)
