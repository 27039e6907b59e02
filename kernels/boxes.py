"""Boxes as a network writes them: formats, and the boxes of candidates from a tensor of boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._jit import kernel
from .candidates import order_of

XYXY = 0
XYWH = 1
CXCYWH = 2
YXYX = 3


@kernel
def to_corners(a: float, b: float, c: float, d: float, box_format: int) -> tuple[float, float, float, float]:
    """Corners xyxy of a box in a format, in float64."""
    if box_format == XYWH:
        return a, b, a + c, b + d
    if box_format == CXCYWH:
        return a - 0.5 * c, b - 0.5 * d, a + 0.5 * c, b + 0.5 * d
    if box_format == YXYX:
        return b, a, d, c
    return a, b, c, d


@kernel
def from_corners(
    x1: float, y1: float, x2: float, y2: float, box_format: int
) -> tuple[float, float, float, float]:
    """Describe a box given by its corners in a format, in float64."""
    if box_format == XYWH:
        return x1, y1, x2 - x1, y2 - y1
    if box_format == CXCYWH:
        return 0.5 * (x1 + x2), 0.5 * (y1 + y2), x2 - x1, y2 - y1
    if box_format == YXYX:
        return y1, x1, y2, x2
    return x1, y1, x2, y2


@kernel
def convert(boxes: NDArray[np.float32], source: int, target: int) -> NDArray[np.float32]:
    """Convert boxes (N, 4) between formats, in float64, rounded once."""
    result = np.empty_like(boxes)
    for row in range(boxes.shape[0]):
        x1, y1, x2, y2 = to_corners(
            np.float64(boxes[row, 0]),
            np.float64(boxes[row, 1]),
            np.float64(boxes[row, 2]),
            np.float64(boxes[row, 3]),
            source,
        )
        result[row, 0], result[row, 1], result[row, 2], result[row, 3] = from_corners(x1, y1, x2, y2, target)
    return result


@kernel
def decode_boxes(
    keys: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    start: int,
    boxes: NDArray[np.float32],
    planar: bool,
    box_format: int,
    per_label: int,
    columns: int,
) -> NDArray[np.float32]:
    """Corners of candidates whose boxes stand in a tensor (B or 1, R, 4 or more).

    Box i is in row ``i // columns``. In a `planar` tensor (B or 1, 4 or more, R) the rows are columns.
    `offsets` part the keys by image, the first of them image `start`; `per_label` is how many boxes a label
    has.
    """
    result = np.empty((keys.shape[0], 4), np.float32)
    for image in range(offsets.shape[0] - 1):
        table = boxes[start + image if boxes.shape[0] > 1 else 0]
        numbers = table.reshape(-1)
        row_step, number_step = (1, table.shape[1]) if planar else (table.shape[1], 1)
        for index in range(offsets[image], offsets[image + 1]):
            at = order_of(keys[index]) % per_label // columns * row_step
            x1, y1, x2, y2 = to_corners(
                np.float64(numbers[at]),
                np.float64(numbers[at + number_step]),
                np.float64(numbers[at + 2 * number_step]),
                np.float64(numbers[at + 3 * number_step]),
                box_format,
            )
            result[index, 0], result[index, 1], result[index, 2], result[index, 3] = x1, y1, x2, y2
    return result
