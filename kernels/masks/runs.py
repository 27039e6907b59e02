"""Masks as the text of COCO's compressed RLE, without their pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel
from .blocks import EMPTY, FULL, MIXED, find_spans, find_stripes, interpolate_rows, judge_blocks, new_states
from .cells import (
    SLACK,
    Axis,
    Cells,
    Coefficients,
    Frame,
    Grids,
    Kind,
    Planes,
    WholeBoxes,
    fill_cells,
    find_region,
    new_axes,
    new_cells,
)

# The most digits of 5 bits that a difference of two runs of 32 bits takes.
_DIGITS = 7
_ONE = np.float32(1.0)


@kernel
def encode_masks(
    kind: Kind,
    boxes: WholeBoxes,
    coefficients: Coefficients,
    planes: Planes,
    grids: Grids,
    frame: Frame,
    height: int,
    width: int,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Masks of one image's rows as the text of COCO's compressed RLE, and where each begins (K + 1,).

    Lengths of runs along columns, of 0 and of 1 in turns; from the fourth on the difference to the last but
    one; each in digits of 5 bits, the lowest first, with a sixth bit where more follow, plus 48: see
    rleToString in maskApi.c of pycocotools.
    """
    columns, rows = new_axes(kind, grids, frame, height, width)
    values = new_cells(grids)
    of_cells, of_blocks = new_states(values)
    # What the cells before and after a column of pixels have at its pixels.
    lines = np.empty((2, height), np.float32)
    stripes, ends = np.empty(height + 1, np.int64), np.empty(height + 1, np.int64)
    states = np.empty(height + 1, np.uint8)
    changes = np.empty(4 * height + 256, np.int64)
    text, starts = np.empty(256, np.uint8), np.empty(boxes.shape[0] + 1, np.int64)
    used = starts[0] = 0
    for row in range(boxes.shape[0]):
        found, value = 0, False
        region = find_region(kind, boxes[row], grids, height, width, SLACK, columns, rows)
        left, top, right, bottom = region
        if left < right:
            cells = fill_cells(kind, coefficients[row], planes[row], grids, region, columns, rows, values)
            blocks = judge_blocks(cells, of_cells, of_blocks)
            count = find_stripes(rows[0], top, bottom, stripes)
            x = left
            while x < right:
                cell = columns[0][x] - cells[3]
                spans = find_spans(
                    of_blocks[cell:], blocks, rows[0], cells[4], top, stripes[:count], ends, states
                )
                begin = x
                while x < right and columns[0][x] == columns[0][begin]:
                    x += 1
                if spans == 1 and states[0] == EMPTY:
                    if value:
                        changes[found] = begin * height
                        found, value = found + 1, False
                    continue
                _interpolate_spans(cells, cell, rows, top, ends[:spans], states, lines)
                for at in range(begin, x):
                    if found + height + 4 > changes.shape[0]:
                        changes = _doubled_changes(changes)
                    found, value = _mark_changes(
                        lines, columns[1][at], at * height, top, height, ends[:spans], states, value, found,
                        changes,
                    )  # fmt: skip
            if value and right < width:
                changes[found] = right * height
                found += 1
        changes[found] = height * width
        while used + _DIGITS * (found + 1) > text.shape[0]:
            text = _doubled_text(text)
        used = _write_runs(changes[: found + 1], text, used)
        starts[row + 1] = used
    return text[:used].copy(), starts


@inner
def _interpolate_spans(
    cells: Cells,
    cell: int,
    rows: Axis,
    start: int,
    ends: NDArray[np.int64],
    states: NDArray[np.uint8],
    lines: NDArray[np.float32],
) -> None:
    """Write what two columns of cells have where something is to be decided."""
    following = cell + 1 if cells[1] > 1 else cell
    for span in range(ends.shape[0]):
        if states[span] == MIXED:
            interpolate_rows(cells, cell, rows, start, ends[span], lines[0])
            interpolate_rows(cells, following, rows, start, ends[span], lines[1])
        start = ends[span]


@inner
def _mark_changes(
    lines: NDArray[np.float32],
    weight: np.float32,
    column: int,
    start: int,
    height: int,
    ends: NDArray[np.int64],
    states: NDArray[np.uint8],
    value: bool,
    found: int,
    changes: NDArray[np.int64],
) -> tuple[int, bool]:
    """Write where a column of pixels, which begins at the number `column`, changes from the value before.

    Returns how many changes there are now, and the last value.
    """
    before, after = lines[0], lines[1]
    rest = _ONE - weight
    if value and start > 0:
        changes[found] = column
        found, value = found + 1, False
    for span in range(ends.shape[0]):
        end, state = ends[span], states[span]
        if state != MIXED:
            if (state == FULL) != value:
                changes[found] = column + start
                found, value = found + 1, not value
        else:
            for y in range(start, end):
                if (before[y] * rest + after[y] * weight > 0.0) != value:
                    changes[found] = column + y
                    found, value = found + 1, not value
        start = end
    if value and start < height:
        changes[found] = column + start
        found, value = found + 1, False
    return found, value


@inner
def _write_runs(changes: NDArray[np.int64], text: NDArray[np.uint8], used: int) -> int:
    """Write the lengths of runs, given where each ends, and return where the text does."""
    last = last_but_one = start = 0
    for run in range(changes.shape[0]):
        length = changes[run] - start
        number = length - last_but_one if run > 2 else length
        start, last_but_one, last = changes[run], last, length
        has_more = True
        while has_more:
            digit = number & 31
            number >>= 5
            # The highest bit of the last digit is the sign.
            has_more = number != -1 if digit & 16 else number != 0
            text[used] = (digit | 32 if has_more else digit) + 48
            used += 1
    return used


@inner
def _doubled_changes(changes: NDArray[np.int64]) -> NDArray[np.int64]:
    more = np.empty(2 * changes.shape[0], np.int64)
    for index in range(changes.shape[0]):
        more[index] = changes[index]
    return more


@inner
def _doubled_text(text: NDArray[np.uint8]) -> NDArray[np.uint8]:
    more = np.empty(2 * text.shape[0], np.uint8)
    for index in range(text.shape[0]):
        more[index] = text[index]
    return more
