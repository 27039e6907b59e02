"""Scores with explicit classes: each score names the label that it belongs to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import activation as act
from ._jit import kernel
from .candidates import LOWEST_KEY, pack
from .collector import begin_image, end_image, make_room, new_buffer, push
from .scores import Scan

_INT64_END = 2.0**63


@kernel
def scan_direct(
    scores: NDArray[np.float32],
    rows: NDArray[np.int64],
    thresholds: NDArray[np.float32],
    discard: np.float32,
    activation: int,
    multi_label: bool,
    top: int,
    start: int,
    stop: int,
) -> Scan:
    """Candidates of scores (B, N, C) whose label rows stand in `rows` (B, N, C), negative for none.

    See `scores` for what it returns. The box of a candidate is ``n * C + c``.
    """
    boxes, columns = scores.shape[1], scores.shape[2]
    labels = thresholds.shape[0]
    count, cutoff = np.zeros(1, np.int64), np.zeros(1, np.uint64)
    buffer = new_buffer(top, boxes * columns)
    limits = np.empty(labels, np.float32)
    activated = np.empty(columns, np.float32)
    keys = np.empty(0, np.uint64)
    offsets = np.zeros(stop - start + 1, np.int64)
    truncated = np.zeros(stop - start, np.bool_)
    for image in range(start, stop):
        begin_image(count, cutoff, limits, thresholds, discard, act.NONE, LOWEST_KEY)
        for box in range(boxes):
            values = scores[image, box]
            if activation != act.NONE:
                _activate(values, activation, activated)
                values = activated
            owners = rows[image, box]
            first, last = 0, columns
            if not multi_label:
                first = _best_column(values, owners)
                last = first + 1
            for column in range(first, last):
                label = owners[column]
                if label >= 0 and values[column] > limits[label]:
                    order = (label * boxes + box) * columns + column
                    key = pack(values[column], order, thresholds[label], discard)
                    if push(key, buffer, count, cutoff):
                        make_room(buffer, count, cutoff, limits, thresholds, discard, act.NONE)
        keys = end_image(buffer, count, cutoff, 0, keys, offsets, truncated, image - start)
    return keys, offsets, truncated


@kernel
def _activate(values: NDArray[np.float32], activation: int, activated: NDArray[np.float32]) -> None:
    if activation == act.SOFTMAX:
        act.softmax(values, activated)
    else:
        for column in range(values.shape[0]):
            activated[column] = act.sigmoid(values[column])


@kernel
def _best_column(values: NDArray[np.float32], owners: NDArray[np.int64]) -> int:
    """Column of the highest finite score that has a label, ties to the lower label; 0 if none is."""
    best = -1
    for column in range(values.shape[0]):
        value = values[column]
        if owners[column] < 0 or not abs(value) < np.inf:
            continue
        if best < 0 or value > values[best] or (value == values[best] and owners[column] < owners[best]):
            best = column
    return max(best, 0)


@kernel
def rows_of_ids(
    classes: NDArray[np.int64], ids: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int]:
    """Label row of each class id (N,), -1 where none has it, and how many those are.

    `ids` ascend, and label row `rows[i]` has ``ids[i]``.
    """
    result = np.empty(classes.shape[0], np.int64)
    unknown = 0
    for index in range(classes.shape[0]):
        result[index] = _row_of(classes[index], ids, rows)
        unknown += result[index] < 0
    return result, unknown


@kernel
def rows_of_numbers(
    classes: NDArray[np.float64], ids: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int]:
    """Do what `rows_of_ids` does for floats, which are ids where they are whole."""
    result = np.empty(classes.shape[0], np.int64)
    unknown = 0
    for index in range(classes.shape[0]):
        whole = np.trunc(classes[index]) == classes[index] and abs(classes[index]) < _INT64_END
        result[index] = _row_of(int(classes[index]), ids, rows) if whole else -1
        unknown += result[index] < 0
    return result, unknown


@kernel
def _row_of(value: int, ids: NDArray[np.int64], rows: NDArray[np.int64]) -> int:
    position = np.searchsorted(ids, value)
    if position < ids.shape[0] and ids[position] == value:
        return int(rows[position])
    return -1
