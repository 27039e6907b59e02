"""Outlines of masks in the resolution of their cells."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel
from .cells import (
    IN_BOX,
    PROTOTYPES,
    SLACK,
    Coefficients,
    Floats,
    Frame,
    Grids,
    Kind,
    Planes,
    Region,
    WholeBoxes,
    add_up,
    lower,
    within,
)


@kernel
def trace_masks(
    kind: Kind,
    boxes: WholeBoxes,
    coefficients: Coefficients,
    planes: Planes,
    grids: Grids,
    frame: Frame,
) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Outlines of the masks of one image's rows, in the resolution of their cells.

    Returns points (T, 2) relative to the image, where the rings of them begin (R + 1,), and where among the
    rings those of each mask begin (K + 1,). A ring follows the edges of cells with the mask on its right: as
    seen, clockwise around a part and counterclockwise around a hole. Parts that touch by a corner are apart.
    """
    height, width = grids.shape[1], grids.shape[2]
    values = np.empty(height * width, np.float32)
    # One cell more on every side is never set.
    cells, met = np.empty((height + 2, width + 2), np.bool_), np.empty((height + 2, width + 2), np.bool_)
    points, total = np.empty((64, 2), np.float32), 0
    rings, ring_count = np.empty(16, np.int64), 0
    starts = np.empty(boxes.shape[0] + 1, np.int64)
    rings[0] = starts[0] = 0
    covered = np.empty((2, 2), np.float64)
    for row in range(boxes.shape[0]):
        _fill_frame(kind, boxes[row], frame, covered)
        left, top, right, bottom = _cells_of(kind, boxes[row], covered, height, width)
        if kind == PROTOTYPES:
            add_up(coefficients[row], grids, left, top, right, bottom, values)
        else:
            lower(grids[planes[row]], left, top, right, bottom, values)
        for y in range(bottom - top + 2):
            for x in range(right - left + 2):
                cells[y, x] = met[y, x] = False
        at = 0
        for y in range(bottom - top):
            for x in range(right - left):
                cells[y + 1, x + 1] = values[at] > 0.0
                at += 1
        for y in range(1, bottom - top + 1):
            for x in range(1, right - left + 1):
                if not cells[y, x] or cells[y - 1, x] or met[y, x]:
                    continue
                points, total = _trace(cells, met, x, y, left, top, covered, width, height, points, total)
                ring_count += 1
                if ring_count == rings.shape[0]:
                    rings = _doubled_rings(rings)
                rings[ring_count] = total
        starts[row + 1] = ring_count
    return points[:total].copy(), rings[: ring_count + 1].copy(), starts


@inner
def _fill_frame(
    kind: Kind, box: NDArray[np.float64], frame: NDArray[np.float64], covered: NDArray[np.float64]
) -> None:
    """Write how a coordinate relative to the image lies in the grid of a mask: see `cells`."""
    for axis in range(2):
        if kind == IN_BOX:
            length = box[axis + 2] - box[axis]
            covered[axis, 0], covered[axis, 1] = 1.0 / length, -box[axis] / length
        else:
            covered[axis, 0], covered[axis, 1] = frame[axis, 0], frame[axis, 1]


@inner
def _cells_of(
    kind: Kind, box: NDArray[np.float64], covered: NDArray[np.float64], height: int, width: int
) -> Region:
    """Return the cells that an outline may go around."""
    if kind == PROTOTYPES:
        left, right = _cells(box[0], box[2], covered[0], width)
        top, bottom = _cells(box[1], box[3], covered[1], height)
        return left, top, right, bottom
    if kind == IN_BOX and not (box[2] > box[0] and box[3] > box[1]):
        return 0, 0, 0, 0
    # Those that reach into the image.
    left, right = _cells_within(covered[0], width)
    top, bottom = _cells_within(covered[1], height)
    return left, top, right, bottom


@inner
def _cells(low: float, high: float, frame: NDArray[np.float64], count: int) -> tuple[int, int]:
    """First cell of a box's side, and the one after its last."""
    first = within((low * frame[0] + frame[1] - SLACK) * count, count)
    return first, max(first, within((high * frame[0] + frame[1] - SLACK) * count, count))


@inner
def _cells_within(frame: NDArray[np.float64], count: int) -> tuple[int, int]:
    """First cell that has a part of the image, and the one after the last."""
    begin = frame[1] * count
    first = 0
    if begin > 0.0:
        first = math.floor(begin) if begin < count else count
    return first, max(first, within((frame[0] + frame[1]) * count, count))


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

    Cells are looked at that have a part in the image: no more than the far side of one lies outside.
    """
    place = (cell / count - frame[1]) / frame[0]
    return np.float32(min(max(place, 0.0), 1.0))


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
