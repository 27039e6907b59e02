"""supervision's functions of boxes and masks; NMS gives a mask of what is kept, without an order."""

from __future__ import annotations

from typing import Any

import numpy as np
import supervision as sv
from supervision.detection.utils import iou_and_nms

from tests.conformance.adapters import Answer, NotOfferedError, best_first

DISTRIBUTIONS = ("supervision", "opencv-python")  # which turned boxes and masks go to
TO_CORNERS = {"xyxy": np.copy, "xywh": sv.xywh_to_xyxy, "cxcywh": sv.xcycwh_to_xyxy}


def _table(boxes: Any, scores: Any, labels: Any) -> Any:
    return np.column_stack([boxes, scores, labels])


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Answer:
    kept = sv.box_non_max_suppression(np.column_stack([boxes, scores]), iou_threshold)
    return best_first(np.flatnonzero(kept), scores)


def batched_nms(boxes: Any, scores: Any, labels: Any, iou_threshold: float) -> Answer:
    kept = sv.box_non_max_suppression(_table(boxes, scores, labels), iou_threshold)
    return best_first(np.flatnonzero(kept), scores)


def soft_nms(boxes: Any, scores: Any, labels: Any, sigma: float, score_threshold: float) -> Answer:
    decayed = iou_and_nms.box_soft_non_max_suppression(_table(boxes, scores, labels), sigma)
    kept = best_first(np.flatnonzero(decayed > score_threshold), decayed)["kept"]
    return {"kept": kept, "scores": decayed[kept]}


def _corners(boxes: Any) -> Any:
    """Corners (N, 4, 2) in float32, as supervision reads them from ultralytics."""
    cx, cy, w, h, turn = boxes.astype(np.float64).T[..., np.newaxis]
    x, y = w / 2 * [-1, 1, 1, -1], h / 2 * [-1, -1, 1, 1]
    xs = cx + x * np.cos(turn) - y * np.sin(turn)
    ys = cy + x * np.sin(turn) + y * np.cos(turn)
    return np.stack([xs, ys], axis=2).astype(np.float32)


def oriented_nms(boxes: Any, scores: Any, labels: Any, iou_threshold: float, index: str) -> Answer:
    if index != "exact":
        raise NotOfferedError(index)
    table = _table(boxes[:, :4], scores, labels)
    kept = sv.oriented_box_non_max_suppression(table, _corners(boxes), iou_threshold)
    return best_first(np.flatnonzero(kept), scores)


def oriented_iou(boxes1: Any, boxes2: Any, index: str) -> Answer:
    if index != "exact":
        raise NotOfferedError(index)
    return {"iou": sv.oriented_box_iou_batch(_corners(boxes1), _corners(boxes2))}


def box_iou(boxes1: Any, boxes2: Any) -> Answer:
    return {"iou": sv.box_iou_batch(boxes1, boxes2)}


def box_convert(boxes: Any, in_format: str, out_format: str) -> Answer:
    if in_format not in TO_CORNERS or out_format not in ("xyxy", "xywh"):
        raise NotOfferedError(f"{in_format} to {out_format}")
    corners = TO_CORNERS[in_format](boxes)
    return {"boxes": corners if out_format == "xyxy" else sv.xyxy_to_xywh(corners)}


def clip(boxes: Any, size: Any) -> Answer:
    return {"boxes": sv.clip_boxes(boxes, size[::-1])}


def rle(mask: Any) -> Answer:
    mask = mask.astype(bool)
    return {"counts": sv.mask_to_rle(mask), "string": sv.mask_to_rle(mask, compressed=True)}
