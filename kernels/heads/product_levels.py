"""Objectness, probabilities and boxes in tensors of their own, a level of cells each: YuNet, YOLOX."""

from __future__ import annotations

from typing import NamedTuple, NewType

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel, pasted
from ..core import activation as act
from ..core.candidates import LOWEST_KEY, order_of
from ..core.collector import Collector, begin_scan, end_scan
from .arguments import Activation, FirstImage, KeptOffsets, KeptRegions, ObjectnessAlone, Placement, Rule
from .driver import detector
from .keypoints import Points, write_point
from .products import SquareRoot, scan_products, write_cell

FIRST_BOX, COLUMNS, CELL_STRIDE, SCORE_STEP, LABEL_STEP, BOX_STEP, SIDE_STEP, POINT_STEP, AXIS_STEP = range(9)

Level = NewType("Level", NDArray[np.float32])
LevelShapes = NewType("LevelShapes", NDArray[np.int64])


class ProductLevels(NamedTuple):
    """Up to five levels, each three tensors (B, numbers of an image).

    Each row of `shapes` (1 or B, S, 9) describes a level: its first box, the columns and the stride of its
    grid, then the steps from cell to cell and from channel to channel among scores, boxes and landmarks,
    which serve every layout. Objectness is one number a cell.
    """

    certainties0: Level
    certainties1: Level
    certainties2: Level
    certainties3: Level
    certainties4: Level
    scores0: Level
    scores1: Level
    scores2: Level
    scores3: Level
    scores4: Level
    boxes0: Level
    boxes1: Level
    boxes2: Level
    boxes3: Level
    boxes4: Level
    shapes: LevelShapes
    activation: Activation
    objectness_alone: ObjectnessAlone
    square_root: SquareRoot


@pasted
def _scan(head: ProductLevels, image: int, boxes: int, rule: Rule, room: int, collector: Collector) -> int:
    certainties = (
        head.certainties0, head.certainties1, head.certainties2, head.certainties3, head.certainties4
    )  # fmt: skip
    scores = (head.scores0, head.scores1, head.scores2, head.scores3, head.scores4)
    shapes = head.shapes[image if head.shapes.shape[0] > 1 else 0]
    begin_scan(collector, rule.thresholds, rule.discard, act.NONE, LOWEST_KEY)
    for level in range(shapes.shape[0]):
        of_image = certainties[level][image]
        scan_products(
            of_image, 1, scores[level][image], shapes[level, SCORE_STEP], shapes[level, LABEL_STEP],
            of_image.shape[0], shapes[level, FIRST_BOX], boxes, head.activation, head.objectness_alone,
            head.square_root, rule.thresholds, rule.discard, rule.multi_label, collector,
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
    numbers = (head.boxes0, head.boxes1, head.boxes2, head.boxes3, head.boxes4)
    shapes = head.shapes[image if head.shapes.shape[0] > 1 else 0]
    for index in range(count):
        level, cell = _level_of(int(order_of(keys[index])) % boxes, shapes)
        row, column = divmod(cell, shapes[level, COLUMNS])
        write_cell(
            numbers[level][image], cell * shapes[level, BOX_STEP], shapes[level, SIDE_STEP], row, column,
            shapes[level, CELL_STRIDE], index, corners,
        )  # fmt: skip


@inner
def _level_of(box: int, shapes: NDArray[np.int64]) -> tuple[int, int]:
    """Level of a box, and its cell there."""
    level = 0
    while level + 1 < shapes.shape[0] and box >= shapes[level + 1, FIRST_BOX]:
        level += 1
    return level, box - shapes[level, FIRST_BOX]


detect_product_levels = detector(ProductLevels, _scan, _decode)


@kernel
def gather_landmarks_of_cells(
    landmarks0: Level,
    landmarks1: Level,
    landmarks2: Level,
    landmarks3: Level,
    landmarks4: Level,
    shapes: LevelShapes,
    points: Points,
    regions: KeptRegions,
    offsets: KeptOffsets,
    placement: Placement,
    start: FirstImage,
) -> NDArray[np.float32]:
    """Landmarks (K, points, 2) of K detections, as of `gather_keypoints`, from x and y in cells."""
    landmarks = (landmarks0, landmarks1, landmarks2, landmarks3, landmarks4)
    found = np.empty((regions.shape[0], points, 2), np.float32)
    for index in range(offsets.shape[0] - 1):
        image = start + index
        levels = shapes[image if shapes.shape[0] > 1 else 0]
        for kept in range(offsets[index], offsets[index + 1]):
            level, cell = _level_of(regions[kept], levels)
            row, column = divmod(cell, levels[level, COLUMNS])
            stride, step = levels[level, CELL_STRIDE], levels[level, AXIS_STEP]
            numbers, at = landmarks[level][image], cell * levels[level, POINT_STEP]
            for point in range(points):
                x = np.float32((np.float64(numbers[at]) + column) * stride)
                y = np.float32((np.float64(numbers[at + step]) + row) * stride)
                write_point(x, y, placement[image], found[kept, point])
                at += 2 * step
    return found
