"""Lists of boxes whose scores name the label that they belong to, each image's after the other."""

from __future__ import annotations

from typing import NamedTuple, NewType

import numpy as np
from numpy.typing import NDArray

from .._jit import borrowing, inner, pasted
from ..core import activation as act
from ..core.boxes import decode_boxes
from ..core.candidates import LOWEST_KEY, pack
from ..core.collector import Collector, begin_scan, end_scan, lowest, make_room, note, push
from .arguments import Activation, Boxes, BoxesARegion, BoxFormat, FirstNumber, FirstScore, Rule, Scores
from .class_numbers import (
    FRACTION,
    ClassColumn,
    ClassNumbers,
    ClassType,
    KnownClasses,
    WideClasses,
    label_row,
)
from .driver import detector

UNKNOWN_CLASS = 1
"""Sign of a score above the lowest threshold whose class is none of the spec's."""
ODD_CLASS = 2
"""Sign of a class that is no whole number."""

FirstRows = NewType("FirstRows", NDArray[np.int64])
EndRows = NewType("EndRows", NDArray[np.int64])
BoxesOfTheirOwn = NewType("BoxesOfTheirOwn", bool)


class Listed(NamedTuple):
    """C scores in each row of a table (N, C or more), a class for each, and boxes.

    Image i has rows ``firsts[i]`` to ``ends[i]``, as many as a label has boxes, ``n * C + c``, or fewer. All
    C scores of a row share its box, in (N, 4 or more), or have boxes of their own, in (N * C, 4 or more).
    Scores and boxes begin in a column of their tables, which may be one and the same. The classes are as of
    `Classes`, ``n * C + c``.
    """

    scores: Scores
    first_score: FirstScore
    columns: BoxesARegion
    classes: ClassNumbers
    class_column: ClassColumn
    wide_classes: WideClasses
    class_type: ClassType
    known_classes: KnownClasses
    firsts: FirstRows
    ends: EndRows
    activation: Activation
    boxes: Boxes
    first_number: FirstNumber
    box_format: BoxFormat
    own_boxes: BoxesOfTheirOwn


@inner
def scan_listed(head: Listed, image: int, boxes: int, rule: Rule, room: int, collector: Collector) -> int:
    """Collect the candidates of an image's rows; of other heads too, that have such scores and classes."""
    begin_scan(collector, rule.thresholds, rule.discard, act.NONE, LOWEST_KEY)
    buffer, count, bounds, limits = collector
    columns = head.columns
    signs = _scan_rows(
        head.scores.reshape(-1), head.scores.shape[1], head.first_score, columns, head.classes.reshape(-1),
        head.classes.shape[1], head.class_column, head.wide_classes, head.class_type, head.known_classes,
        head.firsts[image], head.ends[image], head.activation, boxes, rule.thresholds, rule.discard,
        rule.multi_label, buffer, count, bounds, limits, act.new_row(columns), act.new_row(columns),
        np.empty(columns, np.int64),
    )  # fmt: skip
    note(collector, signs)
    return end_scan(collector, 0)


@borrowing
def _scan_rows(
    numbers: NDArray[np.float32],
    width: int,
    first_score: int,
    columns: int,
    classes: NDArray[np.float32],
    class_width: int,
    class_column: int,
    wide_classes: NDArray[np.int64],
    class_type: int,
    known_classes: NDArray[np.int64],
    first: int,
    end: int,
    activation: int,
    boxes: int,
    thresholds: NDArray[np.float32],
    discard: np.float32,
    multi_label: bool,
    buffer: NDArray[np.uint64],
    count: NDArray[np.int64],
    bounds: NDArray[np.uint64],
    limits: NDArray[np.float32],
    logits: NDArray[np.float32],
    activated: NDArray[np.float32],
    owners: NDArray[np.int64],
) -> int:
    """Collect candidates, and return the signs of classes that are no label's."""
    signs = 0
    least = lowest(limits)
    is_activated = activation != act.NONE
    # Where an activation is still to come, a score says nothing yet.
    least_of_signs = np.float32(-np.inf) if is_activated else lowest(thresholds)
    for row in range(first, end):
        at, of_row = row * width + first_score, row * columns
        if is_activated:
            _activate(numbers[at : at + columns], activation, logits, activated)
        for column in range(columns):
            label = label_row(
                of_row + column, classes, class_width, class_column, wide_classes, class_type, known_classes
            )
            owners[column] = label
            if label < 0:
                is_unknown = label != FRACTION and numbers[at + column] > least_of_signs
                signs |= ODD_CLASS if label == FRACTION else UNKNOWN_CLASS if is_unknown else 0
        begin, stop = 0, columns
        if columns > 1 and not multi_label:
            values = activated[:columns] if is_activated else numbers[at : at + columns]
            begin = _best_column(values, owners)
            stop = begin + 1
        for column in range(begin, stop):
            value = activated[column] if is_activated else numbers[at + column]
            if not value > least:
                continue
            label = owners[column]
            if label >= 0 and value > limits[label]:
                order = label * boxes + (row - first) * columns + column
                key = pack(value, order, thresholds[label], discard)
                if push(key, buffer, count, bounds):
                    make_room(buffer, count, bounds, limits, thresholds, discard, act.NONE)
                    least = lowest(limits)
    return signs


@pasted
def _decode(
    head: Listed, image: int, boxes: int, keys: NDArray[np.uint64], count: int, corners: NDArray[np.float32]
) -> None:
    first, columns = head.firsts[image], head.columns
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
