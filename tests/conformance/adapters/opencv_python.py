"""OpenCV's cv2.dnn: boxes are top left corner, width and height; oriented ones have degrees, clockwise."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from tests.conformance.adapters import Answer, NotOfferedError, above, sizes

DISTRIBUTIONS = ("opencv-python",)


def _positive(scores: Any) -> Any:
    return above(scores, 0).tolist()


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Answer:
    return {
        "kept": np.array(cv2.dnn.NMSBoxes(sizes(boxes).tolist(), _positive(scores), 0.0, iou_threshold), int)
    }


def batched_nms(boxes: Any, scores: Any, labels: Any, iou_threshold: float) -> Answer:
    lists = sizes(boxes).tolist(), _positive(scores), labels.tolist()
    return {"kept": np.array(cv2.dnn.NMSBoxesBatched(*lists, 0.0, iou_threshold), int)}


def soft_nms(boxes: Any, scores: Any, labels: Any, sigma: float, score_threshold: float) -> Answer:
    if len(set(labels.tolist())) > 1 or (boxes != boxes.round()).any():
        raise NotOfferedError("one label, and boxes of whole pixels")
    whole = sizes(boxes).astype(int).tolist()
    method = cv2.dnn.SOFT_NMSMETHOD_SOFTNMS_GAUSSIAN
    decayed, kept = cv2.dnn.softNMSBoxes(
        whole, _positive(scores), score_threshold, 0.0, sigma=sigma, method=method
    )
    return {"kept": np.array(kept, int), "scores": decayed}


def _rectangles(boxes: Any) -> Any:
    return [((cx, cy), (w, h), np.degrees(turn)) for cx, cy, w, h, turn in boxes.tolist()]


def oriented_nms(boxes: Any, scores: Any, labels: Any, iou_threshold: float, index: str) -> Answer:
    if index != "exact" or len(set(labels.tolist())) > 1:
        raise NotOfferedError("one label, exact")
    kept = cv2.dnn.NMSBoxesRotated(_rectangles(boxes), _positive(scores), 0.0, iou_threshold)
    return {"kept": np.array(kept, int)}


def oriented_iou(boxes1: Any, boxes2: Any, index: str) -> Answer:
    if index != "exact":
        raise NotOfferedError(index)
    iou = np.zeros((len(boxes1), len(boxes2)))
    for i, first in enumerate(_rectangles(boxes1)):
        for j, second in enumerate(_rectangles(boxes2)):
            kind, corners = cv2.rotatedRectangleIntersection(first, second)
            shared = cv2.contourArea(corners) if kind != cv2.INTERSECT_NONE else 0.0
            both = np.prod(first[1]) + np.prod(second[1]) - shared
            iou[i, j] = shared / both if both else 0.0
    return {"iou": iou}
