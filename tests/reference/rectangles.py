"""Rectangles that are turned, and what two of them share: from corners and crossings, in float64.

That is another way than the kernel's, which cuts one polygon by the sides of the other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

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


def rectangle_iou(a: Rectangle, b: Rectangle) -> float:
    """Return the Jaccard index; 0 where a width or a height is not positive."""
    if min(a[2], a[3], b[2], b[3]) <= 0:
        return 0.0
    area_a, area_b = float(a[2]) * float(a[3]), float(b[2]) * float(b[3])
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


def _sides(points: Sequence[Point]) -> list[tuple[Point, Point]]:
    return list(zip(points, [*points[1:], points[0]], strict=True))


def _is_inside(point: Point, rectangle: Rectangle) -> bool:
    cx, cy, width, height, angle = rectangle
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
