"""Where a mask is surely empty or full: only the pixels between are interpolated, one by one.

A block is the pixels between the centres of four cells. Where all four are above 0, whatever is interpolated
between them is; where none is, nothing is. Borders of masks cross few of all blocks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inner
from .cells import Axis, Cells, Floats

FULL, EMPTY, MIXED = 1, 2, 0  # of a block: bits that all of its cells have

# Of numbers between these no product with a weight, nor sum of two, is 0 or infinite in float32.
_LEAST, _MOST = np.float32(1e-30), np.float32(1e30)
_ONE = np.float32(1.0)


@inner
def new_states(values: Floats) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return room for what is known of cells, and of blocks."""
    return np.empty(values.shape[0], np.uint8), np.empty(values.shape[0], np.uint8)


@inner
def judge_blocks(cells: Cells, of_cells: NDArray[np.uint8], of_blocks: NDArray[np.uint8]) -> int:
    """Write what each block is, by the cell before it, row by row; returns how many a row has.

    The last cell of an axis that has only one is its next one, too.
    """
    values, columns, rows = cells[0], cells[1], cells[2]
    for index in range(columns * rows):
        value = values[index]
        is_full = (value > _LEAST) & (value < _MOST)
        of_cells[index] = np.uint8(is_full) * np.uint8(FULL) | np.uint8(value <= 0.0) * np.uint8(EMPTY)
    count = max(columns - 1, 1)
    right = 1 if columns > 1 else 0
    for y in range(max(rows - 1, 1)):
        below = (y + 1 if rows > 1 else y) * columns
        above = y * columns
        upper, lower = of_cells[above : above + columns], of_cells[below : below + columns]
        target = of_blocks[y * count : (y + 1) * count]
        for x in range(count):
            target[x] = upper[x] & upper[x + right] & lower[x] & lower[x + right]
    return count


@inner
def find_stripes(before: NDArray[np.int64], start: int, end: int, ends: NDArray[np.int64]) -> int:
    """Write where stripes of pixels between the same two cells end; returns how many there are."""
    count = 0
    for pixel in range(start + 1, end):
        if before[pixel] != before[pixel - 1]:
            ends[count] = pixel
            count += 1
    ends[count] = end
    return count + 1


@inner
def find_spans(
    of_blocks: NDArray[np.uint8],
    step: int,
    before: NDArray[np.int64],
    first: int,
    start: int,
    stripes: NDArray[np.int64],
    ends: NDArray[np.int64],
    states: NDArray[np.uint8],
) -> int:
    """Write where spans of blocks that are alike end, and what they are; returns how many there are.

    The blocks of an axis are `step` apart; its first cell has the number `first`.
    """
    count = 0
    for stripe in range(stripes.shape[0]):
        state = of_blocks[(before[start] - first) * step]
        if count == 0 or states[count - 1] != state:
            states[count] = state
            count += 1
        start = ends[count - 1] = stripes[stripe]
    return count


@inner
def interpolate_rows(cells: Cells, column: int, rows: Axis, start: int, end: int, line: Floats) -> None:
    """Write what a column of cells has at pixels of an axis of rows, into `line` by their numbers."""
    values, columns, count, first = cells[0], cells[1], cells[2], cells[4]
    step = columns if count > 1 else 0
    for y in range(start, end):
        at = (rows[0][y] - first) * columns + column
        weight = rows[1][y]
        line[y] = values[at] * (_ONE - weight) + values[at + step] * weight


@inner
def interpolate_row(cells: Cells, row: int, weight: np.float32, line: Floats) -> None:
    """Write what cells have between a row and the next one, and the last of them twice."""
    values, columns, count = cells[0], cells[1], cells[2]
    above = row * columns
    below = above + columns if count > 1 else above
    for x in range(columns):
        line[x] = values[above + x] * (_ONE - weight) + values[below + x] * weight
    line[columns] = line[columns - 1]
