"""Rectangles that are turned: corners, enclosing boxes and the exact Jaccard index, in float64.

A rectangle is a row of six numbers: its centre, and two vectors from there to the middles of two sides that
meet, along the width and along the height.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel

# A quadrilateral cut by four lines has eight corners at most.
_CORNERS = 8


@inner
def read_rectangle(
    cx: float, cy: float, width: float, height: float, angle: float, rectangle: NDArray[np.float64]
) -> None:
    """Write a rectangle (6,); the angle, in radians, turns x towards y."""
    cos, sin = math.cos(angle), math.sin(angle)
    rectangle[0], rectangle[1] = cx, cy
    rectangle[2], rectangle[3] = 0.5 * width * cos, 0.5 * width * sin
    rectangle[4], rectangle[5] = -0.5 * height * sin, 0.5 * height * cos


@inner
def enclosing_box(rectangle: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Corners xyxy of the upright box around a rectangle."""
    half_width = abs(rectangle[2]) + abs(rectangle[4])
    half_height = abs(rectangle[3]) + abs(rectangle[5])
    cx, cy = rectangle[0], rectangle[1]
    return cx - half_width, cy - half_height, cx + half_width, cy + half_height


@inner
def new_polygons() -> NDArray[np.float64]:
    """Room that `shared_area` works in: two polygons."""
    return np.empty((2, _CORNERS, 2), np.float64)


@inner
def shared_area(one: NDArray[np.float64], other: NDArray[np.float64], polygons: NDArray[np.float64]) -> float:
    """Area that two rectangles share, both of which have an area of their own.

    In the frame in which `one` is the square from -1 to 1, the other is a parallelogram, which the four sides
    of the square cut to what is shared (Sutherland & Hodgman 1974); the shoelace formula gives its area.
    """
    ax, ay, bx, by = one[2], one[3], one[4], one[5]
    a_square, b_square = ax * ax + ay * ay, bx * bx + by * by
    for corner in range(4):
        along_a = 1.0 if corner == 0 or corner == 1 else -1.0
        along_b = 1.0 if corner == 0 or corner == 3 else -1.0
        x = other[0] - one[0] + along_a * other[2] + along_b * other[4]
        y = other[1] - one[1] + along_a * other[3] + along_b * other[5]
        polygons[0, corner, 0] = (x * ax + y * ay) / a_square
        polygons[0, corner, 1] = (x * bx + y * by) / b_square
    count = 4
    source = 0
    for axis in range(2):
        for side in range(2):
            sign = 1.0 if side == 0 else -1.0
            count = _cut(polygons[source], count, axis, sign, polygons[1 - source])
            source = 1 - source
    twice = 0.0
    for corner in range(count):
        following = corner + 1 if corner + 1 < count else 0
        twice += (
            polygons[source, corner, 0] * polygons[source, following, 1]
            - polygons[source, following, 0] * polygons[source, corner, 1]
        )
    return 0.5 * abs(twice) * math.sqrt(a_square * b_square)


@inner
def _cut(
    polygon: NDArray[np.float64], count: int, axis: int, sign: float, result: NDArray[np.float64]
) -> int:
    """Cut off what lies beyond 1 along an axis, or beyond -1 by the sign; return how many corners stay."""
    kept = 0
    for corner in range(count):
        before = corner - 1 if corner > 0 else count - 1
        inside = 1.0 - sign * polygon[corner, axis]
        inside_before = 1.0 - sign * polygon[before, axis]
        if (inside >= 0.0) != (inside_before >= 0.0):
            part = inside_before / (inside_before - inside)
            # A corner of a convex polygon is met twice at most: rounding cannot make more of them.
            if kept < _CORNERS:
                for number in range(2):
                    start, end = polygon[before, number], polygon[corner, number]
                    result[kept, number] = start + part * (end - start)
                kept += 1
        if inside >= 0.0 and kept < _CORNERS:
            result[kept, 0], result[kept, 1] = polygon[corner, 0], polygon[corner, 1]
            kept += 1
    return kept


@kernel
def rectangle_iou_matrix(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Jaccard index of each rectangle of `a` (N, 5) with each of `b` (M, 5), as (N, M).

    They are cx, cy, width, height, whose signs say nothing, and angle. With one of width or height 0 it is 0.
    """
    result = np.empty((a.shape[0], b.shape[0]), np.float64)
    one, other, polygons = np.empty(6, np.float64), np.empty(6, np.float64), new_polygons()
    for i in range(a.shape[0]):
        _read_row(a, i, one)
        for j in range(b.shape[0]):
            _read_row(b, j, other)
            shared = 0.0
            area = abs(np.float64(a[i, 2]) * np.float64(a[i, 3]))
            other_area = abs(np.float64(b[j, 2]) * np.float64(b[j, 3]))
            if area > 0.0 and other_area > 0.0:
                shared = shared_area(one, other, polygons)
            result[i, j] = shared / (area + other_area - shared) if shared > 0.0 else 0.0
    return result


@inner
def _read_row(rows: NDArray[np.float32], row: int, rectangle: NDArray[np.float64]) -> None:
    read_rectangle(
        np.float64(rows[row, 0]),
        np.float64(rows[row, 1]),
        np.float64(rows[row, 2]),
        np.float64(rows[row, 3]),
        np.float64(rows[row, 4]),
        rectangle,
    )
