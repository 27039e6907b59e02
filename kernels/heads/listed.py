"""Lists of boxes whose scores name the label that they belong to, each image's after the other."""

from __future__ import annotations

from typing import NamedTuple, NewType

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel, pasted
from ..core import activation as act
from ..core.boxes import decode_boxes
from ..core.candidates import LOWEST_KEY, pack
from ..core.collector import Collector, begin_scan, end_scan, lowest, make_room, push
from .arguments import Activation, Boxes, BoxFormat, FirstNumber, FirstScore, Rule, Scores
from .driver import detector

_INT64_END = 2.0**63


LabelRows = NewType("LabelRows", NDArray[np.int64])
FirstRows = NewType("FirstRows", NDArray[np.int64])
EndRows = NewType("EndRows", NDArray[np.int64])
BoxesOfTheirOwn = NewType("BoxesOfTheirOwn", bool)
SortedIds = NewType("SortedIds", NDArray[np.int64])
RowsOfIds = NewType("RowsOfIds", NDArray[np.int64])
RowsFromLowest = NewType("RowsFromLowest", NDArray[np.int64])


class Listed(NamedTuple):
    """C scores in each row of a table (N, C or more), their label rows (N, C), negative for none, and boxes.

    Image i has rows ``firsts[i]`` to ``ends[i]``, as many as a label has boxes, ``n * C + c``, or fewer. All
    C scores of a row share its box, in (N, 4 or more), or have boxes of their own, in (N * C, 4 or more).
    Scores and boxes begin in a column of their tables, which may be one and the same.
    """

    scores: Scores
    first_score: FirstScore
    rows: LabelRows
    firsts: FirstRows
    ends: EndRows
    activation: Activation
    boxes: Boxes
    first_number: FirstNumber
    box_format: BoxFormat
    own_boxes: BoxesOfTheirOwn


@inner
def scan_listed(head: Listed, image: int, boxes: int, rule: Rule, room: int, collector: Collector) -> int:
    """Collect the candidates of an image's rows; of other heads too, that have such scores and rows."""
    first, end, activation = head.firsts[image], head.ends[image], head.activation
    width, columns = head.scores.shape[1], head.rows.shape[1]
    numbers, owners = head.scores.reshape(-1), head.rows.reshape(-1)
    thresholds, discard, multi_label = rule.thresholds, rule.discard, rule.multi_label
    begin_scan(collector, thresholds, discard, act.NONE, LOWEST_KEY)
    buffer, count, bounds, limits = collector
    logits, activated = act.new_row(columns), act.new_row(columns)
    least = lowest(limits)
    is_activated = activation != act.NONE
    for row in range(first, end):
        at, of_row = row * width + head.first_score, row * columns
        if is_activated:
            _activate(numbers[at : at + columns], activation, logits, activated)
        begin, stop = 0, columns
        if columns > 1 and not multi_label:
            values = activated[:columns] if is_activated else numbers[at : at + columns]
            begin = _best_column(values, owners[of_row : of_row + columns])
            stop = begin + 1
        for column in range(begin, stop):
            value = activated[column] if is_activated else numbers[at + column]
            if not value > least:
                continue
            label = owners[of_row + column]
            if label >= 0 and value > limits[label]:
                order = label * boxes + (row - first) * columns + column
                key = pack(value, order, thresholds[label], discard)
                if push(key, buffer, count, bounds):
                    make_room(buffer, count, bounds, limits, thresholds, discard, act.NONE)
                    least = lowest(limits)
    return end_scan(collector, 0)


@pasted
def _decode(
    head: Listed, image: int, boxes: int, keys: NDArray[np.uint64], count: int, corners: NDArray[np.float32]
) -> None:
    first, columns = head.firsts[image], head.rows.shape[1]
    decode_boxes(
        keys, count, head.boxes[first * columns if head.own_boxes else first :], False, head.first_number,
        head.box_format, boxes, 1 if head.own_boxes else columns, 0, 0, corners,
    )  # fmt: skip


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


detect_listed = detector(Listed, scan_listed, _decode)


@kernel
def rows_of_ids(
    classes: NDArray[np.int64], ids: SortedIds, rows: RowsOfIds, near: RowsFromLowest
) -> tuple[NDArray[np.int64], int]:
    """Label row of each class id (N,), -1 where none has it, and how many those are.

    `ids` ascend, and label row `rows[i]` has ``ids[i]``. Where ids lie near each other, `near` has the row,
    or -1, of each number from the lowest id on; it is empty where they do not.
    """
    result = np.empty(classes.shape[0], np.int64)
    unknown = 0
    lowest_id, span = ids[0], near.shape[0]
    for index in range(classes.shape[0]):
        place = classes[index] - lowest_id
        row = -1
        if 0 <= place < span:
            row = near[np.uint64(place)]
        elif span == 0:
            row = _row_of(classes[index], ids, rows)
        result[index] = row
        unknown += row < 0
    return result, unknown


@kernel
def rows_of_numbers(
    table: NDArray[np.float32] | NDArray[np.float64],
    column: int,
    ids: SortedIds,
    rows: RowsOfIds,
    near: RowsFromLowest,
) -> tuple[NDArray[np.int64], int, int]:
    """Do what `rows_of_ids` does for a column of floats, which are ids where whole, and count the others."""
    result = np.empty(table.shape[0], np.int64)
    unknown = 0
    odd = 0
    numbers, width = table.reshape(-1), table.shape[1]
    lowest_id, span = ids[0], near.shape[0]
    for index in range(table.shape[0]):
        number = np.float64(numbers[index * width + column])
        in_range = -_INT64_END <= number < _INT64_END
        value = int(number if in_range else 0.0)
        is_whole = in_range and np.float64(value) == number
        place = value - lowest_id
        row = -1
        if is_whole and 0 <= place < span:
            row = near[np.uint64(place)]
        elif is_whole and span == 0:
            row = _row_of(value, ids, rows)
        result[index] = row
        unknown += row < 0
        odd += not (is_whole or abs(number) >= _INT64_END)
    return result, unknown, odd


@inner
def _row_of(value: int, ids: SortedIds, rows: RowsOfIds) -> int:
    position = np.searchsorted(ids, value)
    if position < ids.shape[0] and ids[position] == value:
        return int(rows[position])
    return -1
