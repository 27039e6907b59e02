"""What a mask is: a grid of cells around a box, whose interpolated values are above 0 inside of the mask.

The cells of a mask are one of three things:

- `PROTOTYPES`: the sums of an image's prototypes (M, h, w), each times a coefficient of the box. They cover
  the network's input: a frame (2, 2) says for x and for y how a coordinate n relative to the image lies in
  it, as a part of it, ``n * frame[axis, 0] + frame[axis, 1]``. As of ultralytics 8.4, sums are interpolated
  between the centres of cells first, cut at 0 then, and cropped to the box last: a pixel is inside where its
  number is not below the box's near side, and below its far side.
- `IN_BOX`: probabilities less 0.5 of a box, with a cell of probability 0 more on each side. They are pasted
  as by ``paste_masks_in_image`` of torchvision (vision/torchvision/models/detection/roi_heads.py): stretched
  over the pixels that the larger box, cut off to whole numbers, has, both of its sides included.
- `IN_IMAGE`: probabilities less 0.5 that cover the network's input, as prototypes do; they are not cropped.
"""

from __future__ import annotations

import math
from typing import NewType

import numpy as np
from numpy.typing import NDArray

from .._jit import inner

Kind = NewType("Kind", int)
WholeBoxes = NewType("WholeBoxes", NDArray[np.float64])
"""Boxes (K, 4) relative to the image: `IN_BOX` as the network gives them, else clipped to the image."""
Coefficients = NewType("Coefficients", NDArray[np.float32])
"""Of each row and prototype, (K, M)."""
Planes = NewType("Planes", NDArray[np.int64])
"""Which grid is a row's, (K,); prototypes belong to all."""
Grids = NewType("Grids", NDArray[np.float32])
"""Prototypes (M, h, w) or probabilities (P, h, w)."""
Frame = NewType("Frame", NDArray[np.float64])

Floats = NDArray[np.float32]
Region = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom lie outside
Axis = tuple[NDArray[np.int64], Floats]  # of each pixel the cell before its centre, weight of the next one
Cells = tuple[Floats, int, int, int, int]  # row by row; columns, rows; numbers of the first column and row

PROTOTYPES, IN_BOX, IN_IMAGE = Kind(0), Kind(1), Kind(2)

# A side that float32 has put just beyond a whole pixel counts as on it: a part of the whole size.
SLACK = 1e-6
# The furthest that corners in pixels are looked at: integers hold what is computed with them.
_FURTHEST = 2.0**40
_HALF = np.float32(0.5)
_ONE = np.float32(1.0)


@inner
def new_axes(kind: Kind, grids: Grids, frame: Frame, height: int, width: int) -> tuple[Axis, Axis]:
    """Return axes of an image's pixels, for x and for y: those of all boxes, or room for those of one."""
    columns = np.empty(width, np.int64), np.empty(width, np.float32)
    rows = np.empty(height, np.int64), np.empty(height, np.float32)
    if kind != IN_BOX:
        _fill_axis(columns, frame[0], grids.shape[2])
        _fill_axis(rows, frame[1], grids.shape[1])
    return columns, rows


@inner
def new_cells(grids: Grids) -> Floats:
    """Return room for the cells of a mask."""
    return np.empty((grids.shape[1] + 2) * (grids.shape[2] + 2), np.float32)


@inner
def find_region(
    kind: Kind,
    box: NDArray[np.float64],
    grids: Grids,
    height: int,
    width: int,
    slack: float,
    columns: Axis,
    rows: Axis,
) -> Region:
    """Return the pixels of an image that a mask may have; nothing lies between equal sides.

    Writes the axes of a box `IN_BOX`.
    """
    if kind == IN_IMAGE:
        return 0, 0, width, height
    if kind == IN_BOX:
        # In float32, as torchvision computes; its own ratio is of the columns for both.
        scale = np.float32((grids.shape[2] + 2) / grids.shape[2])
        left, right = _paste_axis(box[0], box[2], scale, grids.shape[2] + 2, width, columns)
        top, bottom = _paste_axis(box[1], box[3], scale, grids.shape[1] + 2, height, rows)
    else:
        left, right = within((box[0] - slack) * width, width), within((box[2] - slack) * width, width)
        top, bottom = within((box[1] - slack) * height, height), within((box[3] - slack) * height, height)
    if left >= right or top >= bottom:
        return 0, 0, 0, 0
    return left, top, right, bottom


@inner
def fill_cells(
    kind: Kind,
    coefficients: Floats,
    plane: int,
    grids: Grids,
    region: Region,
    columns: Axis,
    rows: Axis,
    values: Floats,
) -> Cells:
    """Write the cells that the pixels of a region, which has some, are interpolated between."""
    left, top, right, bottom = region
    more = 2 if kind == IN_BOX else 0
    first_x, first_y = columns[0][left], rows[0][top]
    end_x = min(columns[0][right - 1] + 2, grids.shape[2] + more)
    end_y = min(rows[0][bottom - 1] + 2, grids.shape[1] + more)
    if kind == PROTOTYPES:
        add_up(coefficients, grids, first_x, first_y, end_x, end_y, values)
    elif kind == IN_IMAGE:
        lower(grids[plane], first_x, first_y, end_x, end_y, values)
    else:
        _lower_padded(grids[plane], first_x, first_y, end_x, end_y, values)
    return values, end_x - first_x, end_y - first_y, first_x, first_y


@inner
def add_up(
    coefficients: Floats, prototypes: Floats, left: int, top: int, right: int, bottom: int, sums: Floats
) -> None:
    """Write the sums of the cells of a region, row by row, each in the order of the prototypes."""
    width = right - left
    for index in range(max(width, 0) * (bottom - top)):
        sums[index] = 0.0
    if width <= 0:
        return
    # Four at a time: a sum is read and written once for them.
    fours = coefficients.shape[0] // 4 * 4
    for y in range(top, bottom):
        target = sums[(y - top) * width : (y - top + 1) * width]
        for number in range(0, fours, 4):
            a, b = coefficients[number], coefficients[number + 1]
            c, d = coefficients[number + 2], coefficients[number + 3]
            row_a, row_b = prototypes[number, y, left:right], prototypes[number + 1, y, left:right]
            row_c, row_d = prototypes[number + 2, y, left:right], prototypes[number + 3, y, left:right]
            for x in range(width):
                target[x] = (((target[x] + a * row_a[x]) + b * row_b[x]) + c * row_c[x]) + d * row_d[x]
        for number in range(fours, coefficients.shape[0]):
            a = coefficients[number]
            row_a = prototypes[number, y, left:right]
            for x in range(width):
                target[x] += a * row_a[x]


@inner
def lower(grid: Floats, left: int, top: int, right: int, bottom: int, values: Floats) -> None:
    """Write the probabilities of a region less 0.5, row by row."""
    width = right - left
    for y in range(top, bottom):
        source = grid[y, left:right]
        target = values[(y - top) * width : (y - top + 1) * width]
        for x in range(width):
            target[x] = source[x] - _HALF


@inner
def within(place: float, count: int) -> int:
    """Return the number of the first cell not below a place, from 0 to `count`."""
    # No number that is not within is made an integer, NaN in particular: what that yields is undefined.
    if not place > 0.0:
        return 0
    return math.ceil(place) if place < count else count


@inner
def _lower_padded(grid: Floats, left: int, top: int, right: int, bottom: int, values: Floats) -> None:
    """Write the probabilities of a region less 0.5, where the grid has a cell of 0 more on each side."""
    at = 0
    for y in range(top, bottom):
        is_outside = y == 0 or y > grid.shape[0]
        for x in range(left, right):
            if is_outside or x == 0 or x > grid.shape[1]:
                values[at] = -_HALF
            else:
                values[at] = grid[y - 1, x - 1] - _HALF
            at += 1


@inner
def _fill_axis(axis: Axis, frame: NDArray[np.float64], cells: int) -> None:
    """Write of each pixel the cell before its centre, and the weight of the next one."""
    before, weights = axis
    size = before.shape[0]
    for pixel in range(size):
        place = ((pixel + 0.5) / size * frame[0] + frame[1]) * cells - 0.5
        place = min(place, cells - 1.0) if place > 0.0 else 0.0  # also where it is NaN
        before[pixel] = min(int(place), max(cells - 2, 0))
        weights[pixel] = place - before[pixel]


@inner
def _paste_axis(
    low: float, high: float, scale: np.float32, cells: int, size: int, axis: Axis
) -> tuple[int, int]:
    """Return the pixels of an image that a box has along an axis, and write their places in its cells."""
    near, far = np.float32(low * size), np.float32(high * size)
    half = (far - near) * _HALF * scale
    centre = (far + near) * _HALF
    first, last = _cut_off(centre - half), _cut_off(centre + half)
    count = max(last - first + 1, 1)
    start, end = max(first, 0), min(last + 1, size)
    ratio = np.float32(cells) / np.float32(count)
    before, weights = axis
    for pixel in range(start, end):
        place = ratio * (np.float32(pixel - first) + _HALF) - _HALF
        place = min(place, np.float32(cells - 1)) if place > 0.0 else np.float32(0.0)
        before[pixel] = min(int(place), cells - 2)
        weights[pixel] = place - np.float32(before[pixel])
    return start, end


@inner
def _cut_off(place: np.float32) -> int:
    """Return a place without what is behind its point, and the middle of nowhere for NaN."""
    if place > -_FURTHEST:
        return int(place) if place < _FURTHEST else int(_FURTHEST)
    return -int(_FURTHEST)
