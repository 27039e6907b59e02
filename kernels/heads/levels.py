"""Where the numbers of a head with a grid per stride are, whatever the layout of its tensors.

An image's boxes are numbered level by level, in each by ``(row * columns + column) * anchors + anchor``. A
level is a row of a `LevelTable`: its first box, the columns of its grid, its stride, the tensor that holds
it, where in it an image's numbers begin, and the steps from cell to cell, from anchor to anchor and from
channel to channel.
"""

from __future__ import annotations

from typing import NewType

import numpy as np
from numpy.typing import NDArray

from .._jit import borrowing, inner

FIRST_BOX, COLUMNS, STRIDE, TENSOR, START, CELL_STEP, ANCHOR_STEP, CHANNEL_STEP = range(8)
PART_TENSOR, IS_PLANAR, PART_START, INNER, SIZE, FIRST_COLUMN, PART_BOX, BOX_STEP = range(8)

LevelTable = NewType("LevelTable", NDArray[np.int64])
"""Levels (1 or B, S, 8)."""
Parts = NewType("Parts", NDArray[np.int64])
"""Runs of scores that lie together (P, 8): see `Distances`."""
AnchorsPerCell = NewType("AnchorsPerCell", int)
CellOffset = NewType("CellOffset", float)
InStrides = NewType("InStrides", bool)
"""Whether distances are in strides, not in pixels."""


@inner
def level_of(box: int, levels: NDArray[np.int64]) -> int:
    """Level of a box."""
    level = 0
    while level + 1 < levels.shape[0] and box >= levels[level + 1, FIRST_BOX]:
        level += 1
    return level


@borrowing
def place_cell(
    box: int, level: NDArray[np.int64], anchors: int, cell_offset: float, centre: NDArray[np.float64]
) -> int:
    """Write the centre of a box's cell; return where its first number is."""
    cell, anchor = divmod(box - level[FIRST_BOX], anchors)
    row, column = divmod(cell, level[COLUMNS])
    centre[0] = (column + cell_offset) * level[STRIDE]
    centre[1] = (row + cell_offset) * level[STRIDE]
    return int(level[START] + cell * level[CELL_STEP] + anchor * level[ANCHOR_STEP])
