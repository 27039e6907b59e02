"""What two polygons share, of any form: by slabs between corners and crossings, in float64.

That is another way than the kernel's, which cuts triangles. In a slab no two sides cross, so that what the
polygons share there grows evenly from its one end to the other: the length in the middle tells the area.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

Point = tuple[float, float]
Side = tuple[Point, Point]


def polygon_iou(a: Sequence[Point], b: Sequence[Point]) -> float:
    """Return the Jaccard index; 0 where the two have no area."""
    shared, area, other = shared_area(a, b), shared_area(a, a), shared_area(b, b)
    union = area + other - shared
    return shared / union if union > 0 else 0.0


def shared_area(a: Sequence[Point], b: Sequence[Point]) -> float:
    """Return the area that lies in both, by the even-odd rule."""
    sides, others = _sides(a), _sides(b)
    cuts = {x for x, _ in [*a, *b]}
    for one, other in itertools.product(sides, others):
        cuts.update(_crossing(one, other))
    total = 0.0
    for low, high in itertools.pairwise(sorted(cuts)):
        middle = (low + high) / 2
        if not low < middle < high:
            continue  # no number lies between
        inside, inside_other = (_intervals(of, middle) for of in (sides, others))
        for (start, stop), (other_start, other_stop) in itertools.product(inside, inside_other):
            total += max(0.0, min(stop, other_stop) - max(start, other_start)) * (high - low)
    return total


def _sides(points: Sequence[Point]) -> list[Side]:
    return list(zip(points, [*points[1:], points[0]], strict=True))


def _crossing(side: Side, other: Side) -> list[float]:
    """Return the x at which two sides cross, if they do."""
    (ax, ay), (bx, by) = side
    (cx, cy), (dx, dy) = other
    ux, uy, vx, vy = bx - ax, by - ay, dx - cx, dy - cy
    cross = ux * vy - uy * vx
    if cross == 0:
        return []
    part = ((cx - ax) * vy - (cy - ay) * vx) / cross
    of_other = ((cx - ax) * uy - (cy - ay) * ux) / cross
    return [ax + part * ux] if 0 <= part <= 1 and 0 <= of_other <= 1 else []


def _intervals(sides: Sequence[Side], x: float) -> list[tuple[float, float]]:
    """Return where a line upwards at x lies inside."""
    met = sorted(
        ay + (x - ax) / (bx - ax) * (by - ay) for (ax, ay), (bx, by) in sides if min(ax, bx) < x < max(ax, bx)
    )
    return list(zip(met[::2], met[1::2], strict=True))
