"""Boxes as a network writes them: formats, and the boxes of candidates from a tensor of boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import borrowing, inner, kernel
from .candidates import label_and_box
from .numbers import Numbers, flat, number, raw

XYXY = 0
XYWH = 1
CXCYWH = 2
YXYX = 3


@inner
def to_corners(a: float, b: float, c: float, d: float, box_format: int) -> tuple[float, float, float, float]:
    """Corners xyxy of a box in a format, in float64."""
    if box_format == XYWH:
        return a, b, a + c, b + d
    if box_format == CXCYWH:
        return a - 0.5 * c, b - 0.5 * d, a + 0.5 * c, b + 0.5 * d
    if box_format == YXYX:
        return b, a, d, c
    return a, b, c, d


@inner
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


@inner
def decode_boxes(
    keys: NDArray[np.uint64],
    count: int,
    boxes: Numbers,
    planar: bool,
    first_number: int,
    box_format: int,
    per_label: int,
    columns: int,
    boxes_a_region: int,
    first_box: int,
    corners: NDArray[np.float32],
) -> None:
    """Write the corners of the first `count` candidates of an image, whose boxes stand in a tensor.

    The tensor is (R, 4 or more), or (4 or more, R) if `planar`; a box begins at `first_number`. A label has
    `per_label` boxes, `columns` of them from one region of the network. If `boxes_a_region` is 0, the box of
    region r is row r; otherwise the rows of a region are its boxes, label l's in row
    ``r * boxes_a_region + first_box + l``.
    """
    shape = raw(boxes).shape
    row_step, number_step = (1, shape[1]) if planar else (shape[1], 1)
    _decode_numbers(
        keys, count, flat(boxes), row_step, number_step, first_number, box_format, per_label, columns,
        boxes_a_region, first_box, corners,
    )  # fmt: skip


@borrowing
def _decode_numbers(
    keys: NDArray[np.uint64],
    count: int,
    numbers: Numbers,
    row_step: int,
    number_step: int,
    first_number: int,
    box_format: int,
    per_label: int,
    columns: int,
    boxes_a_region: int,
    first_box: int,
    corners: NDArray[np.float32],
) -> None:
    for index in range(count):
        label, box = label_and_box(keys[index], per_label)
        row = box // columns if columns > 1 else box
        if boxes_a_region > 0:
            row = row * boxes_a_region + first_box + label
        at = row * row_step + first_number * number_step
        corners[index, 0], corners[index, 1], corners[index, 2], corners[index, 3] = to_corners(
            np.float64(number(numbers, at)),
            np.float64(number(numbers, at + number_step)),
            np.float64(number(numbers, at + 2 * number_step)),
            np.float64(number(numbers, at + 3 * number_step)),
            box_format,
        )
