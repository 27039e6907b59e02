"""Scores that are a product, objectness times a probability per label, as of YOLOv5, YOLOX and YuNet."""

from __future__ import annotations

import math
from typing import NamedTuple, NewType

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, pasted
from ..core import activation as act
from ..core.boxes import decode_boxes
from ..core.candidates import LOWEST_KEY, order_of
from ..core.collector import Collector, begin_scan, end_scan, lowest
from ..core.numbers import STRIDE, Numbers, flat, image_of, number, part, passes, raw, raw_limit
from ..core.scan import repeat
from ..core.scores import push_row
from .arguments import Activation, BoxFormat, FirstScore, ObjectnessAlone, Planar, Rule, Table
from .driver import detector

_OBJECTNESS = 4

Levels = NewType("Levels", NDArray[np.int64])
SquareRoot = NewType("SquareRoot", bool)
"""Whether a score is the square root of the product."""


class Products(NamedTuple):
    """A table (B, N, C), or (B, C, N) if `planar`: box, objectness and, from `first` on, probabilities.

    With `objectness_alone` the score of the only label is the objectness. YOLOX (Ge et al. 2021,
    arXiv:2107.08430) leaves its boxes in cells: `levels` (1 or B, S, 3) are the first box, the columns and
    the stride of each of its grids; with none of them boxes are as `box_format` says.
    """

    table: Table
    planar: Planar
    first: FirstScore
    activation: Activation
    objectness_alone: ObjectnessAlone
    square_root: SquareRoot
    box_format: BoxFormat
    levels: Levels


@pasted
def _scan(head: Products, image: int, boxes: int, rule: Rule, room: int, collector: Collector) -> int:
    table = image_of(head.table, image)
    numbers, size = flat(table), raw(table).size
    box_step, channel_step = (1, boxes) if head.planar else (raw(table).shape[1], 1)
    begin_scan(collector, rule.thresholds, rule.discard, act.NONE, LOWEST_KEY)
    scan_products(
        part(numbers, _OBJECTNESS * channel_step, size), box_step,
        part(numbers, head.first * channel_step, size), box_step, channel_step, boxes, 0, boxes,
        head.activation, head.objectness_alone, head.square_root, rule.thresholds, rule.discard,
        rule.multi_label, collector,
    )  # fmt: skip
    return end_scan(collector, 0)


@inner
def scan_products(
    certainties: Numbers,
    certainty_step: int,
    values: Numbers,
    value_step: int,
    label_step: int,
    count: int,
    first_box: int,
    boxes: int,
    activation: int,
    objectness_alone: bool,
    square_root: bool,
    thresholds: NDArray[np.float32],
    discard: np.float32,
    multi_label: bool,
    collector: Collector,
) -> None:
    """Collect candidates of `count` boxes of an image that has `boxes`, numbered from `first_box` on.

    A box's objectness lies `certainty_step` behind the last one's, its first value `value_step`, and each
    label's `label_step` behind the last. A probability is 0 to 1, so that a box whose objectness is not
    above the lowest limit has no candidate: of most boxes one number is read.
    """
    buffer, found, bounds, limits = collector
    labels = thresholds.shape[0]
    limiting = activation + act.ROOT if square_root else activation
    scores = act.new_row(labels)
    row_limits = np.empty(labels + STRIDE, np.float32)
    repeat(limits, 0, labels, row_limits)
    objectness_limit = raw_limit(certainties, act.value_limit(lowest(limits), limiting))
    for box in range(count):
        if not passes(certainties, box * certainty_step, objectness_limit):
            continue
        objectness = act.activate(number(certainties, box * certainty_step), activation)
        if objectness_alone:
            scores[0] = objectness
        else:
            at = box * value_step
            for label in range(labels):
                probability = act.activate(number(values, at + label * label_step), activation)
                if square_root:
                    scores[label] = math.sqrt(_limited(objectness) * _limited(probability))
                else:
                    scores[label] = objectness * probability
        if push_row(
            scores, first_box + box, boxes, row_limits, thresholds, discard, multi_label, buffer, found,
            bounds, limits,
        ):  # fmt: skip
            objectness_limit = raw_limit(certainties, act.value_limit(lowest(limits), limiting))


@inner
def _limited(factor: np.float32) -> np.float32:
    """Limit a factor to [0, 1], as OpenCV does; but leave what is not finite, which is no score."""
    if factor < 0.0:
        return np.float32(0.0)
    return np.float32(1.0) if 1.0 < factor < np.inf else factor


@pasted
def _decode(
    head: Products, image: int, boxes: int, keys: NDArray[np.uint64], count: int, corners: NDArray[np.float32]
) -> None:
    if head.levels.shape[1] > 0:
        levels = head.levels[image if head.levels.shape[0] > 1 else 0]
        _decode_cells(keys, count, image_of(head.table, image), head.planar, levels, corners)
    else:
        decode_boxes(
            keys, count, image_of(head.table, image), head.planar, 0, head.box_format, boxes, 1, 0, 0,
            corners,
        )  # fmt: skip


@inner
def _decode_cells(
    keys: NDArray[np.uint64],
    count: int,
    table: Numbers,
    planar: bool,
    levels: NDArray[np.int64],
    corners: NDArray[np.float32],
) -> None:
    """Write the corners of the first `count` candidates of an image, whose boxes are in cells."""
    shape, numbers = raw(table).shape, flat(table)
    boxes = shape[1 if planar else 0]
    box_step, channel_step = (1, boxes) if planar else (shape[1], 1)
    for index in range(count):
        box = order_of(keys[index]) % boxes
        level = 0
        while level + 1 < levels.shape[0] and box >= levels[level + 1, 0]:
            level += 1
        row, column = divmod(box - levels[level, 0], levels[level, 1])
        write_cell(numbers, box * box_step, channel_step, row, column, levels[level, 2], index, corners)


@inner
def write_cell(
    numbers: Numbers,
    at: int,
    step: int,
    row: int,
    column: int,
    stride: int,
    index: int,
    corners: NDArray[np.float32],
) -> None:
    """Write as corners number `index` the box of a cell, whose numbers begin at `at`, a `step` apart."""
    center_x = (np.float64(number(numbers, at)) + column) * stride
    center_y = (np.float64(number(numbers, at + step)) + row) * stride
    width = math.exp(np.float64(number(numbers, at + 2 * step))) * stride
    height = math.exp(np.float64(number(numbers, at + 3 * step))) * stride
    corners[index, 0] = center_x - 0.5 * width
    corners[index, 1] = center_y - 0.5 * height
    corners[index, 2] = center_x + 0.5 * width
    corners[index, 3] = center_y + 0.5 * height


detect_products = detector(Products, _scan, _decode)
