"""Keypoints of the boxes that were kept."""

from __future__ import annotations

import math
from typing import NewType

import numpy as np
from numpy.typing import NDArray

from .._jit import kernel
from ..core.placement import placed
from .arguments import FirstImage, KeptOffsets, KeptRegions, Placement, Planar, Table

FirstPoint = NewType("FirstPoint", int)
Points = NewType("Points", int)
Dimensions = NewType("Dimensions", int)


@kernel
def gather_keypoints(
    table: Table,
    planar: Planar,
    first: FirstPoint,
    points: Points,
    dimensions: Dimensions,
    regions: KeptRegions,
    offsets: KeptOffsets,
    placement: Placement,
    start: FirstImage,
) -> NDArray[np.float32]:
    """Keypoints (K, points, dimensions) of K detections, relative to their images, not clipped.

    Parameters
    ----------
    table : (B, N, C) float32, or (B, C, N) if `planar`
        Its columns from `first` on hold x and y of each point, and a score where `dimensions` is 3.
    regions : (K,) int64
        The row of the table that each detection came from.
    offsets : (images + 1,) int64
        Where the detections of each image end; the first is image `start` of the table.
    placement : (B, 2, 4) float64
        As `select` takes it.

    A point with a number that is not finite becomes zeros, COCO's mark of a point that is not there.
    """
    numbers = table.reshape(-1)
    size = table.shape[1] * table.shape[2]
    row_step, column_step = (1, table.shape[2]) if planar else (table.shape[2], 1)
    found = np.empty((regions.shape[0], points, dimensions), np.float32)
    for image in range(offsets.shape[0] - 1):
        for row in range(offsets[image], offsets[image + 1]):
            at = (start + image) * size + regions[row] * row_step + first * column_step
            for point in range(points):
                x = np.float32(placed(np.float64(numbers[at]), placement[start + image, 0]))
                y = np.float32(placed(np.float64(numbers[at + column_step]), placement[start + image, 1]))
                score = numbers[at + 2 * column_step] if dimensions == 3 else np.float32(0.0)
                at += dimensions * column_step
                if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(score)):
                    x = y = score = np.float32(0.0)
                found[row, point, 0] = x
                found[row, point, 1] = y
                if dimensions == 3:
                    found[row, point, 2] = score
    return found
