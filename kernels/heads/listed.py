"""Lists of boxes whose scores name the label that they belong to, each image's after the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel
from ..core import activation as act
from ..core.boxes import decode_boxes
from ..core.candidates import LOWEST_KEY, pack
from ..core.collector import (
    Collector,
    begin_image,
    begin_scan,
    end_scan,
    make_room,
    new_collector,
    push,
    widened,
)
from ..core.detections import Found, end_image, found, new_corners, new_survivors, select

_INT64_END = 2.0**63


@kernel
def detect_listed(
    scores: NDArray[np.float32],
    rows: NDArray[np.int64],
    firsts: NDArray[np.int64],
    ends: NDArray[np.int64],
    longest: int,
    activation: int,
    boxes: NDArray[np.float32],
    box_format: int,
    own_boxes: bool,
    thresholds: NDArray[np.float32],
    multi_label: bool,
    discard: np.float32,
    iou_thresholds: NDArray[np.float32],
    class_agnostic: bool,
    bounds: NDArray[np.float32],
    placement: NDArray[np.float64],
    top: int,
    most: int,
    start: int,
    stop: int,
) -> Found:
    """Detect in images `start` to `stop` of scores and label rows (N, C), and boxes (N, 4) or (N * C, 4).

    Image i has rows ``firsts[i]`` to ``ends[i]``, `longest` or fewer. All C scores of a row share its box, or
    have `own_boxes`. See `scan_listed` for the scores, and `select` for what follows.
    """
    columns, labels = scores.shape[1], thresholds.shape[0]
    per_label = longest * columns
    narrow = new_collector(top, per_label, labels)
    survivors = new_survivors(labels, class_agnostic, stop - start)
    narrow_corners = new_corners(narrow)
    for image in range(start, stop):
        collector, corners, room = narrow, narrow_corners, top
        begin_image(collector)
        is_wanting = True
        while is_wanting:
            first, end = firsts[image], ends[image]
            count = scan_listed(
                scores[first:end], rows[first:end], longest, thresholds, discard, activation, multi_label,
                collector,
            )  # fmt: skip
            decode_boxes(
                collector[0], count, boxes[first * columns if own_boxes else first :], False, box_format,
                per_label, 1 if own_boxes else columns, 0, 0, corners,
            )  # fmt: skip
            survivors, is_wanting = select(
                collector, count, corners, per_label, bounds, placement, image, iou_thresholds,
                class_agnostic, most, survivors,
            )  # fmt: skip
            if is_wanting:
                collector, room = widened(collector, room, per_label)
                corners = new_corners(collector)
        end_image(survivors, image - start)
    return found(survivors, per_label, columns, placement)


@inner
def scan_listed(
    scores: NDArray[np.float32],
    rows: NDArray[np.int64],
    longest: int,
    thresholds: NDArray[np.float32],
    discard: np.float32,
    activation: int,
    multi_label: bool,
    collector: Collector,
) -> int:
    """Collect candidates of scores (N, C) whose label rows stand in `rows` (N, C), negative for none.

    The box of a candidate is ``n * C + c``; no image has more than `longest` rows. Returns how many keys the
    collector holds, best first.
    """
    begin_scan(collector, thresholds, discard, act.NONE, LOWEST_KEY)
    buffer, count, bounds, limits = collector
    boxes, columns = scores.shape
    logits, activated = act.new_row(columns), act.new_row(columns)
    for box in range(boxes):
        values, owners = scores[box], rows[box]
        if activation != act.NONE:
            _activate(values, activation, logits, activated)
            values = activated[:columns]
        first, last = 0, columns
        if not multi_label:
            first = _best_column(values, owners)
            last = min(first + 1, columns)
        for column in range(first, last):
            label = owners[column]
            if label >= 0 and values[column] > limits[label]:
                order = (label * longest + box) * columns + column
                key = pack(values[column], order, thresholds[label], discard)
                if push(key, buffer, count, bounds):
                    make_room(buffer, count, bounds, limits, thresholds, discard, act.NONE)
    return end_scan(collector, 0)


@inner
def _activate(
    values: NDArray[np.float32], activation: int, logits: NDArray[np.float32], activated: NDArray[np.float32]
) -> None:
    if activation == act.SOFTMAX:
        for column in range(values.shape[0]):
            logits[column] = values[column]
        act.softmax(logits, values.shape[0], activated)
    else:
        for column in range(values.shape[0]):
            activated[column] = act.sigmoid(values[column])


@inner
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
        number = classes[index]
        whole = np.trunc(number) == number and abs(number) < _INT64_END
        result[index] = _row_of(int(number), ids, rows) if whole else -1
        unknown += result[index] < 0
    return result, unknown


@inner
def _row_of(value: int, ids: NDArray[np.int64], rows: NDArray[np.int64]) -> int:
    position = np.searchsorted(ids, value)
    if position < ids.shape[0] and ids[position] == value:
        return int(rows[position])
    return -1
