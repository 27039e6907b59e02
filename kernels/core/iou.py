"""Jaccard index (intersection over union) of boxes, every step in float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel


@inner
def box_area(x1: np.float32, y1: np.float32, x2: np.float32, y2: np.float32) -> np.float32:
    """Area of a box; 0 if it is flipped (x2 < x1 or y2 < y1) or has a coordinate that is NaN."""
    width = x2 - x1
    height = y2 - y1
    return width * height if width > 0.0 and height > 0.0 else np.float32(0.0)


@inner
def intersection(
    ax1: np.float32,
    ay1: np.float32,
    ax2: np.float32,
    ay2: np.float32,
    bx1: np.float32,
    by1: np.float32,
    bx2: np.float32,
    by2: np.float32,
) -> np.float32:
    """Area that two boxes share, the first of which has an area of its own."""
    # Written as selections, which become vector minima and maxima; builtin min() and max() do not.
    left = ax1 if ax1 > bx1 else bx1
    top = ay1 if ay1 > by1 else by1
    right = ax2 if ax2 < bx2 else bx2
    bottom = ay2 if ay2 < by2 else by2
    width = right - left
    height = bottom - top
    width = width if width > 0.0 else np.float32(0.0)
    height = height if height > 0.0 else np.float32(0.0)
    return width * height


@kernel
def areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Areas of boxes (N, 4), as (N,)."""
    result = np.empty(boxes.shape[0], np.float32)
    for row in range(boxes.shape[0]):
        result[row] = box_area(boxes[row, 0], boxes[row, 1], boxes[row, 2], boxes[row, 3])
    return result


@kernel
def iou_matrix(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Jaccard index of each box of `a` (N, 4) with each of `b` (M, 4), xyxy, as (N, M)."""
    result = np.empty((a.shape[0], b.shape[0]), np.float32)
    other_areas = areas(b)
    for i in range(a.shape[0]):
        x1, y1, x2, y2 = a[i, 0], a[i, 1], a[i, 2], a[i, 3]
        area = box_area(x1, y1, x2, y2)
        if area == 0.0:
            result[i] = 0.0
            continue
        for j in range(b.shape[0]):
            shared = intersection(x1, y1, x2, y2, b[j, 0], b[j, 1], b[j, 2], b[j, 3])
            union = area + other_areas[j] - shared
            result[i, j] = shared / union if union > 0.0 else np.float32(0.0)
    return result
