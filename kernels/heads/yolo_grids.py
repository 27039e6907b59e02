"""The output grids of YOLOv2 (Redmon & Farhadi 2017, arXiv:1612.08242), v3 (arXiv:1804.02767) and v4.

Each row of `shapes` describes a grid: its height, width and number of anchors, the steps from cell to cell,
anchor to anchor and channel to channel in the numbers of an image, which serves every layout, its first
anchor in `anchors`, and its first box. Channels are tx, ty, tw, th, to, then one logit a label. Boxes are
numbered cell by cell, row by row, and by anchor within a cell.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel
from ..core import activation as act
from ..core.candidates import LOWEST_KEY, order_of
from ..core.collector import Collector, begin_image, begin_scan, end_scan, lowest, new_collector, widened
from ..core.detections import Found, end_image, found, new_corners, new_survivors, select
from ..core.scan import STRIDE, repeat
from ..core.scores import push_row

HEIGHT, WIDTH, ANCHORS, CELL_STEP, ANCHOR_STEP, CHANNEL_STEP, FIRST_ANCHOR, FIRST_BOX = range(8)
Grids = tuple[
    NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]
]


@kernel
def detect_grids(
    grid0: NDArray[np.float32],
    grid1: NDArray[np.float32],
    grid2: NDArray[np.float32],
    grid3: NDArray[np.float32],
    grid4: NDArray[np.float32],
    shapes: NDArray[np.int64],
    anchors: NDArray[np.float64],
    anchors_in_cells: bool,
    stretches: NDArray[np.float64],
    sizes: NDArray[np.float64],
    activation: int,
    objectness_alone: bool,
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
    """Detect in images `start` to `stop` of up to five grids, each (B, numbers of an image).

    `anchors` (A, 2) are in cells or in the unit of `sizes` (1 or B, 2), the width and height of the input in
    the unit of the boxes; `stretches` (S,) are YOLOv4's ``scale_x_y``. See `select` for what follows.
    """
    grids = (grid0, grid1, grid2, grid3, grid4)
    labels = thresholds.shape[0]
    last = shapes[shapes.shape[0] - 1]
    boxes = last[FIRST_BOX] + last[HEIGHT] * last[WIDTH] * last[ANCHORS]
    most_keys = boxes * labels
    narrow = new_collector(top, most_keys, labels)
    survivors = new_survivors(labels, class_agnostic, stop - start)
    narrow_corners = new_corners(narrow)
    for image in range(start, stop):
        collector, corners, room = narrow, narrow_corners, top
        begin_image(collector)
        is_wanting = True
        while is_wanting:
            begin_scan(collector, thresholds, discard, act.NONE, LOWEST_KEY)
            for index in range(shapes.shape[0]):
                scan_grid(
                    grids[index][image], shapes[index], boxes, activation, objectness_alone, thresholds,
                    discard, multi_label, collector,
                )  # fmt: skip
            count = end_scan(collector, 0)
            decode_grids(
                collector[0], count, grids, image, shapes, boxes, anchors, anchors_in_cells, stretches,
                sizes[image if sizes.shape[0] > 1 else 0], corners,
            )  # fmt: skip
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
def scan_grid(
    numbers: NDArray[np.float32],
    shape: NDArray[np.int64],
    boxes: int,
    activation: int,
    objectness_alone: bool,
    thresholds: NDArray[np.float32],
    discard: np.float32,
    multi_label: bool,
    collector: Collector,
) -> None:
    """Collect candidates of a grid of an image that has `boxes` in all its grids.

    Score of a label = sigmoid(to) times the softmax (v2) or sigmoid (v3) of its logit, in float64, rounded
    once; or, of the only label, sigmoid(to) if `objectness_alone`. It is not above the first factor, so only
    cells whose objectness passes cost more than a look.
    """
    buffer, count, bounds, limits = collector
    labels = thresholds.shape[0]
    logits, scores = act.new_row(labels), act.new_row(labels)
    row_limits = np.empty(labels + STRIDE, np.float32)
    repeat(limits, 0, labels, row_limits)
    step = shape[CHANNEL_STEP]
    objectness_limit = act.logit_limit(lowest(limits))
    for cell in range(shape[HEIGHT] * shape[WIDTH]):
        for anchor in range(shape[ANCHORS]):
            at = cell * shape[CELL_STEP] + anchor * shape[ANCHOR_STEP]
            objectness = numbers[at + 4 * step]
            if not objectness > objectness_limit:
                continue
            # The usual layout by itself: a copy is vector code if its step is a constant.
            if step == 1:
                found_logits = numbers[at + 5 :]
                for label in range(labels):
                    logits[label] = found_logits[label]
            else:
                for label in range(labels):
                    logits[label] = numbers[at + (5 + label) * step]
            certainty = _sigmoid(objectness)
            if objectness_alone:
                scores[0] = certainty
            elif activation == act.SOFTMAX:
                total = act.exponentials(logits, labels, scores)
                for label in range(labels):
                    scores[label] = certainty * np.float32(scores[label] / total)
            else:
                # A logit that cannot make up for the objectness needs no exponential.
                floor = act.logit_limit(np.float32(lowest(limits) / certainty * (1.0 - 1e-6)))
                for label in range(labels):
                    scores[label] = -1.0
                    if logits[label] > floor:
                        scores[label] = certainty * _sigmoid(logits[label])
            box = shape[FIRST_BOX] + cell * shape[ANCHORS] + anchor
            has_risen = push_row(
                scores, box, boxes, row_limits, thresholds, discard, multi_label, buffer, count, bounds,
                limits,
            )  # fmt: skip
            if has_risen:
                objectness_limit = act.logit_limit(lowest(limits))


@inner
def decode_grids(
    keys: NDArray[np.uint64],
    count: int,
    grids: Grids,
    image: int,
    shapes: NDArray[np.int64],
    boxes: int,
    anchors: NDArray[np.float64],
    anchors_in_cells: bool,
    stretches: NDArray[np.float64],
    size: NDArray[np.float64],
    corners: NDArray[np.float32],
) -> None:
    """Write the corners of the first `count` candidates of an image."""
    for index in range(count):
        box = order_of(keys[index]) % boxes
        scale = 0
        while scale + 1 < shapes.shape[0] and box >= shapes[scale + 1, FIRST_BOX]:
            scale += 1
        shape, numbers = shapes[scale], grids[scale][image]
        height, width = np.float64(shape[HEIGHT]), np.float64(shape[WIDTH])
        cell, anchor = divmod(box - shape[FIRST_BOX], shape[ANCHORS])
        row, column = divmod(cell, shape[WIDTH])
        at = cell * shape[CELL_STEP] + anchor * shape[ANCHOR_STEP]
        step = shape[CHANNEL_STEP]
        stretch = stretches[scale]
        shift = (stretch - 1.0) / 2.0
        center_x = (_sigmoid(numbers[at]) * stretch - shift + column) * size[0] / width
        center_y = (_sigmoid(numbers[at + step]) * stretch - shift + row) * size[1] / height
        anchor += shape[FIRST_ANCHOR]
        box_width = anchors[anchor, 0] * math.exp(np.float64(numbers[at + 2 * step]))
        box_height = anchors[anchor, 1] * math.exp(np.float64(numbers[at + 3 * step]))
        if anchors_in_cells:
            box_width = box_width * size[0] / width
            box_height = box_height * size[1] / height
        corners[index, 0] = center_x - 0.5 * box_width
        corners[index, 1] = center_y - 0.5 * box_height
        corners[index, 2] = center_x + 0.5 * box_width
        corners[index, 3] = center_y + 0.5 * box_height


@inner
def _sigmoid(logit: np.float32) -> float:
    return 1.0 / (1.0 + math.exp(-np.float64(logit)))
