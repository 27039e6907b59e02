"""Quadrilaterals by their corners: the exact Jaccard index, whatever their form, in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel

# A triangle cut by three lines has six corners at most.
_CORNERS = 6


@kernel
def quadrilateral_iou_matrix(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Jaccard index of each quadrilateral of `a` (N, 4, 2) with each of `b` (M, 4, 2), as (N, M).

    Corners go around, either way. A quadrilateral is the sum of two triangles on its first corner, signed by
    the way that they go around, so that it need not be convex. With one of area 0 the index is 0.
    """
    result = np.zeros((a.shape[0], b.shape[0]), np.float64)
    triangles, polygons = np.empty((2, 3, 2), np.float64), np.empty((2, _CORNERS, 2), np.float64)
    for i in range(a.shape[0]):
        area = _signed_area(a[i, 0], a[i, 1], a[i, 2]) + _signed_area(a[i, 0], a[i, 2], a[i, 3])
        for j in range(b.shape[0]):
            if not (_may_meet(a[i], b[j], 0) and _may_meet(a[i], b[j], 1)):
                continue
            other = _signed_area(b[j, 0], b[j, 1], b[j, 2]) + _signed_area(b[j, 0], b[j, 2], b[j, 3])
            shared = 0.0
            for number in range(4):
                _read_triangle(a[i], number // 2, b[j, 0], triangles[0])
                _read_triangle(b[j], number % 2, b[j, 0], triangles[1])
                shared += _shared_area(triangles[0], triangles[1], polygons)
            if area * other < 0.0:
                shared = -shared
            union = abs(area) + abs(other) - shared
            if shared > 0.0 and union > 0.0:
                result[i, j] = shared / union
    return result


@inner
def _may_meet(one: NDArray[np.float64], other: NDArray[np.float64], axis: int) -> bool:
    """Whether the two have more than an edge in common along an axis."""
    low, high = one[0, axis], one[0, axis]
    other_low, other_high = other[0, axis], other[0, axis]
    for corner in range(1, 4):
        low, high = min(low, one[corner, axis]), max(high, one[corner, axis])
        other_low, other_high = min(other_low, other[corner, axis]), max(other_high, other[corner, axis])
    return bool(low < other_high and other_low < high)


@inner
def _read_triangle(
    corners: NDArray[np.float64], number: int, origin: NDArray[np.float64], triangle: NDArray[np.float64]
) -> None:
    """Write the first or the second triangle of a quadrilateral, as seen from a point near it."""
    for axis in range(2):
        triangle[0, axis] = corners[0, axis] - origin[axis]
        triangle[1, axis] = corners[number + 1, axis] - origin[axis]
        triangle[2, axis] = corners[number + 2, axis] - origin[axis]


@inner
def _signed_area(a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]) -> float:
    return 0.5 * float((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1]))


@inner
def _shared_area(
    one: NDArray[np.float64], other: NDArray[np.float64], polygons: NDArray[np.float64]
) -> float:
    """Area that two triangles share, below 0 where they go around in different ways.

    The sides of the other cut the one (Sutherland & Hodgman 1974).
    """
    sign = 1.0 if _signed_area(other[0], other[1], other[2]) > 0.0 else -1.0
    for corner in range(3):
        polygons[0, corner, 0], polygons[0, corner, 1] = one[corner, 0], one[corner, 1]
    count, source = 3, 0
    for corner in range(3):
        count = _cut(
            polygons[source], count, other[corner], other[(corner + 1) % 3], sign, polygons[1 - source]
        )
        source = 1 - source
    area = 0.0
    for corner in range(1, count - 1):
        area += _signed_area(polygons[source, 0], polygons[source, corner], polygons[source, corner + 1])
    return sign * area


@inner
def _cut(
    polygon: NDArray[np.float64],
    count: int,
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    sign: float,
    result: NDArray[np.float64],
) -> int:
    """Cut off what lies on the wrong side of a line, by the sign; return how many corners stay."""
    kept = 0
    for corner in range(count):
        before = corner - 1 if corner > 0 else count - 1
        inside = sign * _signed_area(start, end, polygon[corner])
        inside_before = sign * _signed_area(start, end, polygon[before])
        if (inside >= 0.0) != (inside_before >= 0.0):
            part = inside_before / (inside_before - inside)
            # A convex polygon meets a line twice at most: rounding cannot make more of it.
            if kept < _CORNERS:
                for axis in range(2):
                    first, last = polygon[before, axis], polygon[corner, axis]
                    result[kept, axis] = first + part * (last - first)
                kept += 1
        if inside >= 0.0 and kept < _CORNERS:
            result[kept, 0], result[kept, 1] = polygon[corner, 0], polygon[corner, 1]
            kept += 1
    return kept
