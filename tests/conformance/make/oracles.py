"""Answers from first principles: rational numbers, and scalar float32 in the order that README states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

Box = Sequence[float]
Index = Callable[[Box, Box], Any]
MARGIN = Fraction(1, 10_000)  # rounding in float32 is far below


def rational_iou(a: Box, b: Box) -> Fraction:
    """Intersection over union of two boxes xyxy, as float32 holds them, without any rounding."""
    a, b = _rational(a), _rational(b)
    area_a, area_b = _area(a), _area(b)
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if not (area_a and area_b) or width <= 0 or height <= 0:
        return Fraction(0)
    return width * height / (area_a + area_b - width * height)


def stepwise_iou(a: Box, b: Box) -> np.float32:
    """The same, rounded to float32 after each step: sides, areas, a + b, - intersection, quotient."""
    a, b = [np.float32(side) for side in a], [np.float32(side) for side in b]
    zero = np.float32(0)
    areas = []
    for x1, y1, x2, y2 in (a, b):
        width, height = x2 - x1, y2 - y1
        areas.append(width * height if width > 0 and height > 0 else zero)
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = width * height if width > 0 and height > 0 else zero
    union = areas[0] + areas[1] - shared
    return shared / union if areas[0] > 0 and areas[1] > 0 else zero


def greedy(
    boxes: Sequence[Box],
    scores: Sequence[float],
    threshold: float,
    labels: Sequence[int] | None = None,
    index: Index = rational_iou,
) -> list[int]:
    """Greedy NMS: rows by descending score, ties by row, unless a kept one of the label overlaps it more.

    With any index but `stepwise_iou` no pair may be near the threshold, where rounding would decide; an IoU
    of 0 is exact.
    """
    limit = np.float32(threshold)
    exact = Fraction(float(limit))
    kept: list[int] = []
    for row in sorted(range(len(boxes)), key=lambda row: (-np.float32(scores[row]), row)):
        others = [one for one in kept if labels is None or labels[one] == labels[row]]
        found = [index(boxes[one], boxes[row]) for one in others]
        if index is stepwise_iou:
            above = [value > limit for value in found]
        else:
            assert all(value == 0 or abs(value - exact) > MARGIN for value in found), (row, found)
            above = [value > exact for value in found]
        if not any(above):
            kept.append(row)
    return kept


def nearest(value: Fraction | float) -> float:
    """The float32 nearest to a number, in the fewest decimals that say which it is."""
    return float(str(np.float32(float(value))))


def _rational(box: Box) -> list[Fraction]:
    return [Fraction(float(np.float32(side))) for side in box]


def _area(box: Sequence[Fraction]) -> Fraction:
    return max(Fraction(0), box[2] - box[0]) * max(Fraction(0), box[3] - box[1])
