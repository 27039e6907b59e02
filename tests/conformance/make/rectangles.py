"""What oriented boxes share, in rational numbers, and probiou in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

Point = tuple[Fraction, Fraction]
Turn = tuple[Fraction, Fraction]  # cosine and sine

NONE = Fraction(1), Fraction(0)
QUARTER = Fraction(0), Fraction(1)
HALF_TURN = Fraction(-1), Fraction(0)
PYTHAGORAS = Fraction(3, 5), Fraction(4, 5)  # the triangle of sides 3, 4, 5


class Rectangle:
    """An oriented box whose corners are rational."""

    def __init__(self, cx: float, cy: float, width: float, height: float, turn: Turn = NONE) -> None:
        self.numbers = [float(number) for number in (cx, cy, width, height)]
        self.turn = turn

    @property
    def row(self) -> list[float]:
        """The five numbers: the angle turns x towards y."""
        return [*self.numbers, math.atan2(self.turn[1], self.turn[0])]

    @property
    def area(self) -> Fraction:
        return Fraction(self.numbers[2]) * Fraction(self.numbers[3])

    @property
    def corners(self) -> list[Point]:
        """The corners, in the order in which the angle turns."""
        cx, cy, width, height = (Fraction(number) for number in self.numbers)
        cos, sin = self.turn
        halves = (
            (-width / 2, -height / 2),
            (width / 2, -height / 2),
            (width / 2, height / 2),
            (-width / 2, height / 2),
        )
        return [(cx + x * cos - y * sin, cy + x * sin + y * cos) for x, y in halves]


def rectangle_iou(a: Rectangle, b: Rectangle) -> Fraction:
    """Intersection over union: one polygon cut by the sides of the other (Sutherland and Hodgman 1974)."""
    if not (a.area and b.area):
        return Fraction(0)
    polygon = a.corners
    corners = b.corners
    for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
        polygon = _cut(polygon, start, end)
    shared = _area(polygon)
    return shared / (a.area + b.area - shared)


def probiou(a: Sequence[float], b: Sequence[float]) -> float:
    """1 - sqrt(1 - exp(-B)), B the Bhattacharyya distance of the Gaussians, in float64."""
    (a1, b1, c1), (a2, b2, c2) = _covariance(a), _covariance(b)
    xx, yy, xy = (a1 + a2) / 2, (b1 + b2) / 2, (c1 + c2) / 2
    determinant = xx * yy - xy**2
    dx, dy = a[0] - b[0], a[1] - b[1]
    distance = (yy * dx**2 - 2 * xy * dx * dy + xx * dy**2) / determinant / 8
    distance += math.log(determinant / math.sqrt((a1 * b1 - c1**2) * (a2 * b2 - c2**2))) / 2
    return 1 - math.sqrt(max(0.0, 1 - math.exp(-distance)))


def _covariance(box: Sequence[float]) -> tuple[float, float, float]:
    """Variance along x, along y, and covariance, of a point anywhere in the box."""
    _, _, width, height, angle = box
    along, across = width**2 / 12, height**2 / 12
    cos, sin = math.cos(angle), math.sin(angle)
    return along * cos**2 + across * sin**2, along * sin**2 + across * cos**2, (along - across) * cos * sin


def _side(point: Point, start: Point, end: Point) -> Fraction:
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])


def _cut(polygon: list[Point], start: Point, end: Point) -> list[Point]:
    kept: list[Point] = []
    for one, other in zip(polygon, [*polygon[1:], *polygon[:1]], strict=True):
        here, there = _side(one, start, end), _side(other, start, end)
        if here >= 0:
            kept.append(one)
        if here * there < 0:
            part = here / (here - there)
            kept.append((one[0] + part * (other[0] - one[0]), one[1] + part * (other[1] - one[1])))
    return kept


def _area(polygon: list[Point]) -> Fraction:
    following = [*polygon[1:], *polygon[:1]]
    return sum((a[0] * b[1] - a[1] * b[0] for a, b in zip(polygon, following, strict=True)), Fraction(0)) / 2
