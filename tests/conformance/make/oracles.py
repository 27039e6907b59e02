"""Answers from first principles: rational numbers, and scalar float32 in the order that README states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

Box = Sequence[float]
Index = Callable[[Any, Any], Any]
MARGIN = Fraction(1, 10_000)  # rounding in float32 is far below


def rational_iou(a: Box, b: Box) -> Fraction:
    """Intersection over union of two boxes xyxy, as float32 holds them, without any rounding."""
    one, other = _rational(a), _rational(b)
    areas = _area(one), _area(other)
    width, height = (
        min(one[2], other[2]) - max(one[0], other[0]),
        min(one[3], other[3]) - max(one[1], other[1]),
    )
    if not all(areas) or width <= 0 or height <= 0:
        return Fraction(0)
    return width * height / (areas[0] + areas[1] - width * height)


def stepwise_iou(a: Box, b: Box) -> np.float32:
    """The same, rounded to float32 after each step: sides, areas, a + b, - intersection, quotient."""
    one, other = [np.float32(side) for side in a], [np.float32(side) for side in b]
    zero = np.float32(0)

    def area(x1: np.float32, y1: np.float32, x2: np.float32, y2: np.float32) -> np.float32:
        width, height = np.float32(x2 - x1), np.float32(y2 - y1)
        return np.float32(width * height) if width > 0 and height > 0 else zero

    shared = area(*(max(one[k], other[k]) for k in (0, 1)), *(min(one[k], other[k]) for k in (2, 3)))
    union = np.float32(np.float32(area(*one) + area(*other)) - shared)
    return np.float32(shared / union) if area(*one) > 0 and area(*other) > 0 else zero


def greedy(
    boxes: Sequence[Any],
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


def nearest(value: Fraction | float | np.float32) -> float:
    """The float32 nearest to a number, in the fewest decimals that say which it is."""
    return float(str(np.float32(float(value))))


def _rational(box: Box) -> list[Fraction]:
    return [Fraction(float(np.float32(side))) for side in box]


def _area(box: Sequence[Fraction]) -> Fraction:
    return max(Fraction(0), box[2] - box[0]) * max(Fraction(0), box[3] - box[1])
