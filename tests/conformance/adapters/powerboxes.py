"""powerboxes: distances are 1 - IoU; oriented boxes have degrees."""

from __future__ import annotations

from typing import Any

import numpy as np
import powerboxes

from tests.conformance.adapters import Answer, NotOfferedError

DISTRIBUTIONS = ("powerboxes",)
ALL = -float("inf")


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Answer:
    kept = powerboxes.nms(boxes, scores.astype(np.float64), iou_threshold, ALL)
    return {"kept": kept.astype(np.int64)}


def box_iou(boxes1: Any, boxes2: Any) -> Answer:
    return {"iou": 1 - powerboxes.iou_distance(boxes1, boxes2)}


def _turned(boxes: Any) -> Any:
    return boxes.astype(np.float64) * [1, 1, 1, 1, 180 / np.pi]


def oriented_iou(boxes1: Any, boxes2: Any, index: str) -> Answer:
    if index != "exact":
        raise NotOfferedError(index)
    return {"iou": 1 - powerboxes.rotated_iou_distance(_turned(boxes1), _turned(boxes2))}


def oriented_nms(boxes: Any, scores: Any, labels: Any, iou_threshold: float, index: str) -> Answer:
    if index != "exact" or len(set(labels.tolist())) > 1:
        raise NotOfferedError("one label, exact")
    kept = powerboxes.rotated_nms(_turned(boxes), scores.astype(np.float64), iou_threshold, ALL)
    return {"kept": kept.astype(np.int64)}


def box_area(boxes: Any) -> Answer:
    return {"areas": powerboxes.boxes_areas(boxes)}


def box_convert(boxes: Any, in_format: str, out_format: str) -> Answer:
    if "yxyx" in (in_format, out_format):
        raise NotOfferedError("yxyx")
    return {"boxes": powerboxes.box_convert(boxes, in_format, out_format)}
