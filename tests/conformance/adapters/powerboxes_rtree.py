"""powerboxes' NMS with an R-tree, which it has for many boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import powerboxes

from tests.conformance.adapters import Answer, NotOfferedError
from tests.conformance.adapters.powerboxes import ALL, DISTRIBUTIONS, _turned

__all__ = ["DISTRIBUTIONS", "nms", "oriented_nms"]


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Answer:
    kept = powerboxes.rtree_nms(boxes, scores.astype(np.float64), iou_threshold, ALL)
    return {"kept": kept.astype(np.int64)}


def oriented_nms(boxes: Any, scores: Any, labels: Any, iou_threshold: float, index: str) -> Answer:
    if index != "exact" or len(set(labels.tolist())) > 1:
        raise NotOfferedError("one label, exact")
    kept = powerboxes.rtree_rotated_nms(_turned(boxes), scores.astype(np.float64), iou_threshold, ALL)
    return {"kept": kept.astype(np.int64)}
