"""Keypoints of the boxes that were kept."""

from __future__ import annotations

import math
from typing import NewType

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel
from ..core.boxes import to_corners
from ..core.numbers import flat, image_of, number, raw
from ..core.placement import placed
from .anchored import Anchors, Offsets, OffsetsScale, YFirst
from .arguments import BoxFormat, FirstImage, KeptOffsets, KeptRegions, Placement, Planar, Table
from .levels import (
    CHANNEL_STEP,
    STRIDE,
    TENSOR,
    AnchorsPerCell,
    CellOffset,
    InStrides,
    LevelTable,
    level_of,
    place_cell,
)

FirstPoint = NewType("FirstPoint", int)
LevelPoints = NewType("LevelPoints", NDArray[np.float32])
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
    numbers, shape = flat(table), raw(table).shape
    size = shape[1] * shape[2]
    row_step, column_step = (1, shape[2]) if planar else (shape[2], 1)
    found = np.empty((regions.shape[0], points, dimensions), np.float32)
    for image in range(offsets.shape[0] - 1):
        for row in range(offsets[image], offsets[image + 1]):
            at = (start + image) * size + regions[row] * row_step + first * column_step
            for point in range(points):
                written = found[row, point]
                is_there = write_point(
                    number(numbers, at), number(numbers, at + column_step), placement[start + image], written
                )
                if dimensions == 3:
                    written[2] = number(numbers, at + 2 * column_step)
                    if not (is_there and math.isfinite(written[2])):
                        written[:] = 0.0
                at += dimensions * column_step
    return found


@kernel
def gather_landmarks_of_priors(
    table: Offsets,
    first: FirstPoint,
    points: Points,
    priors: Anchors,
    priors_format: BoxFormat,
    scale: OffsetsScale,
    y_first: YFirst,
    regions: KeptRegions,
    offsets: KeptOffsets,
    placement: Placement,
    start: FirstImage,
) -> NDArray[np.float32]:
    """Landmarks (K, points, 2) of K detections, as `gather_keypoints` gives them, coded as a box's centre is.

    Columns from `first` on of `table` (B, N, C) are the offsets dx and dy of each point from the centre of
    the prior (see `Anchored`), or dy and dx if `y_first`.
    """
    found = np.empty((regions.shape[0], points, 2), np.float32)
    x_column, y_column = (1, 0) if y_first else (0, 1)
    for index in range(offsets.shape[0] - 1):
        image = start + index
        rows = priors[image if priors.shape[0] > 1 else 0]
        for kept in range(offsets[index], offsets[index + 1]):
            region = regions[kept]
            x1, y1, x2, y2 = to_corners(
                np.float64(rows[region, 0]),
                np.float64(rows[region, 1]),
                np.float64(rows[region, 2]),
                np.float64(rows[region, 3]),
                priors_format,
            )
            for point in range(points):
                at = first + 2 * point
                dx = np.float64(number(table, (image, region, at + x_column))) * scale[0]
                dy = np.float64(number(table, (image, region, at + y_column))) * scale[1]
                x = np.float32(0.5 * (x1 + x2) + dx * (x2 - x1))
                y = np.float32(0.5 * (y1 + y2) + dy * (y2 - y1))
                write_point(x, y, placement[image], found[kept, point])
    return found


@kernel
def gather_landmarks(
    points0: LevelPoints,
    points1: LevelPoints,
    points2: LevelPoints,
    points3: LevelPoints,
    points4: LevelPoints,
    points5: LevelPoints,
    levels: LevelTable,
    anchors: AnchorsPerCell,
    cell_offset: CellOffset,
    in_strides: InStrides,
    points: Points,
    regions: KeptRegions,
    offsets: KeptOffsets,
    placement: Placement,
    start: FirstImage,
) -> NDArray[np.float32]:
    """Landmarks (K, points, 2) of K detections, relative to their images, not clipped.

    As `gather_keypoints` does it, from distances to the centres of cells; `levels` are as of `Distances`.
    """
    tensors = (points0, points1, points2, points3, points4, points5)
    found = np.empty((regions.shape[0], points, 2), np.float32)
    centre = np.empty(2, np.float64)
    for image in range(start, start + offsets.shape[0] - 1):
        of_image = levels[image if levels.shape[0] > 1 else 0]
        for row in range(offsets[image - start], offsets[image - start + 1]):
            level = of_image[level_of(regions[row], of_image)]
            at = place_cell(regions[row], level, anchors, cell_offset, centre)
            numbers, step = image_of(tensors[level[TENSOR]], image), level[CHANNEL_STEP]
            scale = np.float64(level[STRIDE]) if in_strides else 1.0
            for point in range(points):
                x_at = at + 2 * point * step
                x = np.float32(centre[0] + np.float64(number(numbers, x_at)) * scale)
                y = np.float32(centre[1] + np.float64(number(numbers, x_at + step)) * scale)
                write_point(x, y, placement[image], found[row, point])
    return found


@inner
def write_point(
    x: np.float32, y: np.float32, placement: NDArray[np.float64], point: NDArray[np.float32]
) -> bool:
    """Write a point of an image where it is placed; zeros, and False, if that is nowhere."""
    placed_x = np.float32(placed(np.float64(x), placement[0]))
    placed_y = np.float32(placed(np.float64(y), placement[1]))
    is_there = math.isfinite(placed_x) and math.isfinite(placed_y)
    point[0] = placed_x if is_there else np.float32(0.0)
    point[1] = placed_y if is_there else np.float32(0.0)
    return is_there
