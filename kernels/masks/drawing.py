"""Masks as pixels, and whether they have any."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel
from ..core.writable import writable
from .blocks import EMPTY, FULL, find_spans, find_stripes, interpolate_row, judge_blocks, new_states
from .cells import (
    SLACK,
    Axis,
    Cells,
    Coefficients,
    Floats,
    Frame,
    Grids,
    Kind,
    Planes,
    Region,
    WholeBoxes,
    fill_cells,
    find_region,
    new_axes,
    new_cells,
)

# Corners that are the network's own have no error of a division.
_NO_SLACK = 1e-12
_ONE = np.float32(1.0)


@kernel
def draw_masks(
    kind: Kind,
    boxes: WholeBoxes,
    coefficients: Coefficients,
    planes: Planes,
    grids: Grids,
    frame: Frame,
    masks: NDArray[np.bool_],
) -> None:
    """Draw the masks of one image's rows into `masks` (K, height, width), which are false."""
    height, width = masks.shape[1], masks.shape[2]
    targets = writable(masks)
    columns, rows = new_axes(kind, grids, frame, height, width)
    values = new_cells(grids)
    of_cells, of_blocks = new_states(values)
    line = np.empty(grids.shape[2] + 3, np.float32)
    stripes, ends = np.empty(width + 1, np.int64), np.empty(width + 1, np.int64)
    states = np.empty(width + 1, np.uint8)
    for row in range(boxes.shape[0]):
        region = find_region(kind, boxes[row], grids, height, width, SLACK, columns, rows)
        left, top, right, bottom = region
        if left == right:
            continue
        cells = fill_cells(kind, coefficients[row], planes[row], grids, region, columns, rows, values)
        blocks = judge_blocks(cells, of_cells, of_blocks)
        count = find_stripes(columns[0], left, right, stripes)
        y = top
        while y < bottom:
            cell = rows[0][y] - cells[4]
            spans = find_spans(
                of_blocks[cell * blocks :], 1, columns[0], cells[3], left, stripes[:count], ends, states
            )
            begin = y
            while y < bottom and rows[0][y] == rows[0][begin]:
                y += 1
            if spans == 1 and states[0] == EMPTY:
                continue
            for at in range(begin, y):
                _draw_spans(
                    cells, cell, rows[1][at], columns, left, ends[:spans], states, line, targets[row, at]
                )


@kernel
def find_masks(
    kind: Kind,
    boxes: WholeBoxes,
    coefficients: Coefficients,
    planes: Planes,
    grids: Grids,
    frame: Frame,
    height: int,
    width: int,
) -> NDArray[np.bool_]:
    """Tell of each row of an image whether its mask has a pixel, (K,)."""
    found = np.empty(boxes.shape[0], np.bool_)
    columns, rows = new_axes(kind, grids, frame, height, width)
    values = new_cells(grids)
    of_cells, of_blocks = new_states(values)
    line = np.empty(grids.shape[2] + 3, np.float32)
    for row in range(boxes.shape[0]):
        region = find_region(kind, boxes[row], grids, height, width, _NO_SLACK, columns, rows)
        found[row] = False
        if region[0] == region[2]:
            continue
        cells = fill_cells(kind, coefficients[row], planes[row], grids, region, columns, rows, values)
        blocks = judge_blocks(cells, of_cells, of_blocks)
        found[row] = _has_full_block(cells, region, columns[0], rows[0], of_blocks, blocks) or _has_pixel(
            cells, region, columns, rows, of_blocks, blocks, line
        )
    return found


@inner
def _draw_spans(
    cells: Cells,
    cell: int,
    weight: np.float32,
    columns: Axis,
    start: int,
    ends: NDArray[np.int64],
    states: NDArray[np.uint8],
    line: Floats,
    target: NDArray[np.bool_],
) -> None:
    """Draw a row of pixels."""
    interpolate_row(cells, cell, weight, line)
    for span in range(ends.shape[0]):
        end = ends[span]
        if states[span] == FULL:
            for x in range(start, end):
                target[x] = True
        elif states[span] != EMPTY:
            for x in range(start, end):
                at = columns[0][x] - cells[3]
                target[x] = line[at] * (_ONE - columns[1][x]) + line[at + 1] * columns[1][x] > 0.0
        start = end


@inner
def _has_full_block(
    cells: Cells,
    region: Region,
    columns: NDArray[np.int64],
    rows: NDArray[np.int64],
    of_blocks: NDArray[np.uint8],
    blocks: int,
) -> bool:
    left, top, right, bottom = region
    for y in range(top, bottom):
        if y > top and rows[y] == rows[y - 1]:
            continue
        start = (rows[y] - cells[4]) * blocks - cells[3]
        for x in range(left, right):
            if of_blocks[start + columns[x]] == FULL:
                return True
    return False


@inner
def _has_pixel(
    cells: Cells,
    region: Region,
    columns: Axis,
    rows: Axis,
    of_blocks: NDArray[np.uint8],
    blocks: int,
    line: Floats,
) -> bool:
    """Say whether a mask without a full block has a pixel."""
    left, top, right, bottom = region
    for y in range(top, bottom):
        cell = rows[0][y] - cells[4]
        interpolate_row(cells, cell, rows[1][y], line)
        for x in range(left, right):
            at = columns[0][x] - cells[3]
            if of_blocks[cell * blocks + at] != EMPTY and (
                line[at] * (_ONE - columns[1][x]) + line[at + 1] * columns[1][x] > 0.0
            ):
                return True
    return False
