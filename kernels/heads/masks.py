"""Instance masks of the boxes that were kept, from prototypes: as pixels, as COCO's RLE, and as polygons.

A mask is where the sum of an image's prototypes (M, h, w), each times a coefficient of the box, is above 0:
the sigmoid of it is above 0.5. A frame (2, 2) says for x and for y how a coordinate n relative to the image
lies in the network's input, as a part of it: ``n * frame[axis, 0] + frame[axis, 1]``.

As of ultralytics 8.4, sums are interpolated between the centres of cells first, cut at 0 then, and cropped to
the box last: a pixel is inside where its number is not below the box's near side, and below its far side.
"""

from __future__ import annotations

import math
from typing import NewType

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel
from .arguments import FirstImage, KeptOffsets, KeptRegions, Placement, Planar, Table

FirstCoefficient = NewType("FirstCoefficient", int)
Coefficients = NewType("Coefficients", int)
InputSizes = NewType("InputSizes", NDArray[np.float64])

Floats = NDArray[np.float32]
Region = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom lie outside

# A side that float32 has put just beyond a whole pixel counts as on it: a part of the whole size.
_SLACK = 1e-6

# The runs of a mask that is written: length and value of the present one, lengths of the two before, count.
_LENGTH, _VALUE, _LAST, _LAST_BUT_ONE, _COUNT = range(5)


@kernel
def gather_coefficients(
    table: Table,
    planar: Planar,
    first: FirstCoefficient,
    count: Coefficients,
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
    numbers = table.reshape(-1)
    size = table.shape[1] * table.shape[2]
    row_step, column_step = (1, table.shape[2]) if planar else (table.shape[2], 1)
    coefficients = np.empty((regions.shape[0], count), np.float32)
    frames = np.empty((offsets.shape[0] - 1, 2, 2), np.float64)
    for image in range(offsets.shape[0] - 1):
        for axis in range(2):
            factor, offset = placement[start + image, axis, 0], placement[start + image, axis, 1]
            scale, length = placement[start + image, axis, 2], placement[start + image, axis, 3]
            whole = factor * sizes[start + image, 1 - axis]
            frames[image, axis, 0] = length * scale / whole
            frames[image, axis, 1] = offset / whole
        for row in range(offsets[image], offsets[image + 1]):
            at = (start + image) * size + regions[row] * row_step + first * column_step
            for number in range(count):
                coefficients[row, number] = numbers[at + number * column_step]
    return coefficients, frames


@kernel
def draw_masks(
    boxes: Floats,
    coefficients: Floats,
    prototypes: Floats,
    frame: NDArray[np.float64],
    height: int,
    width: int,
) -> NDArray[np.bool_]:
    """Masks (K, height, width) of the boxes (K, 4) of one image."""
    masks = np.empty((boxes.shape[0], height, width), np.bool_)
    flat = masks.reshape(-1)
    for index in range(flat.shape[0]):
        flat[index] = False
    columns, rows = _axis(width, frame[0], prototypes.shape[2]), _axis(height, frame[1], prototypes.shape[1])
    sums, line, region = _new_room(boxes, prototypes, height, width)
    for row in range(boxes.shape[0]):
        left, top, right, bottom = _pixels(boxes[row], height, width)
        _paint(
            coefficients[row], prototypes, columns, rows, left, top, right, bottom, sums, line, region
        )  # fmt: skip
        at = 0
        for y in range(top, bottom):
            for x in range(left, right):
                masks[row, y, x] = region[at]
                at += 1
    return masks


@kernel
def encode_masks(
    boxes: Floats,
    coefficients: Floats,
    prototypes: Floats,
    frame: NDArray[np.float64],
    height: int,
    width: int,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Masks of one image's boxes (K, 4) as the text of COCO's compressed RLE, and where each begins (K + 1,).

    Lengths of runs along columns, of 0 and of 1 in turns; from the fourth on the difference to the last but
    one; each in digits of 5 bits, the lowest first, with a sixth bit where more follow, plus 48: see
    rleToString in maskApi.c of pycocotools.
    """
    columns, rows = _axis(width, frame[0], prototypes.shape[2]), _axis(height, frame[1], prototypes.shape[1])
    sums, line, region = _new_room(boxes, prototypes, height, width)
    text, starts = np.empty(256, np.uint8), np.empty(boxes.shape[0] + 1, np.int64)
    used = starts[0] = 0
    runs = np.empty(5, np.int64)
    for row in range(boxes.shape[0]):
        left, top, right, bottom = _pixels(boxes[row], height, width)
        _paint(
            coefficients[row], prototypes, columns, rows, left, top, right, bottom, sums, line, region
        )  # fmt: skip
        for field in range(5):
            runs[field] = 0
        text, used = _extend(runs, 0, left * height, text, used)
        for x in range(left, right):
            text, used = _extend(runs, 0, top, text, used)
            y = top
            while y < bottom:
                begin = y
                value = region[(y - top) * (right - left) + x - left]
                while y < bottom and region[(y - top) * (right - left) + x - left] == value:
                    y += 1
                text, used = _extend(runs, 1 if value else 0, y - begin, text, used)
            text, used = _extend(runs, 0, height - bottom, text, used)
        text, used = _extend(runs, 0, (width - right) * height, text, used)
        text, used = _end_run(runs, text, used)
        starts[row + 1] = used
    return text[:used].copy(), starts


@kernel
def trace_masks(
    boxes: Floats, coefficients: Floats, prototypes: Floats, frame: NDArray[np.float64]
) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Outlines of the masks of one image's boxes (K, 4), in the resolution of the prototypes.

    Returns points (T, 2) relative to the image, where the rings of them begin (R + 1,), and where among the
    rings those of each mask begin (K + 1,). A ring follows the edges of cells with the mask on its right: as
    seen, clockwise around a part and counterclockwise around a hole. Parts that touch by a corner are apart.
    """
    height, width = prototypes.shape[1], prototypes.shape[2]
    sums = np.empty(height * width, np.float32)
    # One cell more on every side is never set.
    cells, met = np.empty((height + 2, width + 2), np.bool_), np.empty((height + 2, width + 2), np.bool_)
    points, total = np.empty((64, 2), np.float32), 0
    rings, ring_count = np.empty(16, np.int64), 0
    starts = np.empty(boxes.shape[0] + 1, np.int64)
    rings[0] = starts[0] = 0
    for row in range(boxes.shape[0]):
        left, right = _cells(boxes[row, 0], boxes[row, 2], frame[0], width)
        top, bottom = _cells(boxes[row, 1], boxes[row, 3], frame[1], height)
        _add_up(coefficients[row], prototypes, left, top, right, bottom, sums)
        for y in range(bottom - top + 2):
            for x in range(right - left + 2):
                cells[y, x] = met[y, x] = False
        at = 0
        for y in range(bottom - top):
            for x in range(right - left):
                cells[y + 1, x + 1] = sums[at] > 0.0
                at += 1
        for y in range(1, bottom - top + 1):
            for x in range(1, right - left + 1):
                if not cells[y, x] or cells[y - 1, x] or met[y, x]:
                    continue
                points, total = _trace(cells, met, x, y, left, top, frame, width, height, points, total)
                ring_count += 1
                if ring_count == rings.shape[0]:
                    rings = _doubled_rings(rings)
                rings[ring_count] = total
        starts[row + 1] = ring_count
    return points[:total].copy(), rings[: ring_count + 1].copy(), starts


@inner
def _trace(
    cells: NDArray[np.bool_],
    met: NDArray[np.bool_],
    x: int,
    y: int,
    left: int,
    top: int,
    frame: NDArray[np.float64],
    width: int,
    height: int,
    points: Floats,
    total: int,
) -> tuple[Floats, int]:
    """Follow the ring that begins at the upper left corner of a cell, and mark the upper edges it meets."""
    begin_x, begin_y = x, y
    direction = 0  # east, south, west, north: a turn to the right is one more
    turned = True
    while True:
        if turned:
            if total == points.shape[0]:
                points = _doubled_points(points)
            points[total, 0] = _relative(x - 1 + left, frame[0], width)
            points[total, 1] = _relative(y - 1 + top, frame[1], height)
            total += 1
        if direction == 0:
            met[y, x] = True
            x += 1
        elif direction == 1:
            y += 1
        elif direction == 2:
            x -= 1
        else:
            y -= 1
        # The cells ahead, to the right and to the left of the way.
        right_x = x - 1 if direction == 1 or direction == 2 else x
        right_y = y - 1 if direction == 2 or direction == 3 else y
        left_x = x - 1 if direction == 2 or direction == 3 else x
        left_y = y - 1 if direction == 0 or direction == 3 else y
        turned = True
        if not cells[right_y, right_x]:
            direction = (direction + 1) % 4
        elif cells[left_y, left_x]:
            direction = (direction + 3) % 4
        else:
            turned = False
        if x == begin_x and y == begin_y and direction == 0:
            break
    return points, total


@inner
def _relative(cell: int, frame: NDArray[np.float64], count: int) -> np.float32:
    """Side of a cell relative to the image, clipped to it.

    A box lies in the image, and its cells begin in the box: no more than the far side of one lies outside.
    """
    place = (cell / count - frame[1]) / frame[0]
    return np.float32(min(max(place, 0.0), 1.0))


@inner
def _cells(low: np.float32, high: np.float32, frame: NDArray[np.float64], count: int) -> tuple[int, int]:
    """First cell of a box's side, and the one after its last."""
    first = (np.float64(low) * frame[0] + frame[1] - _SLACK) * count
    end = (np.float64(high) * frame[0] + frame[1] - _SLACK) * count
    return _within(first, count), max(_within(first, count), _within(end, count))


@inner
def _pixels(box: Floats, height: int, width: int) -> Region:
    """Pixels of a box."""
    left, top = (np.float64(box[0]) - _SLACK) * width, (np.float64(box[1]) - _SLACK) * height
    right, bottom = (np.float64(box[2]) - _SLACK) * width, (np.float64(box[3]) - _SLACK) * height
    return _within(left, width), _within(top, height), _within(right, width), _within(bottom, height)


@inner
def _within(place: float, count: int) -> int:
    """Return the number of the first cell not below a place, from 0 to `count`."""
    # No number that is not within is made an integer, NaN in particular: what that yields is undefined.
    if not place > 0.0:
        return 0
    return math.ceil(place) if place < count else count


@inner
def _axis(size: int, frame: NDArray[np.float64], cells: int) -> tuple[NDArray[np.int64], Floats]:
    """Of each pixel the cell before its centre, and the weight of the next one."""
    before, weights = np.empty(size, np.int64), np.empty(size, np.float32)
    for pixel in range(size):
        place = ((pixel + 0.5) / size * frame[0] + frame[1]) * cells - 0.5
        place = min(place, cells - 1.0) if place > 0.0 else 0.0  # also where it is NaN
        before[pixel] = min(int(place), max(cells - 2, 0))
        weights[pixel] = place - before[pixel]
    return before, weights


@inner
def _new_room(
    boxes: Floats, prototypes: Floats, height: int, width: int
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Room for the sums of a box's cells, for a line of them, and for its pixels."""
    largest = 0
    for row in range(boxes.shape[0]):
        left, top, right, bottom = _pixels(boxes[row], height, width)
        largest = max(largest, (right - left) * (bottom - top))
    cells = prototypes.shape[1] * prototypes.shape[2]
    return (
        np.empty(cells, np.float32),
        np.empty(prototypes.shape[2] + 1, np.float32),
        np.empty(largest, np.bool_),
    )


@inner
def _add_up(
    coefficients: Floats, prototypes: Floats, left: int, top: int, right: int, bottom: int, sums: Floats
) -> None:
    """Write the sums of the cells of a region, row by row."""
    width = right - left
    for index in range(width * (bottom - top)):
        sums[index] = 0.0
    if width <= 0:
        return
    for number in range(coefficients.shape[0]):
        factor = coefficients[number]
        for y in range(top, bottom):
            source = prototypes[number, y, left:right]
            target = sums[(y - top) * width : (y - top + 1) * width]
            for x in range(width):
                target[x] += factor * source[x]


@inner
def _paint(
    coefficients: Floats,
    prototypes: Floats,
    columns: tuple[NDArray[np.int64], Floats],
    rows: tuple[NDArray[np.int64], Floats],
    left: int,
    top: int,
    right: int,
    bottom: int,
    sums: Floats,
    line: Floats,
    region: NDArray[np.bool_],
) -> None:
    """Write which pixels of a region are in the mask, row by row."""
    if left >= right or top >= bottom:
        return
    before_x, weights_x = columns
    before_y, weights_y = rows
    first_x, end_x = before_x[left], min(before_x[right - 1] + 2, prototypes.shape[2])
    first_y, end_y = before_y[top], min(before_y[bottom - 1] + 2, prototypes.shape[1])
    _add_up(coefficients, prototypes, first_x, first_y, end_x, end_y, sums)
    width = end_x - first_x
    at = 0
    for y in range(top, bottom):
        above = (before_y[y] - first_y) * width
        below = above + width if end_y - first_y > 1 else above
        weight = weights_y[y]
        for x in range(width):
            line[x] = sums[above + x] * (np.float32(1.0) - weight) + sums[below + x] * weight
        line[width] = line[width - 1]
        for x in range(left, right):
            cell = before_x[x] - first_x
            weight = weights_x[x]
            region[at] = line[cell] * (np.float32(1.0) - weight) + line[cell + 1] * weight > 0.0
            at += 1


@inner
def _extend(
    runs: NDArray[np.int64], value: int, length: int, text: NDArray[np.uint8], used: int
) -> tuple[NDArray[np.uint8], int]:
    """Lengthen the run, if it is of a value (0 or 1), or end it and begin the next one."""
    if length > 0:
        if value != runs[_VALUE]:
            text, used = _end_run(runs, text, used)
        runs[_LENGTH] += length
    return text, used


@inner
def _end_run(runs: NDArray[np.int64], text: NDArray[np.uint8], used: int) -> tuple[NDArray[np.uint8], int]:
    """Write the length of the run, and begin one of the other value."""
    if used + 16 > text.shape[0]:
        text = _doubled_text(text)
    number = runs[_LENGTH] - runs[_LAST_BUT_ONE] if runs[_COUNT] > 2 else runs[_LENGTH]
    runs[_LAST_BUT_ONE], runs[_LAST], runs[_LENGTH] = runs[_LAST], runs[_LENGTH], 0
    runs[_COUNT] += 1
    runs[_VALUE] = 1 - runs[_VALUE]
    while True:
        digit = number & 31
        number >>= 5
        # The highest bit of the last digit is the sign.
        has_more = number != -1 if digit & 16 else number != 0
        text[used] = (digit | 32 if has_more else digit) + 48
        used += 1
        if not has_more:
            return text, used


@inner
def _doubled_text(text: NDArray[np.uint8]) -> NDArray[np.uint8]:
    more = np.empty(2 * text.shape[0], np.uint8)
    for index in range(text.shape[0]):
        more[index] = text[index]
    return more


@inner
def _doubled_rings(rings: NDArray[np.int64]) -> NDArray[np.int64]:
    more = np.empty(2 * rings.shape[0], np.int64)
    for index in range(rings.shape[0]):
        more[index] = rings[index]
    return more


@inner
def _doubled_points(points: Floats) -> Floats:
    more = np.empty((2 * points.shape[0], 2), np.float32)
    for index in range(points.shape[0]):
        more[index, 0], more[index, 1] = points[index, 0], points[index, 1]
    return more
