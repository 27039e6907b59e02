"""Scores that are a product, objectness times a probability per label, as of YOLOv5 and YOLOX.

With `objectness_alone` the score of the only label is the objectness. YOLOX (Ge et al. 2021,
arXiv:2107.08430) leaves its boxes in cells: `levels` (1 or B, S, 3) are the first box, the columns and the
stride of each of its grids; with none of them boxes are as `box_format` says.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel
from ..core import activation as act
from ..core.boxes import decode_boxes
from ..core.candidates import LOWEST_KEY, order_of
from ..core.collector import Collector, begin_image, begin_scan, end_scan, lowest, new_collector, widened
from ..core.detections import Found, end_image, found, new_corners, new_survivors, select
from ..core.scan import STRIDE, repeat
from ..core.scores import push_row

_OBJECTNESS = 4
_FIRST_LABEL = 5


@kernel
def detect_products(
    table: NDArray[np.float32],
    planar: bool,
    activation: int,
    objectness_alone: bool,
    box_format: int,
    levels: NDArray[np.int64],
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
    """Detect in images `start` to `stop` of a table (B, N, 5+L), or (B, 5+L, N) if `planar`.

    See `scan_products` for the scores, and `select` for what follows.
    """
    boxes, labels = table.shape[2 if planar else 1], thresholds.shape[0]
    most_keys = boxes * labels
    narrow = new_collector(top, most_keys, labels)
    survivors = new_survivors(labels, class_agnostic, stop - start)
    narrow_corners = new_corners(narrow)
    for image in range(start, stop):
        collector, corners, room = narrow, narrow_corners, top
        begin_image(collector)
        is_wanting = True
        while is_wanting:
            count = scan_products(
                table[image], planar, activation, objectness_alone, thresholds, discard, multi_label,
                collector,
            )  # fmt: skip
            if levels.shape[1] > 0:
                levels_of_image = levels[image if levels.shape[0] > 1 else 0]
                decode_cells(collector[0], count, table[image], planar, levels_of_image, corners)
            else:
                decode_boxes(collector[0], count, table[image], planar, box_format, boxes, 1, 0, 0, corners)
            survivors, is_wanting = select(
                collector, count, corners, boxes, bounds, placement, image, iou_thresholds, class_agnostic,
                most, survivors,
            )  # fmt: skip
            if is_wanting:
                collector, room = widened(collector, room, most_keys)
                corners = new_corners(collector)
        end_image(survivors, image - start)
    return found(survivors, boxes, 1, placement)


@inner
def scan_products(
    table: NDArray[np.float32],
    planar: bool,
    activation: int,
    objectness_alone: bool,
    thresholds: NDArray[np.float32],
    discard: np.float32,
    multi_label: bool,
    collector: Collector,
) -> int:
    """Collect candidates of an image; returns how many keys the collector holds, best first.

    A probability is at most 1, so that a box whose objectness is not above the lowest limit has no candidate:
    of most boxes one number is read.
    """
    begin_scan(collector, thresholds, discard, act.NONE, LOWEST_KEY)
    buffer, count, bounds, limits = collector
    labels = thresholds.shape[0]
    boxes = table.shape[1 if planar else 0]
    numbers = table.reshape(-1)
    box_step, channel_step = (1, boxes) if planar else (table.shape[1], 1)
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
        if objectness_alone:
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


@inner
def decode_cells(
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
