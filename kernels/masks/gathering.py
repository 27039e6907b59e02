"""What the masks of boxes are made of, from a network's tensors."""

from __future__ import annotations

from typing import NewType

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel
from ..core.boxes import to_corners
from ..core.numbers import flat, number, raw
from ..core.placement import placed
from ..heads.arguments import BoxFormat, FirstImage, KeptOffsets, KeptRegions, Placement, Planar, Table

FirstCoefficient = NewType("FirstCoefficient", int)
CoefficientCount = NewType("CoefficientCount", int)
InputSizes = NewType("InputSizes", NDArray[np.float64])
FirstNumbers = NewType("FirstNumbers", NDArray[np.int64])
"""Where the first number of each box is, (K,)."""
Step = NewType("Step", int)
"""How far the numbers of a box are apart."""

Floats = NDArray[np.float32]


@kernel
def gather_coefficients(
    table: Table,
    planar: Planar,
    first: FirstCoefficient,
    count: CoefficientCount,
    regions: KeptRegions,
    offsets: KeptOffsets,
    placement: Placement,
    sizes: InputSizes,
    start: FirstImage,
) -> tuple[Floats, NDArray[np.float64]]:
    """Coefficients (K, count) of K detections, and the frames (images, 2, 2) of their images.

    Parameters
    ----------
    table : (B, N, C) float32, or (B, C, N) if `planar`
        Its columns from `first` on hold the coefficients.
    regions : (K,) int64
        The row of the table that each detection came from.
    offsets : (images + 1,) int64
        Where the detections of each image end; the first is image `start` of the table.
    placement : (B, 2, 4) float64
        As `placed` takes it.
    sizes : (B, 2) float64
        Height and width of the network's input in the coordinates that were placed.
    """
    numbers, shape = flat(table), raw(table).shape
    size = shape[1] * shape[2]
    row_step, column_step = (1, shape[2]) if planar else (shape[2], 1)
    coefficients = np.empty((regions.shape[0], count), np.float32)
    for image in range(offsets.shape[0] - 1):
        for row in range(offsets[image], offsets[image + 1]):
            at = (start + image) * size + regions[row] * row_step + first * column_step
            for column in range(count):
                coefficients[row, column] = number(numbers, at + column * column_step)
    return coefficients, _frames(offsets.shape[0] - 1, placement, sizes, start)


@kernel
def gather_whole_boxes(
    boxes: Floats,
    first_numbers: FirstNumbers,
    step: Step,
    box_format: BoxFormat,
    offsets: KeptOffsets,
    placement: Placement,
    sizes: InputSizes,
    start: FirstImage,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Boxes (K, 4) of K detections as the network gives them, not clipped, and frames (images, 2, 2).

    Returns them as parts of the network's input, relative to what results are relative to, and the frames of
    their images. The other arguments are those of `gather_coefficients`.
    """
    numbers = flat(boxes)
    count = first_numbers.shape[0]
    inside, placed_boxes = np.empty((count, 4), np.float64), np.empty((count, 4), np.float64)
    for image in range(offsets.shape[0] - 1):
        places = placement[start + image]
        for row in range(offsets[image], offsets[image + 1]):
            at = first_numbers[row]
            corners = to_corners(
                np.float64(number(numbers, at)),
                np.float64(number(numbers, at + step)),
                np.float64(number(numbers, at + 2 * step)),
                np.float64(number(numbers, at + 3 * step)),
                box_format,
            )
            for side in range(4):
                corner = np.float64(np.float32(corners[side]))
                inside[row, side] = corner / sizes[start + image, 1 - side % 2]
                placed_boxes[row, side] = placed(corner, places[side % 2])
    return inside, placed_boxes, _frames(offsets.shape[0] - 1, placement, sizes, start)


@inner
def _frames(count: int, placement: Placement, sizes: InputSizes, start: int) -> NDArray[np.float64]:
    """Frames of images: see `cells`."""
    frames = np.empty((count, 2, 2), np.float64)
    for image in range(count):
        for axis in range(2):
            factor, offset = placement[start + image, axis, 0], placement[start + image, axis, 1]
            scale, length = placement[start + image, axis, 2], placement[start + image, axis, 3]
            whole = factor * sizes[start + image, 1 - axis]
            frames[image, axis, 0] = length * scale / whole
            frames[image, axis, 1] = offset / whole
    return frames
