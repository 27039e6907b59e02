"""A uniform grid over many boxes, so that each is compared with those near it only.

A kept box is listed in every cell that it lies in. A box whose Jaccard index with a kept one is above t
shares more than t of its own width and height with it (the intersection is more than t of its area, and no
higher than itself). Such a stretch reaches the box's core: what is left when t of its size, but at most half,
is taken off each side. So only the lists of the core's cells have to be looked at; where t is 0.5 or more,
the core is a point. A Jaccard index as computed in float32 may be a millionth too high (16 roundings): then
less of the box is shared, and its core may begin just behind a kept box, in another cell. So a kept box has a
margin: a thousandth of its own size, which is at least as large as what it shares.

All groups share one grid, whose cells each group counts from another one on: their lists do not meet where
the boxes do. Lists of two groups may still be one, so that it is known of each box which group it is of.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inner
from ..core.iou import box_area, intersection

# From how many boxes on a grid is quicker than lists, without and with groups.
GRID_PAYS = 512
GRID_PAYS_IN_GROUPS = 1024
# A box in more cells than this is listed apart, and compared with every other of its group.
_MOST_CELLS = 64
# How many boxes of middling size a cell is wide and high. A kept box is copied into two or three cells then.
# Of places instead of copies, in cells as large as a box, the lists took twice as long: behind each place is
# a cache miss. With 3 instead of 4, 100,000 boxes took a tenth longer, 10,000 as long.
_BOXES_PER_CELL = 4.0
# A list is a chain of blocks of copies. The place of its newest box says where it ends: block, lane, and
# whether there is an older block, in bits from 5, from 1 and 0; -1 is an empty list.
_LANES = 16
_FEWEST_BLOCKS = 256
_MARGIN = 1e-3
# Neighbouring groups count cells from places this far apart.
_STEP = 7919

_SAMPLE = 64
# Smaller areas are on their way to float32's subnormals, where a Jaccard index loses its accuracy.
_SMALLEST_AREA = np.float32(1e-30)

UniformGrid = tuple[float, float, float, float, int, int]


@inner
def group_of(groups: NDArray[np.int64], row: int, lowest_group: int, group_count: int) -> int:
    """Give the number of a box's group, from 0 on.

    Limited to `group_count`, for it is an index: another thread may write to the caller's array meanwhile.
    """
    return int(min(max(groups[row] - lowest_group, 0), group_count - 1))


@inner
def lay_grid(ranked: NDArray[np.float32]) -> UniformGrid:
    """Lay a grid over boxes (4, N): left, top, columns and lines per unit, columns, lines.

    Cells are at most half as many as boxes.
    """
    count = ranked.shape[1]
    tiny = False
    for place in range(count):
        area = (ranked[2, place] - ranked[0, place]) * (ranked[3, place] - ranked[1, place])
        tiny |= (area > 0.0) & (area < _SMALLEST_AREA)
    if tiny:
        return 0.0, 0.0, 0.0, 0.0, 1, 1
    size = min(count, _SAMPLE)
    sample = np.empty((4, size), np.float32)
    for index in range(size):
        place = index * count // size
        sample[0, index] = 0.5 * ranked[0, place] + 0.5 * ranked[2, place]
        sample[1, index] = 0.5 * ranked[1, place] + 0.5 * ranked[3, place]
        sample[2, index] = ranked[2, place] - ranked[0, place]
        sample[3, index] = ranked[3, place] - ranked[1, place]
    left, columns_per_unit, columns = _divide(sample[0], sample[2])
    top, lines_per_unit, lines = _divide(sample[1], sample[3])
    most = max(1.0, 0.5 * count)
    if columns * lines > most:
        shrink = np.sqrt(most / (columns * lines))
        fewer_columns = max(1.0, np.floor(columns * shrink))
        fewer_lines = max(1.0, np.floor(lines * shrink))
        columns_per_unit *= fewer_columns / columns
        lines_per_unit *= fewer_lines / lines
        columns, lines = fewer_columns, fewer_lines
    return left, top, columns_per_unit, lines_per_unit, int(columns), int(lines)


@inner
def _divide(centres: NDArray[np.float32], sizes: NDArray[np.float32]) -> tuple[float, float, float]:
    """Where an axis begins, and how many cells it has per unit and in all."""
    # A few boxes far away must not stretch the grid: they fall into the cells at its edge.
    edge = centres.shape[0] // 50
    low = np.float64(_nth(centres, edge))
    extent = np.float64(_nth(centres, centres.shape[0] - 1 - edge)) - low
    # About as much as was cut off.
    low -= 0.05 * extent
    extent *= 1.1
    size = _BOXES_PER_CELL * np.float64(_nth(sizes, sizes.shape[0] // 2))
    # Also where the extent is no number, or the boxes have no size.
    if not (extent > 0.0 and extent < np.inf):
        return low, 0.0, 1.0
    cells = 1024.0 if not size > 0.0 else min(1024.0, max(1.0, np.floor(extent / size)))
    return low, cells / extent if cells > 1.0 else 0.0, cells


@inner
def _nth(values: NDArray[np.float32], rank: int) -> np.float32:
    # Comparing few with each other is quicker than sorting them; NaN if NaN is in the way.
    for index in range(values.shape[0]):
        below = 0
        up_to = 0
        for other in range(values.shape[0]):
            below += values[other] < values[index]
            up_to += values[other] <= values[index]
        if below <= rank and rank < up_to:
            return np.float32(values[index])
    return np.float32(np.nan)


@inner
def _cell(position: float, origin: float, per_unit: float, last: float) -> np.int32:
    # Rounds down, in order: of two positions the further one is never in a nearer cell. Without branches.
    scaled = (position - origin) * per_unit
    scaled = scaled if scaled > 0.0 else 0.0
    return np.int32(scaled if scaled < last else last)


@inner
def nms_on_grid(
    boxes: NDArray[np.float32],
    order: NDArray[np.int64],
    groups: NDArray[np.int64],
    lowest_group: int,
    group_count: int,
    iou_threshold: np.float32,
) -> int:
    """Do what `nms.greedy_nms` does for boxes in `order`, best first, of which there is one at least.

    Moves those that are kept to the front of `order`, and returns how many they are.
    """
    size = order.shape[0]
    # Without groups there is one array entry for all boxes, and one row for all blocks, of group 0.
    by_group = 1 if groups.shape[0] > 0 else 0
    ranked = np.empty((4, size), np.float32)
    ranked_groups = np.empty(1 + (size - 1) * by_group, np.int32)
    ranked_groups[0] = 0
    for place in range(size):
        row = order[place]
        for side in range(4):
            ranked[side, place] = boxes[row, side]
        if by_group:
            ranked_groups[place] = group_of(groups, row, lowest_group, group_count)
    grid = lay_grid(ranked)
    # First column and line, last column and line of each core.
    trim = min(float(iou_threshold), 0.5)
    last_column, last_line = float(grid[4] - 1), float(grid[5] - 1)
    cores = np.empty((4, size), np.int16)
    for place in range(size):
        x1, y1 = np.float64(ranked[0, place]), np.float64(ranked[1, place])
        x2, y2 = np.float64(ranked[2, place]), np.float64(ranked[3, place])
        trim_x, trim_y = trim * (x2 - x1), trim * (y2 - y1)
        cores[0, place] = _cell(x1 + trim_x, grid[0], grid[2], last_column)
        cores[1, place] = _cell(y1 + trim_y, grid[1], grid[3], last_line)
        cores[2, place] = _cell(x2 - trim_x, grid[0], grid[2], last_column)
        cores[3, place] = _cell(y2 - trim_y, grid[1], grid[3], last_line)
    # First a list for each group of its boxes that lie in too many cells.
    heads = np.empty(group_count + grid[4] * grid[5], np.int32)
    for head in range(heads.shape[0]):
        heads[head] = -1
    # Memory that is not touched costs nothing, more of it later a copy. And while this is as much as all the
    # rest, the C library keeps it from call to call: fresh pages took a third of the time of 100,000 boxes.
    room = max(_FEWEST_BLOCKS, size // 6)
    links = np.empty(room, np.int32)
    pool = np.empty((room, 4, _LANES), np.float32)
    owners = np.empty((1 + (room - 1) * by_group, _LANES), np.int32)
    for lane in range(_LANES):
        owners[0, lane] = 0
    place = used = count = 0
    while True:
        # Arrays that change in a loop are counted references in each turn of it: these change outside of it.
        place, used, count = _meet(
            place,
            used,
            count,
            ranked,
            cores,
            ranked_groups,
            order,
            grid,
            group_count,
            heads,
            links,
            pool,
            owners,
            iou_threshold,
        )
        if place == size:
            return count
        room *= 2
        more_links = np.empty(room, np.int32)
        more_pool = np.empty((room, 4, _LANES), np.float32)
        more_owners = np.empty((1 + (room - 1) * by_group, _LANES), np.int32)
        for block in range(used):
            more_links[block] = links[block]
            for lane in range(_LANES):
                more_owners[block * by_group, lane] = owners[block * by_group, lane]
                for side in range(4):
                    more_pool[block, side, lane] = pool[block, side, lane]
        links, pool, owners = more_links, more_pool, more_owners


@inner
def _meet(
    place: int,
    used: int,
    count: int,
    ranked: NDArray[np.float32],
    cores: NDArray[np.int16],
    ranked_groups: NDArray[np.int32],
    order: NDArray[np.int64],
    grid: UniformGrid,
    group_count: int,
    heads: NDArray[np.int32],
    links: NDArray[np.int32],
    pool: NDArray[np.float32],
    owners: NDArray[np.int32],
    iou_threshold: np.float32,
) -> tuple[int, int, int]:
    """Meet boxes from `place` on until blocks may run out; return place, blocks used and boxes kept."""
    size = ranked.shape[1]
    by_group = 1 if owners.shape[0] > 1 else 0
    columns, cells = grid[4], grid[4] * grid[5]
    last_column, last_line = float(grid[4] - 1), float(grid[5] - 1)
    while place < size and used + _MOST_CELLS <= pool.shape[0]:
        x1, y1, x2, y2 = ranked[0, place], ranked[1, place], ranked[2, place], ranked[3, place]
        area = box_area(x1, y1, x2, y2)
        if area > 0.0:
            group = ranked_groups[place * by_group]
            first = (_STEP * np.int64(group)) % cells if by_group else 0
            left, row, right, bottom = cores[0, place], cores[1, place], cores[2, place], cores[3, place]
            column = left
            slot = heads[group]
            suppressed = False
            while True:
                while slot >= 0:
                    block = slot >> 5
                    for lane in range(_LANES):
                        a1, b1 = pool[block, 0, lane], pool[block, 1, lane]
                        a2, b2 = pool[block, 2, lane], pool[block, 3, lane]
                        # Unused lanes are boxes without area: they share nothing.
                        shared = intersection(x1, y1, x2, y2, a1, b1, a2, b2)
                        over = shared / (area + (a2 - a1) * (b2 - b1) - shared) > iou_threshold
                        suppressed |= over & (owners[block * by_group, lane] == group)
                    if suppressed:
                        break
                    slot = links[block] if slot & 1 else -1
                if suppressed or row > bottom:
                    break
                cell = first + row * columns + column
                slot = heads[group_count + (cell if cell < cells else cell - cells)]
                if column < right:
                    column += 1
                else:
                    column = left
                    row += 1
            if suppressed:
                place += 1
                continue
            margin_x, margin_y = _MARGIN * (np.float64(x2) - x1), _MARGIN * (np.float64(y2) - y1)
            left = _cell(x1 - margin_x, grid[0], grid[2], last_column)
            top = _cell(y1 - margin_y, grid[1], grid[3], last_line)
            right = _cell(x2 + margin_x, grid[0], grid[2], last_column)
            bottom = _cell(y2 + margin_y, grid[1], grid[3], last_line)
            apart = (right - left + 1) * (bottom - top + 1) > _MOST_CELLS
            if apart:
                right, bottom = left, top
            for row in range(top, bottom + 1):
                for column in range(left, right + 1):
                    cell = first + row * columns + column
                    head = group if apart else group_count + (cell if cell < cells else cell - cells)
                    slot = heads[head]
                    lane = ((slot >> 1) & (_LANES - 1)) + 1
                    if slot < 0 or lane == _LANES:
                        links[used] = slot
                        slot = (used << 5) | (slot >= 0)
                        for side in range(4):
                            for lane in range(_LANES):
                                pool[used, side, lane] = 0.0
                        lane = 0
                        used += 1
                    else:
                        slot += 2
                    heads[head] = slot
                    block = slot >> 5
                    pool[block, 0, lane] = x1
                    pool[block, 1, lane] = y1
                    pool[block, 2, lane] = x2
                    pool[block, 3, lane] = y2
                    owners[block * by_group, lane] = group
        order[count] = order[place]
        count += 1
        place += 1
    return place, used, count
