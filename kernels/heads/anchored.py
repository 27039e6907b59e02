"""Boxes as offsets from anchors (Girshick et al. 2014, arXiv:1311.2524, appendix C)."""

from __future__ import annotations

import math
from typing import NamedTuple, NewType

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, pasted
from ..core.boxes import to_corners
from ..core.candidates import order_of
from ..core.collector import Collector
from ..core.numbers import image_of, number
from ..core.scores import scan_scores
from .arguments import Activation, BoxFormat, FirstScore, Planar, Rule, Scores
from .driver import detector

# As Detectron does: no anchor grows more than 1000/16-fold, however large an offset.
_LARGEST_LOG_SCALE = math.log(1000.0 / 16.0)


Anchors = NewType("Anchors", NDArray[np.float32])
Offsets = NewType("Offsets", NDArray[np.float32])
FirstOffsets = NewType("FirstOffsets", int)
OffsetsScale = NewType("OffsetsScale", NDArray[np.float64])
YFirst = NewType("YFirst", bool)
LinearSizes = NewType("LinearSizes", bool)


class Anchored(NamedTuple):
    """Scores (B, N, S), or (B, S, N) if `planar`, see `scan_scores`; anchors moved and scaled by offsets.

    The offsets dx, dy, dw, dh of label l are columns ``4 * (first_offsets + l)`` and on of `offsets`
    (B, N, C); where `first_offsets` is negative all labels share columns 0 to 3. The last four columns of
    anchors (1 or B, N, 4 or 5) are the box. `scale` (4,) multiplies the offsets; then dw and dh are limited
    to log(1000 / 16). The offsets are dy, dx, dh, dw if `y_first`; dw and dh are factors of the anchor's
    size, not their logarithms, if `linear_sizes`.
    """

    scores: Scores
    planar: Planar
    first: FirstScore
    activation: Activation
    anchors: Anchors
    anchors_format: BoxFormat
    offsets: Offsets
    first_offsets: FirstOffsets
    scale: OffsetsScale
    y_first: YFirst
    linear_sizes: LinearSizes


@pasted
def _scan(head: Anchored, image: int, boxes: int, rule: Rule, room: int, collector: Collector) -> int:
    return scan_scores(
        image_of(head.scores, image), head.planar, head.first, rule.thresholds, rule.discard, head.activation,
        rule.multi_label, room, collector,
    )  # fmt: skip


@inner
def _decode(
    head: Anchored, image: int, boxes: int, keys: NDArray[np.uint64], count: int, corners: NDArray[np.float32]
) -> None:
    anchors, offsets, scale = head.anchors, image_of(head.offsets, image), head.scale
    rows = anchors[image if anchors.shape[0] > 1 else 0]
    first, is_linear = head.first_offsets, head.linear_sizes
    column = rows.shape[1] - 4
    x, y = (1, 0) if head.y_first else (0, 1)
    for index in range(count):
        label, row = divmod(order_of(keys[index]), boxes)
        x1, y1, x2, y2 = to_corners(
            np.float64(rows[row, column]),
            np.float64(rows[row, column + 1]),
            np.float64(rows[row, column + 2]),
            np.float64(rows[row, column + 3]),
            head.anchors_format,
        )
        at = 0 if first < 0 else 4 * (first + label)
        anchor_width = x2 - x1
        anchor_height = y2 - y1
        center_x = 0.5 * (x1 + x2) + np.float64(number(offsets, (row, at + x))) * scale[0] * anchor_width
        center_y = 0.5 * (y1 + y2) + np.float64(number(offsets, (row, at + y))) * scale[1] * anchor_height
        growth_x = np.float64(number(offsets, (row, at + 2 + x))) * scale[2]
        growth_y = np.float64(number(offsets, (row, at + 2 + y))) * scale[3]
        width = anchor_width * (growth_x if is_linear else _bounded_exp(growth_x))
        height = anchor_height * (growth_y if is_linear else _bounded_exp(growth_y))
        corners[index, 0] = center_x - 0.5 * width
        corners[index, 1] = center_y - 0.5 * height
        corners[index, 2] = center_x + 0.5 * width
        corners[index, 3] = center_y + 0.5 * height


@inner
def _bounded_exp(value: float) -> float:
    # Not min(): NaN must stay NaN, so that its box is dropped.
    return math.exp(_LARGEST_LOG_SCALE if value > _LARGEST_LOG_SCALE else value)


detect_anchored = detector(Anchored, _scan, _decode)
