"""Greedy non-maximum suppression of boxes of the same label, by Jaccard index.

Boxes are met best first, and each is compared with those already kept for its label only. Kept boxes stand
in blocks of `LANES`, a structure of arrays of fixed length, so that one pass of vector code compares a box
with a whole block; the blocks of a label are a list. Three arrays hold them all, and every function takes
them: `heads` (buckets,) the newest block of each list, `links` (blocks, 2) the next older block and how many
boxes a block has, and `pool` (blocks, 5, LANES) their x1, y1, x2, y2 and area.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import borrowing, inlined, inner, kernel
from ..core.candidates import sort_descending
from ..core.iou import box_area, intersection
from .few import GONE, nms_in_blocks, sort_keys, take_best
from .spatial_index import GRID_PAYS, GRID_PAYS_IN_GROUPS, group_of, nms_on_grid

LANES = 16
# Up to how many boxes the best are looked for before the rest is sorted.
SEARCH_PAYS = 1024
# Up to how many kept boxes blocks are quicker than a grid: half as many, since it is a guess.
KEPT_IN_BLOCKS = 128
# Up to how many boxes of several groups blocks are quicker than lists.
BLOCKS_PAY_IN_GROUPS = 128
_NEXT = 0
_SIZE = 1
_ROWS = np.uint64(0xFFFFFFFF)


@borrowing
def is_suppressed(
    bucket: int,
    heads: NDArray[np.int32],
    links: NDArray[np.int32],
    pool: NDArray[np.float32],
    x1: np.float32,
    y1: np.float32,
    x2: np.float32,
    y2: np.float32,
    iou_threshold: np.float32,
) -> bool:
    """Whether a kept box of the bucket overlaps this one by a Jaccard index above the threshold."""
    area = box_area(x1, y1, x2, y2)
    block = heads[bucket] if area > 0.0 else -1
    while block >= 0:
        lanes = pool[block]
        hits = 0
        for lane in range(LANES):
            shared = intersection(
                x1, y1, x2, y2, lanes[0, lane], lanes[1, lane], lanes[2, lane], lanes[3, lane]
            )
            # Unused lanes are boxes without area: they share nothing, and 0 / 0 is not above a threshold.
            hits += shared / (area + lanes[4, lane] - shared) > iou_threshold
        if hits > 0:
            return True
        block = links[block, _NEXT]
    return False


@borrowing
def keep(
    bucket: int,
    heads: NDArray[np.int32],
    links: NDArray[np.int32],
    pool: NDArray[np.float32],
    used: int,
    x1: np.float32,
    y1: np.float32,
    x2: np.float32,
    y2: np.float32,
) -> int:
    """Add a box to the bucket, if it has an area; without one it overlaps nothing.

    Needs room for one block more than the `used` ones, and returns how many are used then.
    """
    area = box_area(x1, y1, x2, y2)
    if not area > 0.0:
        return used
    block = heads[bucket]
    if block < 0 or links[block, _SIZE] == LANES:
        lanes = pool[used]
        for side in range(5):
            for lane in range(LANES):
                lanes[side, lane] = 0.0
        links[used, _NEXT] = block
        links[used, _SIZE] = 0
        heads[bucket] = used
        block = used
        used += 1
    lane = links[block, _SIZE]
    links[block, _SIZE] = lane + 1
    pool[block, 0, lane] = x1
    pool[block, 1, lane] = y1
    pool[block, 2, lane] = x2
    pool[block, 3, lane] = y2
    pool[block, 4, lane] = area
    return used


@inlined
def with_room(
    links: NDArray[np.int32], pool: NDArray[np.float32], used: int, room: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the blocks in arrays that have room for `room` more than the `used` ones."""
    if used + room <= pool.shape[0]:
        return links, pool
    more_links = np.empty((2 * used + room, 2), np.int32)
    more_pool = np.empty((2 * used + room, 5, LANES), np.float32)
    for block in range(used):
        for field in range(2):
            more_links[block, field] = links[block, field]
        for side in range(5):
            for lane in range(LANES):
                more_pool[block, side, lane] = pool[block, side, lane]
    return more_links, more_pool


@inner
def rank(keys: NDArray[np.int32]) -> NDArray[np.int64]:
    """Rows of `keys` (N,) that are not `GONE`, largest key first, ties in their order."""
    count = 0
    ranked = np.empty(keys.shape[0], np.uint64)
    for row in range(keys.shape[0]):
        # The complement of the row: rows ascend while keys descend.
        sortable = np.uint64(np.int64(keys[row]) - np.int64(GONE)) << np.uint64(32)
        ranked[count] = sortable | (_ROWS - np.uint64(row))
        count += keys[row] != GONE
    order = np.empty(count, np.int64)
    sort_descending(ranked, np.empty(count, np.uint64), count, 32)
    for index in range(count):
        order[index] = np.int64(_ROWS - (ranked[index] & _ROWS))
    return order


@kernel
def extent(numbers: NDArray[np.int64]) -> tuple[int, int]:
    """Lowest and highest of `numbers` (N,); 0 and 0 if there are none."""
    lowest = highest = numbers[0] if numbers.shape[0] > 0 else 0
    for index in range(numbers.shape[0]):
        lowest = min(lowest, numbers[index])
        highest = max(highest, numbers[index])
    return lowest, highest


@kernel
def greedy_nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    groups: NDArray[np.int64],
    lowest_group: int,
    group_count: int,
    iou_threshold: float,
) -> NDArray[np.int64]:
    """Rows of the boxes (N, 4) that are kept, best first.

    Only boxes of equal `groups` (N,) suppress each other; without groups (0,) all do. There are no more than
    `group_count` from `lowest_group` on.
    """
    limit = np.float32(iou_threshold)
    keys = sort_keys(scores)
    best = np.empty(scores.shape[0], np.int64)
    taken, size = 0, scores.shape[0]
    if size <= SEARCH_PAYS:
        taken, size = take_best(boxes, keys, groups, lowest_group, limit, best)
    order = rank(keys) if size > 0 else np.empty(0, np.int64)
    size = order.shape[0]
    if size == 0:
        count = 0
    elif group_count == 1:
        # As many will be kept as if each took away as many as those did that are taken.
        will_be_kept = size * taken // max(1, scores.shape[0] - size) if taken > 0 else size
        if size < GRID_PAYS or will_be_kept < KEPT_IN_BLOCKS:
            count = nms_in_blocks(boxes, order, groups, lowest_group, limit)
        else:
            count = nms_on_grid(boxes, order, groups, lowest_group, group_count, limit)
    elif size <= BLOCKS_PAY_IN_GROUPS and group_count < 2**24:
        count = nms_in_blocks(boxes, order, groups, lowest_group, limit)
    elif size < GRID_PAYS_IN_GROUPS:
        count = _nms_of_lists(boxes, order, groups, lowest_group, group_count, limit)
    else:
        count = nms_on_grid(boxes, order, groups, lowest_group, group_count, limit)
    rows = np.empty(taken + count, np.int64)
    for index in range(taken):
        rows[index] = best[index]
    for index in range(count):
        rows[taken + index] = order[index]
    return rows


@inner
def _nms_of_lists(
    boxes: NDArray[np.float32],
    order: NDArray[np.int64],
    groups: NDArray[np.int64],
    lowest_group: int,
    group_count: int,
    limit: np.float32,
) -> int:
    """Do what `greedy_nms` does for boxes in `order`, best first, with a list of kept ones for each group."""
    count = used = 0
    heads = np.empty(group_count, np.int32)
    for group in range(group_count):
        heads[group] = -1
    links = np.empty((4, 2), np.int32)
    pool = np.empty((4, 5, LANES), np.float32)
    for index in range(order.shape[0]):
        row = order[index]
        bucket = group_of(groups, row, lowest_group, group_count)
        x1, y1, x2, y2 = boxes[row, 0], boxes[row, 1], boxes[row, 2], boxes[row, 3]
        if is_suppressed(bucket, heads, links, pool, x1, y1, x2, y2, limit):
            continue
        links, pool = with_room(links, pool, used, 1)
        used = keep(bucket, heads, links, pool, used, x1, y1, x2, y2)
        order[count] = row
        count += 1
    return count
