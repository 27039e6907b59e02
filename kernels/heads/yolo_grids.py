"""The output grids of YOLOv2 (Redmon & Farhadi 2017, arXiv:1612.08242), v3 (arXiv:1804.02767), v4, v5 and v7.

Each row of `shapes` describes a grid: its height, width and number of anchors, the steps from cell to cell,
anchor to anchor and channel to channel in the numbers of an image, which serves every layout, its first
anchor in `anchors`, and its first box. Channels are tx, ty, tw, th, to, then one logit a label. Boxes are
numbered cell by cell, row by row, and by anchor within a cell.
"""

from __future__ import annotations

import math
from typing import NamedTuple, NewType

import numpy as np
from numpy.typing import NDArray

from .._jit import borrowing, inner, pasted
from ..core import activation as act
from ..core.candidates import LOWEST_KEY, order_of
from ..core.collector import Collector, begin_scan, end_scan, lowest
from ..core.numbers import STRIDE, Numbers, image_of, number, passes, raw_limit
from ..core.scan import repeat
from ..core.scores import push_row
from .arguments import Activation, ObjectnessAlone, Rule
from .driver import detector

HEIGHT, WIDTH, ANCHORS, CELL_STEP, ANCHOR_STEP, CHANNEL_STEP, FIRST_ANCHOR, FIRST_BOX = range(8)

Grid = NewType("Grid", NDArray[np.float32])
GridShapes = NewType("GridShapes", NDArray[np.int64])
GridAnchors = NewType("GridAnchors", NDArray[np.float64])
AnchorsInCells = NewType("AnchorsInCells", bool)
Stretches = NewType("Stretches", NDArray[np.float64])
SquaredSizes = NewType("SquaredSizes", bool)
InputSizes = NewType("InputSizes", NDArray[np.float64])


class Grids(NamedTuple):
    """Up to five grids, each (B, numbers of an image).

    `anchors` (A, 2) are in cells or in the unit of `sizes` (1 or B, 2), the width and height of the input in
    the unit of the boxes; `stretches` (S,) are YOLOv4's ``scale_x_y``, which is 2 in YOLOv5, whose
    `squared_sizes` are squares of sigmoids (Jocher 2020), not exponentials. `activation` is of the labels'
    logits.
    """

    grid0: Grid
    grid1: Grid
    grid2: Grid
    grid3: Grid
    grid4: Grid
    shapes: GridShapes
    anchors: GridAnchors
    anchors_in_cells: AnchorsInCells
    stretches: Stretches
    squared_sizes: SquaredSizes
    sizes: InputSizes
    activation: Activation
    objectness_alone: ObjectnessAlone


@pasted
def _scan(head: Grids, image: int, boxes: int, rule: Rule, room: int, collector: Collector) -> int:
    grids = (head.grid0, head.grid1, head.grid2, head.grid3, head.grid4)
    begin_scan(collector, rule.thresholds, rule.discard, act.NONE, LOWEST_KEY)
    for index in range(head.shapes.shape[0]):
        scan_grid(
            image_of(grids[index], image), head.shapes[index], boxes, head.activation, head.objectness_alone,
            rule.thresholds, rule.discard, rule.multi_label, collector,
        )  # fmt: skip
    return end_scan(collector, 0)


@inner
def scan_grid(
    numbers: Numbers,
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
    labels = thresholds.shape[0]
    row_limits = np.empty(labels + STRIDE, np.float32)
    _scan_cells(
        numbers, shape, boxes, activation, objectness_alone, thresholds, discard, multi_label, *collector,
        act.new_row(labels), act.new_row(labels), row_limits,
    )  # fmt: skip


@borrowing
def _scan_cells(
    numbers: Numbers,
    shape: NDArray[np.int64],
    boxes: int,
    activation: int,
    objectness_alone: bool,
    thresholds: NDArray[np.float32],
    discard: np.float32,
    multi_label: bool,
    buffer: NDArray[np.uint64],
    count: NDArray[np.int64],
    bounds: NDArray[np.uint64],
    limits: NDArray[np.float32],
    logits: NDArray[np.float32],
    scores: NDArray[np.float32],
    row_limits: NDArray[np.float32],
) -> None:
    labels = thresholds.shape[0]
    repeat(limits, 0, labels, row_limits)
    step = shape[CHANNEL_STEP]
    objectness_limit = raw_limit(numbers, act.logit_limit(lowest(limits)))
    for cell in range(shape[HEIGHT] * shape[WIDTH]):
        for anchor in range(shape[ANCHORS]):
            at = cell * shape[CELL_STEP] + anchor * shape[ANCHOR_STEP]
            if not passes(numbers, at + 4 * step, objectness_limit):
                continue
            first_logit = at + 5 * step
            # The usual layout by itself: a copy is vector code if its step is a constant.
            if step == 1:
                for label in range(labels):
                    logits[label] = number(numbers, first_logit + label)
            else:
                for label in range(labels):
                    logits[label] = number(numbers, first_logit + label * step)
            certainty = _sigmoid(number(numbers, at + 4 * step))
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
                objectness_limit = raw_limit(numbers, act.logit_limit(lowest(limits)))


@inner
def _decode(
    head: Grids, image: int, boxes: int, keys: NDArray[np.uint64], count: int, corners: NDArray[np.float32]
) -> None:
    grids = (head.grid0, head.grid1, head.grid2, head.grid3, head.grid4)
    size = head.sizes[image if head.sizes.shape[0] > 1 else 0]
    for scale in range(head.shapes.shape[0]):
        _decode_of_grid(
            image_of(grids[scale], image), scale, head.shapes, head.anchors, head.anchors_in_cells,
            head.stretches[scale], head.squared_sizes, size, boxes, keys, count, corners,
        )  # fmt: skip


@borrowing
def _decode_of_grid(
    numbers: Numbers,
    scale: int,
    shapes: NDArray[np.int64],
    anchors: NDArray[np.float64],
    anchors_in_cells: bool,
    stretch: float,
    squared_sizes: bool,
    size: NDArray[np.float64],
    boxes: int,
    keys: NDArray[np.uint64],
    count: int,
    corners: NDArray[np.float32],
) -> None:
    """Write the corners of those of the first `count` candidates that are of one grid."""
    shape = shapes[scale]
    first, end = shape[FIRST_BOX], boxes
    if scale + 1 < shapes.shape[0]:
        end = shapes[scale + 1, FIRST_BOX]
    height, width = np.float64(shape[HEIGHT]), np.float64(shape[WIDTH])
    step = shape[CHANNEL_STEP]
    shift = (stretch - 1.0) / 2.0
    for index in range(count):
        # Divisions of 32 bits, which an order has, take half of the time.
        box = np.int64(np.uint32(order_of(keys[index])) % np.uint32(boxes))
        if box < first or box >= end:
            continue
        cell = np.int64(np.uint32(box - first) // np.uint32(shape[ANCHORS]))
        anchor = box - first - cell * shape[ANCHORS]
        row = np.int64(np.uint32(cell) // np.uint32(shape[WIDTH]))
        column = cell - row * shape[WIDTH]
        at = cell * shape[CELL_STEP] + anchor * shape[ANCHOR_STEP]
        center_x = (_sigmoid(number(numbers, at)) * stretch - shift + column) * size[0] / width
        center_y = (_sigmoid(number(numbers, at + step)) * stretch - shift + row) * size[1] / height
        anchor += shape[FIRST_ANCHOR]
        box_width = anchors[anchor, 0] * _growth(number(numbers, at + 2 * step), squared_sizes)
        box_height = anchors[anchor, 1] * _growth(number(numbers, at + 3 * step), squared_sizes)
        if anchors_in_cells:
            box_width = box_width * size[0] / width
            box_height = box_height * size[1] / height
        corners[index, 0] = center_x - 0.5 * box_width
        corners[index, 1] = center_y - 0.5 * box_height
        corners[index, 2] = center_x + 0.5 * box_width
        corners[index, 3] = center_y + 0.5 * box_height


@inner
def _growth(value: np.float32, is_squared: bool) -> float:
    if is_squared:
        root = 2.0 * _sigmoid(value)
        return root * root
    return math.exp(np.float64(value))


@inner
def _sigmoid(logit: np.float32) -> float:
    return 1.0 / (1.0 + math.exp(-np.float64(logit)))


detect_grids = detector(Grids, _scan, _decode)
