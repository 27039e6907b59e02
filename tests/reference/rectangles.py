"""Rectangles that are turned, and what two of them share: from corners and crossings, in float64.

That is another way than the kernel's, which cuts one polygon by the sides of the other. And `probiou`, the
index of the Gaussians in their place, by the matrices of its paper.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.reference.boxes import Box, rounded

Point = tuple[float, float]
Rectangle = tuple[float, float, float, float, float]  # cx, cy, width, height, angle in radians


def corners(rectangle: Rectangle) -> list[Point]:
    """Return the corners as ultralytics lists them: + + , + -, - -, - + along width and height."""
    cx, cy, width, height, angle = (float(value) for value in rectangle)
    cos, sin = math.cos(angle), math.sin(angle)
    return [
        (cx + a * width / 2 * cos - b * height / 2 * sin, cy + a * width / 2 * sin + b * height / 2 * cos)
        for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))
    ]


def enclosing(rectangle: Rectangle) -> tuple[float, float, float, float]:
    """Return xmin, ymin, xmax, ymax of the corners."""
    xs, ys = zip(*corners(rectangle), strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def turned_box(cx: Any, cy: Any, width: Any, height: Any, angle: Any) -> tuple[Rectangle, Box]:
    """Return a rectangle and the box around it: without an area it is none, which not-a-number says here."""
    rectangle = float(cx), float(cy), float(width), float(height), float(angle)
    box = rounded([math.nan] * 4)
    if width != 0 and height != 0 and all(map(math.isfinite, rectangle)):
        box = rounded(enclosing(rectangle))
    return rectangle, box


def rectangle_iou(a: Rectangle, b: Rectangle) -> float:
    """Return the Jaccard index; 0 where a width or a height is 0."""
    area_a, area_b = (abs(float(one[2]) * float(one[3])) for one in (a, b))
    if not (area_a and area_b):
        return 0.0
    shared = shared_area(a, b)
    return shared / (area_a + area_b - shared)


def shared_area(a: Rectangle, b: Rectangle) -> float:
    """Return the area of the convex hull of corners inside the other, and of crossings of sides."""
    points = [point for point in corners(a) if _is_inside(point, b)]
    points += [point for point in corners(b) if _is_inside(point, a)]
    for side, other in itertools.product(_sides(corners(a)), _sides(corners(b))):
        points += _crossing(side, other)
    if len(points) < 3:
        return 0.0
    cx, cy = (sum(values) / len(points) for values in zip(*points, strict=True))
    around = sorted(points, key=lambda point: math.atan2(point[1] - cy, point[0] - cx))
    twice = sum(
        (x1 - cx) * (y2 - cy) - (x2 - cx) * (y1 - cy) for (x1, y1), (x2, y2) in _sides(around)
    )  # fmt: skip
    return abs(twice) / 2


def probiou(a: Rectangle, b: Rectangle) -> float:
    """Return 1 less the Hellinger distance of two Gaussians (Murrugarra-Llerena et al. 2021, eq. 3 to 8).

    In float64. ultralytics adds 1e-7 wherever it divides, in logarithm and root; so does this.
    """
    tiny = 1e-7
    of_a, of_b = _covariance(a), _covariance(b)
    both = of_a + of_b
    apart = np.subtract(a[:2], b[:2])
    determinant = _determinant(both)
    adjugate = np.trace(both) * np.eye(2) - both
    first = apart @ adjugate @ apart / (determinant + tiny) / 4
    root = 4 * math.sqrt(max(_determinant(of_a), 0) * max(_determinant(of_b), 0))
    distance = first + math.log(determinant / (root + tiny) + tiny) / 2
    affinity = math.exp(-min(max(distance, tiny), 100))
    return 1 - math.sqrt(1 - affinity + tiny)


def _covariance(rectangle: Rectangle) -> NDArray[np.float64]:
    """Return that of a point anywhere in the rectangle: a side's square over 12, turned."""
    _, _, width, height, angle = rectangle
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    covariance: NDArray[np.float64] = turn @ np.diag([width**2 / 12, height**2 / 12]) @ turn.T
    return covariance


def _determinant(matrix: NDArray[np.float64]) -> float:
    return float(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0])


def _sides(points: Sequence[Point]) -> list[tuple[Point, Point]]:
    return list(zip(points, [*points[1:], points[0]], strict=True))


def _is_inside(point: Point, rectangle: Rectangle) -> bool:
    cx, cy, angle = *rectangle[:2], rectangle[4]
    width, height = abs(rectangle[2]), abs(rectangle[3])
    x, y = point[0] - cx, point[1] - cy
    cos, sin = math.cos(angle), math.sin(angle)
    slack = 1e-12 * (abs(cx) + abs(cy) + width + height)
    return (
        abs(x * cos + y * sin) <= width / 2 + slack and abs(y * cos - x * sin) <= height / 2 + slack
    )  # fmt: skip


def _crossing(side: tuple[Point, Point], other: tuple[Point, Point]) -> list[Point]:
    (ax, ay), (bx, by) = side
    (cx, cy), (dx, dy) = other
    ux, uy, vx, vy = bx - ax, by - ay, dx - cx, dy - cy
    cross = ux * vy - uy * vx
    if abs(cross) <= 1e-14 * math.hypot(ux, uy) * math.hypot(vx, vy):
        return []  # parallel: their ends are corners inside
    s = ((cx - ax) * vy - (cy - ay) * vx) / cross
    t = ((cx - ax) * uy - (cy - ay) * ux) / cross
    return [(ax + s * ux, ay + s * uy)] if 0 <= s <= 1 and 0 <= t <= 1 else []
