"""Cases of plain NMS: thresholds, ties, order, boxes without area."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tests.conformance.make.oracles import Box, Index, greedy, rational_iou, stepwise_iou
from tests.conformance.make.writing import Draft, as_boxes

THIRD = [[0, 0, 2, 1], [1, 0, 3, 1]]  # share 1 of 3
HALF = [[0, 0, 10, 10], [0, 0, 10, 5]]
FAR = [100, 100, 110, 110]


def nms(
    id: str,
    rule: int,
    title: str,
    boxes: Sequence[Box],
    scores: Sequence[float],
    threshold: float,
    why: str,
    *,
    kept: list[int] | None = None,
    index: Index = rational_iou,
    **more: Any,
) -> Draft:
    """A case of NMS; `kept` by hand, or by the oracle that `index` says."""
    oracle = "by hand"
    if kept is None:
        oracle = "float32, in the stated order" if index is stepwise_iou else "rational"
        kept = greedy(boxes, scores, threshold, index=index)
    inputs = {"boxes": as_boxes(boxes), "scores": np.array(scores, np.float32)}
    parameters = {"iou_threshold": threshold}
    return Draft("nms", id, rule, title, "nms", inputs, {"kept": kept}, oracle, why, parameters, **more)


def drafts() -> Iterator[Draft]:
    yield nms(
        "nms-iou-at-threshold-stays",
        4,
        "Two boxes whose IoU is exactly the threshold are both kept.",
        HALF,
        [0.9, 0.8],
        0.5,
        "50 / 100 = 0.5 is not greater than 0.5.",
        kept=[0, 1],
    )
    yield nms(
        "nms-iou-above-threshold-goes",
        4,
        "The lower-scored of two boxes that overlap by more than the threshold goes.",
        [[0, 0, 10, 10], [0, 0, 10, 6]],
        [0.9, 0.8],
        0.5,
        "60 / 100 is greater than 0.5.",
    )
    yield nms(
        "nms-third-at-threshold",
        13,
        "An IoU of a third, at a threshold that is a third rounded to float32, is not above it.",
        THIRD,
        [0.9, 0.8],
        1 / 3,
        "1 / 3 in float32 is the threshold in float32. Others compare it with the float64, which is less.",
        index=stepwise_iou,
        definition=True,
    )
    yield nms(
        "nms-suppressed-box-suppresses-none",
        5,
        "A box that was removed removes no other.",
        [[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]],
        [0.9, 0.8, 0.7],
        0.3,
        "The second goes by the first (60 / 140); the third meets the second alike, the first by 20 / 180.",
    )
    yield nms(
        "nms-ties-equal-scores",
        7,
        "Of two equal boxes with equal scores the first is kept.",
        [[0, 0, 10, 10], [0, 0, 10, 10], FAR],
        [0.5, 0.5, 0.75],
        0.5,
        "The lower row counts as the higher score. Others keep the later one, or leave it open.",
        definition=True,
    )
    yield nms(
        "nms-score-nan",
        8,
        "A box whose score is NaN is left out and removes nothing.",
        [[0, 0, 10, 10], [0, 0, 10, 10], FAR],
        [float("nan"), 0.5, 0.4],
        0.5,
        "NaN is no score. A sort that puts it first would let the first box remove the second.",
        kept=[1, 2],
    )
    yield nms(
        "nms-empty",
        21,
        "No boxes give no rows.",
        [],
        [],
        0.5,
        "Nothing in, nothing out.",
        kept=[],
    )
