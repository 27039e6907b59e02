"""The output grid of YOLOv2 (Redmon & Farhadi 2017, arXiv:1612.08242, section 2): scores and boxes.

Channel c of anchor a in cell i of an image lies at ``i * steps[0] + a * steps[1] + c * steps[2]`` of its
numbers, which describes every layout. Channels are tx, ty, tw, th, to, then one logit a label. Box
``i * A + a`` belongs to anchor a of cell i, cells row by row.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from . import activation as act
from ._jit import kernel
from .bits import BLOCK, lowest_bit
from .candidates import LOWEST_KEY, order_of, pack
from .collector import Collector, begin_image, begin_scan, end_scan, lowest, make_room, new_collector, push
from .detections import Found, end_image, found, new_corners, new_survivors, select
from .scan import NO_HITS, ONE, STRIDE, next_hits, repeat
from .scores import best_label


@kernel
def detect_grid(
    grids: NDArray[np.float32],
    height: int,
    width: int,
    anchors: NDArray[np.float64],
    cell_step: int,
    anchor_step: int,
    channel_step: int,
    thresholds: NDArray[np.float32],
    multi_label: bool,
    discard: np.float32,
    iou_threshold: np.float32,
    class_agnostic: bool,
    bounds: NDArray[np.float32],
    placement: NDArray[np.float64],
    top: int,
    most: int,
    start: int,
    stop: int,
) -> Found:
    """Detect in images `start` to `stop` of grids (B, numbers of an image); `anchors` (A, 2) are in cells.

    See `select` for what follows the scan.
    """
    labels = thresholds.shape[0]
    boxes = height * width * anchors.shape[0]
    steps = cell_step, anchor_step, channel_step
    collector = new_collector(top, boxes * labels, labels)
    survivors = new_survivors(labels, class_agnostic, stop - start)
    corners = new_corners(collector)
    for image in range(start, stop):
        begin_image(collector)
        is_wanting = True
        while is_wanting:
            count = scan_grid(
                grids[image], height * width, anchors.shape[0], steps, thresholds, discard, multi_label,
                collector,
            )  # fmt: skip
            decode_grid(collector[0], count, grids[image], height, width, anchors, steps, corners)
            survivors, is_wanting = select(
                collector, count, corners, boxes, bounds, placement, image, iou_threshold, class_agnostic,
                most, survivors,
            )  # fmt: skip
        end_image(survivors, image - start)
    return found(survivors, boxes, 1)


@kernel
def scan_grid(
    numbers: NDArray[np.float32],
    cells: int,
    anchors: int,
    steps: tuple[int, int, int],
    thresholds: NDArray[np.float32],
    discard: np.float32,
    multi_label: bool,
    collector: Collector,
) -> int:
    """Collect candidates of the grid of an image; returns how many keys the collector holds, best first.

    Score of a label = sigmoid(to) * softmax(logits). It is below the first factor, so only cells whose
    objectness passes cost a softmax.
    """
    begin_scan(collector, thresholds, discard, act.NONE, LOWEST_KEY)
    buffer, count, bounds, limits = collector
    labels = thresholds.shape[0]
    logits, scores = act.new_row(labels), act.new_row(labels)
    row_limits = np.empty(labels + STRIDE, np.float32)
    repeat(limits, 0, labels, row_limits)
    objectness_limit = act.logit_limit(lowest(limits))
    for cell in range(cells):
        for anchor in range(anchors):
            at = cell * steps[0] + anchor * steps[1]
            objectness = numbers[at + 4 * steps[2]]
            if not objectness > objectness_limit:
                continue
            for label in range(labels):
                logits[label] = numbers[at + (5 + label) * steps[2]]
            act.softmax(logits, labels, scores)
            certainty = 1.0 / (1.0 + math.exp(-np.float64(objectness)))
            for label in range(labels):
                scores[label] = certainty * scores[label]
            best = -1 if multi_label else best_label(scores[:labels], act.NONE)
            position = 0
            while position < labels:
                hits, position = next_hits(scores, position, labels, row_limits, labels)
                while hits != NO_HITS:
                    label = position + lowest_bit(hits)
                    hits &= hits - ONE
                    if label != best and not multi_label:
                        continue
                    order = label * cells * anchors + cell * anchors + anchor
                    key = pack(scores[label], order, thresholds[label], discard)
                    if push(key, buffer, count, bounds):
                        make_room(buffer, count, bounds, limits, thresholds, discard, act.NONE)
                        repeat(limits, 0, labels, row_limits)
                        objectness_limit = act.logit_limit(lowest(limits))
                position += BLOCK
    return end_scan(collector, 0)


@kernel
def decode_grid(
    keys: NDArray[np.uint64],
    count: int,
    numbers: NDArray[np.float32],
    height: int,
    width: int,
    anchors: NDArray[np.float64],
    steps: tuple[int, int, int],
    corners: NDArray[np.float32],
) -> None:
    """Write the corners, relative to the image, of the first `count` candidates of an image."""
    for index in range(count):
        box = order_of(keys[index]) % (height * width * anchors.shape[0])
        cell, anchor = divmod(box, anchors.shape[0])
        row, column = divmod(cell, width)
        at = cell * steps[0] + anchor * steps[1]
        center_x = (1.0 / (1.0 + math.exp(-np.float64(numbers[at]))) + column) / width
        center_y = (1.0 / (1.0 + math.exp(-np.float64(numbers[at + steps[2]]))) + row) / height
        box_width = anchors[anchor, 0] * math.exp(np.float64(numbers[at + 2 * steps[2]])) / width
        box_height = anchors[anchor, 1] * math.exp(np.float64(numbers[at + 3 * steps[2]])) / height
        corners[index, 0] = center_x - 0.5 * box_width
        corners[index, 1] = center_y - 0.5 * box_height
        corners[index, 2] = center_x + 0.5 * box_width
        corners[index, 3] = center_y + 0.5 * box_height
