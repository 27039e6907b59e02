"""Greedy non-maximum suppression, one pair of boxes at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tests.reference.boxes import as_boxes, iou


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
