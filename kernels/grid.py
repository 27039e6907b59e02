"""A uniform grid over many boxes, so that each is compared with those near it only.

A kept box is listed in every cell that it lies in. A box whose Jaccard index with a kept one is above t
shares more than t of its own width and height with it (the intersection is more than t of its area, and no
higher than itself). Such a stretch reaches the box's core: what is left when t of its size, but at most half,
is taken off each side. So only the lists of the core's cells have to be looked at; where t is 0.5 or more,
the core is a point. Margins for rounding make this hold for the Jaccard index as computed in float32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._jit import inner
from .candidates import from_sortable, sort_descending, sortable
from .iou import box_area, intersection

# From how many boxes a group on a grid is quicker than one list.
GRID_PAYS = 1024
# A box in more cells than this is listed apart, and compared with every other.
_MOST_CELLS = 64
# A list is a chain of lines of 16 numbers, one line of the processor's cache: the next line, how many boxes
# this one has, and their places. Copies of the boxes, as in the lists of `nms`, would be five lines each.
_LINE = 16
_NEXT = 0
_SIZE = 1
_FIRST = 2

_SAMPLE = 255
# Smaller areas are on their way to float32's subnormals, where a Jaccard index loses its accuracy.
_SMALLEST_AREA = np.float32(1e-30)

Grid = tuple[float, float, float, float, int, int]


@inner
def lay_grid(boxes: NDArray[np.float32], rows: NDArray[np.int64], groups: int) -> Grid:
    """Lay a grid over the boxes of `rows`: left, top, columns and lines per unit, columns, lines.

    Cells have about the size of a box, and are at most half as many as boxes in all `groups` together.
    """
    step = max(1, rows.shape[0] // _SAMPLE)
    size = (rows.shape[0] + step - 1) // step
    sample = np.empty((4, size), np.float32)
    for index in range(size):
        row = rows[index * step]
        sample[0, index] = 0.5 * boxes[row, 0] + 0.5 * boxes[row, 2]
        sample[1, index] = 0.5 * boxes[row, 1] + 0.5 * boxes[row, 3]
        sample[2, index] = boxes[row, 2] - boxes[row, 0]
        sample[3, index] = boxes[row, 3] - boxes[row, 1]
    for quantity in range(4):
        _sort(sample[quantity])
    for index in range(rows.shape[0]):
        row = rows[index]
        area = (boxes[row, 2] - boxes[row, 0]) * (boxes[row, 3] - boxes[row, 1])
        if area > 0.0 and area < _SMALLEST_AREA:
            return 0.0, 0.0, 0.0, 0.0, 1, 1
    # A few boxes far away must not stretch the grid: they fall into the cells at its edge.
    low, middle, high = size // 50, size // 2, size - 1 - size // 50
    left, width = sample[0, low], sample[0, high] - sample[0, low]
    top, height = sample[1, low], sample[1, high] - sample[1, low]
    columns = _count(width, sample[2, middle])
    lines = _count(height, sample[3, middle])
    most = max(1.0, 0.5 * rows.shape[0] / groups)
    if columns * lines > most:
        shrink = np.sqrt(most / (columns * lines))
        columns = max(1.0, np.floor(columns * shrink))
        lines = max(1.0, np.floor(lines * shrink))
    return (
        np.float64(left),
        np.float64(top),
        columns / width if columns > 1.0 else 0.0,
        lines / height if lines > 1.0 else 0.0,
        int(columns),
        int(lines),
    )


@inner
def _sort(values: NDArray[np.float32]) -> None:
    keys = np.empty(values.shape[0], np.uint64)
    for index in range(values.shape[0]):
        keys[index] = (np.uint64(sortable(-values[index])) << np.uint64(32)) | np.uint64(index)
    sort_descending(keys, np.empty(values.shape[0], np.uint64), values.shape[0], 0)
    for index in range(values.shape[0]):
        values[index] = -from_sortable(np.uint32(keys[index] >> np.uint64(32)))


@inner
def _count(extent: np.float32, size: np.float32) -> float:
    # Also where the extent is no number, or the boxes have no size.
    if not (extent > 0.0 and extent < np.inf):
        return 1.0
    if not size > 0.0:
        return 1024.0
    return float(min(1024.0, max(1.0, np.floor(np.float64(extent) / np.float64(size)))))


@inner
def cells_of_box(
    grid: Grid, x1: np.float32, y1: np.float32, x2: np.float32, y2: np.float32
) -> tuple[int, int, int, int]:
    """First and last column and line (left, top, right, bottom) that a box lies in, with a margin."""
    margin_x = 1e-3 * (np.float64(x2) - x1) + 1e-6 * max(abs(x1), abs(x2))
    margin_y = 1e-3 * (np.float64(y2) - y1) + 1e-6 * max(abs(y1), abs(y2))
    return (
        _cell(x1 - margin_x, grid[0], grid[2], grid[4]),
        _cell(y1 - margin_y, grid[1], grid[3], grid[5]),
        _cell(x2 + margin_x, grid[0], grid[2], grid[4]),
        _cell(y2 + margin_y, grid[1], grid[3], grid[5]),
    )


@inner
def cells_of_core(
    grid: Grid, x1: np.float32, y1: np.float32, x2: np.float32, y2: np.float32, iou_threshold: np.float32
) -> tuple[int, int, int, int]:
    """First and last column and line that the core of a box lies in."""
    trim = min(0.5, 0.999 * float(iou_threshold))
    trim_x = trim * (np.float64(x2) - x1)
    trim_y = trim * (np.float64(y2) - y1)
    return (
        _cell(x1 + trim_x, grid[0], grid[2], grid[4]),
        _cell(y1 + trim_y, grid[1], grid[3], grid[5]),
        _cell(x2 - trim_x, grid[0], grid[2], grid[4]),
        _cell(y2 - trim_y, grid[1], grid[3], grid[5]),
    )


@inner
def _cell(position: float, origin: float, per_unit: float, count: int) -> int:
    # Rounds down, in order: of two positions the further one is never in a nearer cell.
    scaled = (position - origin) * per_unit
    if not scaled > 0.0:
        return 0
    return int(scaled) if scaled < count else count - 1


@inner
def nms_on_grid(
    boxes: NDArray[np.float32],
    order: NDArray[np.int64],
    groups: NDArray[np.int64],
    lowest_group: int,
    group_count: int,
    iou_threshold: np.float32,
) -> NDArray[np.int64]:
    """Do what `nms.greedy_nms` does for boxes in `order`, best first."""
    grid = lay_grid(boxes, order, group_count)
    lists_per_group = 1 + grid[4] * grid[5]
    heads = np.full(group_count * lists_per_group, -1, np.int32)
    lines = np.empty((256, _LINE), np.int32)
    used = 0
    # By rank: what is compared often, the best, lies together.
    ranked = np.empty((order.shape[0], 4), np.float32)
    for place in range(order.shape[0]):
        for side in range(4):
            ranked[place, side] = boxes[order[place], side]
    kept = np.empty(order.shape[0], np.int64)
    count = 0
    for place in range(order.shape[0]):
        x1, y1, x2, y2 = ranked[place, 0], ranked[place, 1], ranked[place, 2], ranked[place, 3]
        group = groups[order[place]] - lowest_group if groups.shape[0] > 0 else 0
        # The first list of a group has its boxes that lie in too many cells.
        apart = group * lists_per_group
        if box_area(x1, y1, x2, y2) > 0.0:
            suppressed = _is_suppressed(apart, heads, lines, ranked, place, iou_threshold)
            left, top, right, bottom = cells_of_core(grid, x1, y1, x2, y2, iou_threshold)
            for row in range(top, bottom + 1):
                for column in range(left, right + 1):
                    if not suppressed:
                        cell = apart + 1 + row * grid[4] + column
                        suppressed = _is_suppressed(cell, heads, lines, ranked, place, iou_threshold)
            if suppressed:
                continue
            left, top, right, bottom = cells_of_box(grid, x1, y1, x2, y2)
            covered = (right - left + 1) * (bottom - top + 1)
            if used + covered > lines.shape[0]:
                more = np.empty((2 * (used + covered), _LINE), np.int32)
                for line in range(used):
                    for index in range(_LINE):
                        more[line, index] = lines[line, index]
                lines = more
            if covered > _MOST_CELLS:
                used = _list(apart, heads, lines, used, place)
            else:
                for row in range(top, bottom + 1):
                    for column in range(left, right + 1):
                        used = _list(apart + 1 + row * grid[4] + column, heads, lines, used, place)
        kept[count] = order[place]
        count += 1
    return kept[:count].copy()


@inner
def _is_suppressed(
    head: int,
    heads: NDArray[np.int32],
    lines: NDArray[np.int32],
    ranked: NDArray[np.float32],
    place: int,
    iou_threshold: np.float32,
) -> bool:
    x1, y1, x2, y2 = ranked[place, 0], ranked[place, 1], ranked[place, 2], ranked[place, 3]
    area = box_area(x1, y1, x2, y2)
    line = heads[head]
    while line >= 0:
        for index in range(_FIRST, _FIRST + lines[line, _SIZE]):
            other = lines[line, index]
            a1, b1, a2, b2 = ranked[other, 0], ranked[other, 1], ranked[other, 2], ranked[other, 3]
            shared = intersection(x1, y1, x2, y2, a1, b1, a2, b2)
            if shared / (area + box_area(a1, b1, a2, b2) - shared) > iou_threshold:
                return True
        line = lines[line, _NEXT]
    return False


@inner
def _list(head: int, heads: NDArray[np.int32], lines: NDArray[np.int32], used: int, place: int) -> int:
    line = heads[head]
    if line < 0 or lines[line, _SIZE] == _LINE - _FIRST:
        lines[used, _NEXT] = line
        lines[used, _SIZE] = 0
        heads[head] = used
        line = used
        used += 1
    size = lines[line, _SIZE]
    lines[line, _FIRST + size] = place
    lines[line, _SIZE] = size + 1
    return used
