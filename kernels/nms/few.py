"""Greedy non-maximum suppression that compares whole rows of boxes as vectors, near ones and far ones.

Branches are few, because those of suppression are mispredicted: whether a box is kept is news each time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inner
from ..core.bits import lowest_bit
from ..core.iou import box_area, intersection

# Loops over lanes run to a multiple of this, so that no vector code has single lanes left over.
LANES = 16
GONE = np.int32(-(2**31))
_MAGNITUDE = np.int32(2**31 - 1)
_ONE = np.uint64(1)


@inner
def sort_keys(scores: NDArray[np.float32]) -> NDArray[np.int32]:
    """Integers that order as the scores (N,) do, all above `GONE`, which is for NaN and up to whole lanes."""
    size = scores.shape[0]
    keys = np.empty((size + LANES - 1) // LANES * LANES, np.int32)
    for row in range(size):
        # -0 becomes 0.
        bits = np.float32(scores[row] + np.float32(0.0)).view(np.int32)
        bits = np.int32(bits ^ _MAGNITUDE) if bits < 0 else bits
        keys[row] = bits if scores[row] == scores[row] else GONE
    for lane in range(size, keys.shape[0]):
        keys[lane] = GONE
    return keys


@inner
def take_best(
    boxes: NDArray[np.float32],
    keys: NDArray[np.int32],
    groups: NDArray[np.int64],
    lowest_group: int,
    iou_threshold: np.float32,
    kept: NDArray[np.int64],
) -> tuple[int, int]:
    """Keep the best box, take away what it suppresses, and so on, while a box takes away many.

    That is quicker than sorting what is suppressed soon. Rows of kept boxes go to `kept`, and keys of what is
    kept or taken away become `GONE`; returned is how many are kept and how many are left.
    """
    size, lanes = boxes.shape[0], keys.shape[0]
    table = np.empty((5, lanes), np.float32)
    owners = np.empty(lanes, np.int32)
    # A loop for each kind of number: together they would not be vector code.
    for row in range(size):
        x1, y1, x2, y2 = boxes[row, 0], boxes[row, 1], boxes[row, 2], boxes[row, 3]
        table[0, row], table[1, row], table[2, row], table[3, row] = x1, y1, x2, y2
        table[4, row] = box_area(x1, y1, x2, y2)
    for lane in range(lanes):
        owners[lane] = 0
    for row in range(groups.shape[0]):
        owners[row] = groups[row] - lowest_group
    for row in range(size, lanes):
        for side in range(5):
            table[side, row] = 0.0
    best = GONE
    for lane in range(lanes):
        best = keys[lane] if keys[lane] > best else best
    worth = 1 + lanes // 24
    count = 0
    left = np.int32(size)
    while best != GONE and size - left >= worth * count:
        row = lanes
        for lane in range(lanes):
            found = np.int32(lane) if keys[lane] == best else np.int32(lanes)
            row = int(found) if found < row else row
        kept[count] = row
        count += 1
        x1, y1, x2, y2, area = table[0, row], table[1, row], table[2, row], table[3, row], table[4, row]
        owner = owners[row]
        limit = iou_threshold if area > 0.0 else np.float32(np.inf)
        best = GONE
        left = np.int32(0)
        for lane in range(lanes):
            shared = intersection(
                x1, y1, x2, y2, table[0, lane], table[1, lane], table[2, lane], table[3, lane]
            )
            over = shared / (area + table[4, lane] - shared) > limit
            key = keys[lane]
            key = GONE if (over & (owners[lane] == owner)) | (np.int32(lane) == row) else key
            keys[lane] = key
            best = key if key > best else best
            left += np.int32(key != GONE)
    return count, 0 if best == GONE else int(left)


@inner
def nms_in_blocks(
    boxes: NDArray[np.float32],
    order: NDArray[np.int64],
    groups: NDArray[np.int64],
    lowest_group: int,
    iou_threshold: np.float32,
) -> int:
    """Do what `greedy.greedy_nms` does for boxes in `order`, best first, of less than 2**24 groups.

    Moves those that are kept to the front of `order`, and returns how many they are. A block of boxes is
    compared with all kept ones before it, then with those of its own.
    """
    size = order.shape[0]
    blocks = (size + LANES - 1) // LANES
    # Of each block x1, y1, x2, y2, area and group of its boxes; and those of kept boxes that have an area.
    tiles = np.zeros((blocks, 6, LANES), np.float32)
    kept = np.empty((6, size), np.float32)
    for place in range(size):
        row = order[place]
        x1, y1, x2, y2 = boxes[row, 0], boxes[row, 1], boxes[row, 2], boxes[row, 3]
        tile, lane = tiles[place // LANES], place % LANES
        tile[0, lane], tile[1, lane], tile[2, lane], tile[3, lane] = x1, y1, x2, y2
        tile[4, lane] = box_area(x1, y1, x2, y2)
        if groups.shape[0] > 0:
            tile[5, lane] = groups[row] - lowest_group
    hits, conflicts = np.empty(LANES, np.int32), np.empty(LANES, np.uint64)
    count = compared = 0
    for block in range(blocks):
        tile = tiles[block]
        for lane in range(LANES):
            hits[lane] = 0
        for other in range(compared):
            x1, y1, x2, y2 = kept[0, other], kept[1, other], kept[2, other], kept[3, other]
            area, owner = kept[4, other], kept[5, other]
            for lane in range(LANES):
                shared = intersection(
                    x1, y1, x2, y2, tile[0, lane], tile[1, lane], tile[2, lane], tile[3, lane]
                )
                # Added up: what is stored only where it is more waits for the store before it.
                over = shared / (area + tile[4, lane] - shared) > iou_threshold
                hits[lane] += np.int32(over & (tile[5, lane] == owner))
        first = block * LANES
        bits = np.uint32(0)
        for lane in range(LANES):
            bits |= np.uint32((hits[lane] == 0) & (lane < size - first)) << np.uint32(lane)
        left = np.uint64(bits)
        # Which boxes of the block each of it would suppress, before it is known whether it is kept: so none
        # waits for the one before it.
        rest = left
        while rest != 0:
            spot = lowest_bit(rest)
            rest &= rest - _ONE
            x1, y1, x2, y2, area = tile[0, spot], tile[1, spot], tile[2, spot], tile[3, spot], tile[4, spot]
            owner = tile[5, spot]
            limit = iou_threshold if area > 0.0 else np.float32(np.inf)
            bits = np.uint32(0)
            for lane in range(LANES):
                shared = intersection(
                    x1, y1, x2, y2, tile[0, lane], tile[1, lane], tile[2, lane], tile[3, lane]
                )
                over = shared / (area + tile[4, lane] - shared) > limit
                bits |= np.uint32(over & (tile[5, lane] == owner)) << np.uint32(lane)
            conflicts[spot] = bits
        while left != 0:
            spot = lowest_bit(left)
            left &= (left - _ONE) & ~conflicts[spot]
            order[count] = order[first + spot]
            count += 1
            # What has no area suppresses nothing: the next one takes its place.
            for side in range(6):
                kept[side, compared] = tile[side, spot]
            compared += tile[4, spot] > 0.0
    return count
