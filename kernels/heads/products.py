"""Scores that are a product, objectness times a probability per label, as of YOLOv5 and YOLOX."""

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
from ..core.scan import STRIDE, repeat
from ..core.scores import push_row
from .arguments import Activation, BoxFormat, ObjectnessAlone, Planar, Rule, Table
from .driver import detector

_OBJECTNESS = 4
_FIRST_LABEL = 5


Levels = NewType("Levels", NDArray[np.int64])


class Products(NamedTuple):
    """A table (B, N, 5+L), or (B, 5+L, N) if `planar`: box, objectness and a probability per label.

    With `objectness_alone` the score of the only label is the objectness. YOLOX (Ge et al. 2021,
    arXiv:2107.08430) leaves its boxes in cells: `levels` (1 or B, S, 3) are the first box, the columns and
    the stride of each of its grids; with none of them boxes are as `box_format` says.
    """

    table: Table
    planar: Planar
    activation: Activation
    objectness_alone: ObjectnessAlone
    box_format: BoxFormat
    levels: Levels


@inner
def _scan(head: Products, image: int, boxes: int, rule: Rule, room: int, collector: Collector) -> int:
    """Collect candidates of an image.

    A probability is at most 1, so that a box whose objectness is not above the lowest limit has no candidate:
    of most boxes one number is read.
    """
    table, activation = head.table[image], head.activation
    thresholds, discard, multi_label = rule.thresholds, rule.discard, rule.multi_label
    begin_scan(collector, thresholds, discard, act.NONE, LOWEST_KEY)
    buffer, count, bounds, limits = collector
    labels = thresholds.shape[0]
    numbers = table.reshape(-1)
    box_step, channel_step = (1, boxes) if head.planar else (table.shape[1], 1)
    scores = act.new_row(labels)
    row_limits = np.empty(labels + STRIDE, np.float32)
    repeat(limits, 0, labels, row_limits)
    objectness_limit = _value_limit(lowest(limits), activation)
    for box in range(boxes):
        at = box * box_step
        objectness = numbers[at + _OBJECTNESS * channel_step]
        if not objectness > objectness_limit:
            continue
        objectness = act.activate(objectness, activation)
        if head.objectness_alone:
            scores[0] = objectness
        else:
            for label in range(labels):
                value = numbers[at + (_FIRST_LABEL + label) * channel_step]
                scores[label] = objectness * act.activate(value, activation)
        if push_row(
            scores, box, boxes, row_limits, thresholds, discard, multi_label, buffer, count, bounds, limits
        ):
            objectness_limit = _value_limit(lowest(limits), activation)
    return end_scan(collector, 0)


@inner
def _value_limit(limit: np.float32, activation: int) -> np.float32:
    return act.logit_limit(limit) if activation == act.SIGMOID else limit


@pasted
def _decode(
    head: Products, image: int, boxes: int, keys: NDArray[np.uint64], count: int, corners: NDArray[np.float32]
) -> None:
    if head.levels.shape[1] > 0:
        levels = head.levels[image if head.levels.shape[0] > 1 else 0]
        _decode_cells(keys, count, head.table[image], head.planar, levels, corners)
    else:
        decode_boxes(keys, count, head.table[image], head.planar, head.box_format, boxes, 1, 0, 0, corners)


@inner
def _decode_cells(
    keys: NDArray[np.uint64],
    count: int,
    table: NDArray[np.float32],
    planar: bool,
    levels: NDArray[np.int64],
    corners: NDArray[np.float32],
) -> None:
    """Write the corners of the first `count` candidates of an image, whose boxes are in cells."""
    boxes = table.shape[1 if planar else 0]
    numbers = table.reshape(-1)
    box_step, channel_step = (1, boxes) if planar else (table.shape[1], 1)
    for index in range(count):
        box = order_of(keys[index]) % boxes
        level = 0
        while level + 1 < levels.shape[0] and box >= levels[level + 1, 0]:
            level += 1
        row, column = divmod(box - levels[level, 0], levels[level, 1])
        stride = np.float64(levels[level, 2])
        at = box * box_step
        center_x = (np.float64(numbers[at]) + column) * stride
        center_y = (np.float64(numbers[at + channel_step]) + row) * stride
        width = math.exp(np.float64(numbers[at + 2 * channel_step])) * stride
        height = math.exp(np.float64(numbers[at + 3 * channel_step])) * stride
        corners[index, 0] = center_x - 0.5 * width
        corners[index, 1] = center_y - 0.5 * height
        corners[index, 2] = center_x + 0.5 * width
        corners[index, 3] = center_y + 0.5 * height


detect_products = detector(Products, _scan, _decode)
