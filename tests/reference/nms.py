"""Non-maximum suppression, one pair of boxes at a time.

`nms` and `batched_nms` are the plain functions; `hard`, `soft` and `weighted` the ways of
``detection.nms_method``, `fast` one of ``detection.suppression``: from the hypotheses of an image to those
that are kept, each with whether it is predicted, the predicted ones first, each group by `rank`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tests.reference.boxes import Box, as_boxes, iou, rounded
from tests.reference.hypothesis import Hypothesis, rank
from tests.reference.rectangles import probiou, rectangle_iou


def nms(boxes: ArrayLike, scores: ArrayLike, iou_threshold: float) -> NDArray[np.int64]:
    """Return the rows kept, by descending score, ties by row; NaN scores are never kept."""
    return batched_nms(boxes, scores, np.zeros(len(as_boxes(boxes)), np.int64), iou_threshold)


def batched_nms(
    boxes: ArrayLike, scores: ArrayLike, idxs: ArrayLike, iou_threshold: float
) -> NDArray[np.int64]:
    """As `nms`, with rows of different ``idxs`` left alone."""
    corners, labels = as_boxes(boxes), np.asarray(idxs)
    values = np.asarray(scores, np.float32)
    limit = np.float32(iou_threshold)
    order = sorted((i for i in range(len(values)) if not np.isnan(values[i])), key=lambda i: (-values[i], i))
    kept: list[int] = []
    for i in order:
        if not any(labels[j] == labels[i] and iou(corners[j], corners[i]) > limit for j in kept):
            kept.append(i)
    return np.array(kept, np.int64)


@dataclass(frozen=True)
class Rules:
    """What the three ways of NMS go by."""

    thresholds: Sequence[np.float32]  # one per label
    floor: np.float32 | None  # the discard threshold; None: discarded ones are not asked for
    limits: Sequence[float]  # NMS thresholds, one per label; 1 turns a label's off
    agnostic: bool
    sigma: float = 0.5
    probiou: bool = False

    def above(self, one: Hypothesis) -> bool:
        """Say whether a hypothesis is above its label's threshold."""
        return bool(one.score > self.thresholds[one.label])

    def below(self, one: Hypothesis) -> bool:
        """Say whether a hypothesis is one of the discarded ones."""
        return self.floor is not None and bool(self.floor < one.score <= self.thresholds[one.label])

    def rivals(self, one: Hypothesis, other: Hypothesis) -> bool:
        """Say whether two hypotheses may suppress each other."""
        return self.agnostic or one.label == other.label

    def overlap(self, one: Hypothesis, other: Hypothesis) -> bool:
        """Say whether the lower-scored of two hypotheses goes."""
        limit = np.float32(self.limits[other.label])  # of both, or equal for all labels
        if limit >= 1 or not self.rivals(one, other):
            return False
        if one.rectangle is not None and other.rectangle is not None:
            index = probiou if self.probiou else rectangle_iou
            return index(one.rectangle, other.rectangle) > float(limit)
        return bool(iou(one.corners, other.corners) > limit)


Kept = list[tuple[Hypothesis, bool]]


def hard(found: list[Hypothesis], rules: Rules) -> Kept:
    """Drop each hypothesis that overlaps a better one that is kept."""
    kept: Kept = []
    _add_greedily(kept, filter(rules.above, found), rules, predicted=True)
    _add_greedily(kept, filter(rules.below, found), rules, predicted=False)
    return kept


def fast(found: list[Hypothesis], rules: Rules) -> Kept:
    """Drop each hypothesis that overlaps a better one, whether that is kept or not (Bolya et al. 2019)."""
    kept: Kept = []
    better: list[Hypothesis] = []
    for predicted, group in ((True, filter(rules.above, found)), (False, filter(rules.below, found))):
        for one in sorted(group, key=rank):
            if not any(rules.overlap(other, one) for other in better):
                kept.append((one, predicted))
            better.append(one)
    return kept


def soft(found: list[Hypothesis], rules: Rules) -> Kept:
    """Let scores decay (Bodla et al. 2017, gaussian); ``nms_threshold`` is not used.

    Predicted: while any hypothesis is above its threshold with its current score, the best of them by
    `rank` is kept with that score, and the current score of every other one of its label (agnostic:
    of every other one) becomes float32(score * exp(-iou**2 / sigma)): the factor in float64 from
    the float32 Jaccard index, the product rounded to float32 at each step.

    Discarded: then, of all that were not kept, whether they were above their threshold at first or never,
    each decayed by every prediction in the order of keeping, the same goes on while any is above the
    discard threshold. So it never changes a prediction.
    """
    current = list(found)
    waiting = set(range(len(current)))
    kept: Kept = []
    for predicted, may_be_kept in ((True, rules.above), (False, rules.below)):
        while able := [index for index in waiting if may_be_kept(current[index])]:
            best = min(able, key=lambda index: rank(current[index]))
            kept.append((current[best], predicted))
            waiting.remove(best)
            for index in waiting:
                if rules.rivals(current[index], current[best]):
                    current[index] = _decayed(current[index], current[best], rules.sigma)
    return kept


def _decayed(one: Hypothesis, kept: Hypothesis, sigma: float) -> Hypothesis:
    overlap = float(iou(kept.corners, one.corners))
    if not overlap:
        return one
    return replace(one, score=np.float32(float(one.score) * math.exp(-(overlap * overlap) / sigma)))


def weighted(found: list[Hypothesis], rules: Rules) -> Kept:
    """Replace overlapping boxes by their mean (MediaPipe's weighted NMS).

    Of the hypotheses above their thresholds that are not used yet, the best by `rank` is kept with its
    label, score and region; its box becomes the mean, weighted by score, of its own and those of its
    label (agnostic: of any) that overlap the box it had: float64, in the order of `rank`, rounded once.
    All of them are used then. The discarded ones follow as of `hard`, against the boxes as merged.
    """
    waiting = sorted(filter(rules.above, found), key=rank)
    kept: Kept = []
    while waiting:
        best = waiting[0]
        used = [one is best or rules.overlap(best, one) for one in waiting]
        group = [one for one, is_used in zip(waiting, used, strict=True) if is_used]
        waiting = [one for one, is_used in zip(waiting, used, strict=True) if not is_used]
        kept.append((replace(best, box=_mean(group)), True))
    _add_greedily(kept, filter(rules.below, found), rules, predicted=False)
    return kept


def _mean(group: list[Hypothesis]) -> Box:
    total = sum(float(one.score) for one in group)
    sums = [sum(float(one.score) * float(one.corners[k]) for one in group) for k in range(4)]
    return rounded([value / total for value in sums])


def _add_greedily(kept: Kept, found: Iterable[Hypothesis], rules: Rules, *, predicted: bool) -> None:
    for one in sorted(found, key=rank):
        if not any(rules.overlap(other, one) for other, _ in kept):
            kept.append((one, predicted))
