"""Objectness, probabilities and boxes in tensors of their own, a level of cells each: YuNet, YOLOX."""

from __future__ import annotations

from typing import NamedTuple, NewType

import numpy as np
from numpy.typing import NDArray

from .._jit import pasted
from ..core import activation as act
from ..core.candidates import LOWEST_KEY, order_of
from ..core.collector import Collector, begin_scan, end_scan
from ..core.numbers import image_of, raw
from .arguments import Activation, ObjectnessAlone, Rule
from .driver import detector
from .levels import CELL_STEP, CHANNEL_STEP, COLUMNS, FIRST_BOX, STRIDE, LevelTable, level_of
from .products import SquareRoot, scan_products, write_cell

Level = NewType("Level", NDArray[np.float32])


class ProductLevels(NamedTuple):
    """Up to six levels, each three tensors (B, numbers of an image).

    Rows of `score_levels` and of `box_levels` (1 or B, S, 8) say where scores and boxes of a level are.
    Objectness is one number a cell.
    """

    certainties0: Level
    certainties1: Level
    certainties2: Level
    certainties3: Level
    certainties4: Level
    certainties5: Level
    scores0: Level
    scores1: Level
    scores2: Level
    scores3: Level
    scores4: Level
    scores5: Level
    boxes0: Level
    boxes1: Level
    boxes2: Level
    boxes3: Level
    boxes4: Level
    boxes5: Level
    score_levels: LevelTable
    box_levels: LevelTable
    activation: Activation
    objectness_alone: ObjectnessAlone
    square_root: SquareRoot


@pasted
def _scan(head: ProductLevels, image: int, boxes: int, rule: Rule, room: int, collector: Collector) -> int:
    certainties = (
        head.certainties0, head.certainties1, head.certainties2, head.certainties3, head.certainties4,
        head.certainties5,
    )  # fmt: skip
    scores = (head.scores0, head.scores1, head.scores2, head.scores3, head.scores4, head.scores5)
    levels = head.score_levels[image if head.score_levels.shape[0] > 1 else 0]
    begin_scan(collector, rule.thresholds, rule.discard, act.NONE, LOWEST_KEY)
    for level in range(levels.shape[0]):
        of_image = image_of(certainties[level], image)
        scan_products(
            of_image, 1, image_of(scores[level], image), levels[level, CELL_STEP],
            levels[level, CHANNEL_STEP], raw(of_image).shape[0], levels[level, FIRST_BOX], boxes,
            head.activation, head.objectness_alone, head.square_root, rule.thresholds, rule.discard,
            rule.multi_label, collector,
        )  # fmt: skip
    return end_scan(collector, 0)


@pasted
def _decode(
    head: ProductLevels,
    image: int,
    boxes: int,
    keys: NDArray[np.uint64],
    count: int,
    corners: NDArray[np.float32],
) -> None:
    numbers = (head.boxes0, head.boxes1, head.boxes2, head.boxes3, head.boxes4, head.boxes5)
    levels = head.box_levels[image if head.box_levels.shape[0] > 1 else 0]
    for index in range(count):
        box = int(order_of(keys[index]) % boxes)
        level = level_of(box, levels)
        cell = box - levels[level, FIRST_BOX]
        row, column = divmod(cell, levels[level, COLUMNS])
        write_cell(
            image_of(numbers[level], image), cell * levels[level, CELL_STEP], levels[level, CHANNEL_STEP],
            row, column, levels[level, STRIDE], index, corners,
        )  # fmt: skip


detect_product_levels = detector(ProductLevels, _scan, _decode)
