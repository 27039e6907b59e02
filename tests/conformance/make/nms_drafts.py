"""What cases of plain NMS have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.conformance.make.oracles import Box, Index, greedy, rational_iou, stepwise_iou
from tests.conformance.make.writing import Draft, as_boxes

SQUARE = [0, 0, 10, 10]
HALF = [SQUARE, [0, 0, 10, 5]]
FAR = [100, 100, 110, 110]
APART = [SQUARE, [20, 0, 30, 10], [40, 20, 50, 30]]


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
    return Draft(
        "nms", f"nms-{id}", rule, title, "nms", inputs, {"kept": kept}, oracle, why, parameters, **more
    )


def at_threshold(id: str, title: str, boxes: Sequence[Box], threshold: float, why: str, **more: Any) -> Draft:
    """A case of two boxes, for which the last bit of their IoU decides."""
    rule = more.pop("rule", 13)
    return nms(id, rule, title, boxes, [0.9, 0.8], threshold, why, index=stepwise_iou, **more)
