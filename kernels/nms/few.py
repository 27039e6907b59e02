"""Greedy non-maximum suppression of so few boxes that each kept one is compared with all, as vectors.

The best of those that are left is looked for anew for each box that is kept, which is quicker than sorting
where one box suppresses many; once several are kept, what is left is sorted after all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inner
from ..core.iou import box_area, intersection

MOST_BOXES = 128
# Loops over lanes run to a multiple of this, so that no vector code has single lanes left over.
_LANES = 32
_GONE = np.int32(-(2**31))
_MAGNITUDE = np.int32(2**31 - 1)
_NO_ROW = np.int32(MOST_BOXES)


@inner
def nms_of_few(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    groups: NDArray[np.int64],
    lowest_group: int,
    iou_threshold: np.float32,
) -> NDArray[np.int64]:
    """Do what `nms.greedy_nms` does, for at most `MOST_BOXES`."""
    size = scores.shape[0]
    lanes = (size + _LANES - 1) // _LANES * _LANES
    table = np.empty((5, lanes), np.float32)
    numbers = np.empty((6, lanes), np.int32)
    keys, owners, order, kept = numbers[0], numbers[1], numbers[2], numbers[3]
    places, taken = numbers[4], numbers[5]
    # A loop for each kind of number: together they would not be vector code.
    for row in range(size):
        x1, y1, x2, y2 = boxes[row, 0], boxes[row, 1], boxes[row, 2], boxes[row, 3]
        table[0, row], table[1, row], table[2, row], table[3, row] = x1, y1, x2, y2
        table[4, row] = box_area(x1, y1, x2, y2)
    for row in range(size):
        # Integers that order as scores do, above `_GONE`; -0 becomes 0.
        bits = np.float32(scores[row] + np.float32(0.0)).view(np.int32)
        bits = np.int32(bits ^ _MAGNITUDE) if bits < 0 else bits
        keys[row] = bits if scores[row] == scores[row] else _GONE
        owners[row] = 0
    for row in range(groups.shape[0]):
        owners[row] = groups[row] - lowest_group
    for row in range(size, lanes):
        for side in range(5):
            table[side, row] = 0.0
        owners[row] = 0
        keys[row] = _GONE
    for lane in range(lanes):
        places[lane] = 0
        taken[lane] = 0
    searches = 1 + lanes // 16
    left = place = count = 0
    while True:
        if count < searches:
            best = _GONE
            for lane in range(lanes):
                best = keys[lane] if keys[lane] > best else best
            if best == _GONE:
                break
            row = int(_NO_ROW)
            for lane in range(lanes):
                found = np.int32(lane) if keys[lane] == best else _NO_ROW
                row = int(found) if found < row else row
        else:
            if place == 0:
                # The place of a key is how many are larger, and of equal ones how many are before it.
                # Two rows at a time, since adding up takes longer than comparing.
                for row in range(0, lanes, 2):
                    first, second = keys[row], keys[row + 1]
                    for lane in range(lanes):
                        key = keys[lane]
                        places[lane] = np.int32(places[lane] + (first > key) + (second > key))
                for row in range(lanes):
                    if keys[row] != _GONE:
                        spot = places[row]
                        order[spot + taken[spot]] = row
                        taken[spot] += 1
                        left += 1
            while place < left and keys[order[place]] == _GONE:
                place += 1
            if place == left:
                break
            row = order[place]
            place += 1
        kept[count] = row
        count += 1
        x1, y1, x2, y2, area = table[0, row], table[1, row], table[2, row], table[3, row], table[4, row]
        owner = owners[row]
        limit = iou_threshold if area > 0.0 else np.float32(np.inf)
        for lane in range(lanes):
            shared = intersection(
                x1, y1, x2, y2, table[0, lane], table[1, lane], table[2, lane], table[3, lane]
            )
            over = shared / (area + table[4, lane] - shared) > limit
            gone = (over & (owners[lane] == owner)) | (np.int32(lane) == row)
            key = keys[lane]
            keys[lane] = _GONE if gone else key
    rows = np.empty(count, np.int64)
    for index in range(count):
        rows[index] = kept[index]
    return rows
