"""Finished detections: chosen by the network, so that one object is one row; or not chosen yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from postproc.inspection.evidence import Evidence, Part, Source, speaks_against, speaks_for
from postproc.inspection.observed import Columns, Numbers, Observed

_MOST_ROWS = 1000  # of a network that has chosen: beyond it rows are candidates
_SAME = 0.9  # overlap of boxes of one object
_ALIKE = 0.6  # overlap that NMS would not leave
_FEW = 20  # rows
_LOOKED_AT = 200  # rows, the best ones
_MOST_REPEATED = 0.1


@dataclass(frozen=True)
class Finished:
    """Rows that the network has chosen, or that NMS still has to choose from.

    Parameters
    ----------
    boxes, scores, classes : Columns
        Where they are; boxes as corners.
    rows : int or None
        How many there are, if the file tells.
    is_suppressed : bool
        Whether the network has chosen.
    """

    boxes: Columns
    scores: Columns
    classes: Columns
    rows: int | None = None
    is_suppressed: bool = True

    def examined(self, observed: Observed) -> Iterator[Evidence]:
        """Yield what the operators, the number of rows and the run say for and against it."""
        name = self.boxes.tensor
        selector = observed.graph.selector(self.scores.tensor)
        for_it, against_it = (
            (speaks_for, speaks_against) if self.is_suppressed else (speaks_against, speaks_for)
        )
        if selector == "TopK":
            text = f"the graph puts out the best rows of {name}: a TopK, which may leave boxes that overlap"
            yield speaks_for(Source.OPERATORS, text, Part.KIND)
        elif selector:
            text = f"the graph chooses the boxes of {name} itself: {selector}"
            yield for_it(Source.OPERATORS, text, Part.KIND)
        boxes, scores, classes = (
            observed.rows(columns) for columns in (self.boxes, self.scores, self.classes)
        )
        count = self.rows if boxes is None else len(boxes)
        if count is not None and count > _MOST_ROWS and not selector:
            text = f"{name}: {count} rows, and no operator of the graph chooses boxes"
            yield against_it(Source.SHAPES, text, Part.KIND)
        if boxes is None or scores is None or classes is None or not scores.any():
            return
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            return
        if not len(boxes) == scores.size == classes.size:
            return
        scores, classes = scores.reshape(-1), classes.reshape(-1)
        if scores.min() >= 0 and scores.max() <= 1:  # those of untrained networks may all be 1
            text = f"{name}: the scores of the rows of a run lie in [0, 1]"
            yield speaks_for(Source.RUN, text, Part.ACTIVATION)
        if not selector and len(boxes) > 1:
            share = _repeated(boxes, scores, classes, _SAME)
            if share > _MOST_REPEATED:
                text = f"{name}: {share:.0%} of the best rows of a run repeat the box of a better one"
                yield against_it(Source.RUN, text, Part.KIND)
        if (
            selector == "TopK"
        ):  # where boxes overlap the network may only be untrained, which chooses by itself
            if self.is_suppressed and scores.size >= _FEW and not _repeated(boxes, scores, classes, _ALIKE):
                text = f"{name}: no row of a run overlaps a better one of its class"
                yield speaks_for(Source.RUN, text, Part.KIND)
        elif self.is_suppressed and scores.size > 2 and (np.diff(scores) <= 1e-6).all() and np.ptp(scores):
            yield speaks_for(
                Source.RUN, f"{name}: the rows of a run come in order of their scores", Part.KIND
            )


def _repeated(boxes: Numbers, scores: Numbers, classes: Numbers, overlap: float) -> float:
    """Give the share of the best rows that overlap a better one of the same class."""
    best = np.argsort(-scores, kind="stable")[:_LOOKED_AT]
    boxes, classes = boxes[best], classes[best]
    if not (boxes[:, 2:] >= boxes[:, :2]).all():
        return 0.0
    least = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    most = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = (most - least).clip(0).prod(axis=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    union = areas[:, None] + areas[None] - shared
    same = (shared > overlap * union) & (union > 0) & (classes[:, None] == classes[None])
    return float(np.tril(same, -1).any(axis=1).mean())
