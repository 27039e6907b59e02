"""Indices of boxes that are turned: that of Gaussians in their place, and the area that two share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from postproc.fusing.graph import Graph, Value

_EPSILON = np.float32(1e-7)


def probiou(g: Graph, boxes: Sequence[Value]) -> Value:
    """Index (B, K, K) of boxes (B, K): each step in float32, as `postproc.kernels.core.gaussians` does it.

    Sines, cosines, logarithms and exponentials are of what numbers are decoded in.
    """
    x, y, a, b, c, determinant = _gaussians(g, boxes)

    def pairs(value: Value) -> tuple[Value, Value]:
        return g.unsqueeze(value, 2), g.unsqueeze(value, 1)

    (one_x, other_x), (one_y, other_y) = pairs(x), pairs(y)
    dx, dy = g.op("Sub", other_x, one_x), g.op("Sub", one_y, other_y)
    both_a, both_b, both_c = (g.op("Add", *pairs(value)) for value in (a, b, c))
    of_both = g.op("Sub", g.op("Mul", both_a, both_b), g.op("Mul", both_c, both_c))
    below = g.op("Add", of_both, _EPSILON)
    squares = g.op("Add", g.op("Mul", both_a, g.op("Mul", dy, dy)), g.op("Mul", both_b, g.op("Mul", dx, dx)))
    cross = g.op("Div", g.op("Mul", g.op("Mul", both_c, dx), dy), below)
    squared = g.op("Add", g.op("Mul", g.op("Div", squares, below), 0.25), g.op("Mul", cross, 0.5))
    root = g.op("Sqrt", g.op("Mul", *pairs(determinant)))
    ratio = g.op("Div", of_both, g.op("Add", g.op("Mul", root, 4.0), _EPSILON))
    ratio = g.op("Add", ratio, _EPSILON)
    logarithm = g.to_float32(g.op("Log", g.to_real(ratio)))
    distance = g.op("Add", squared, g.op("Mul", logarithm, 0.5))
    distance = g.op("Where", g.op("Less", distance, _EPSILON), _EPSILON, distance)
    distance = g.op("Where", g.op("Greater", distance, 100.0), 100.0, distance)
    affinity = g.to_float32(g.op("Exp", g.op("Neg", g.to_real(distance))))
    rest = g.op("Add", g.op("Sub", 1.0, affinity), _EPSILON)
    return g.op("Sub", 1.0, g.op("Sqrt", rest))


def _gaussians(g: Graph, boxes: Sequence[Value]) -> list[Value]:
    """Centres, variances along x and y, covariances and determinants of boxes, (B, K) float32 each."""
    x, y, width, height, angle = boxes
    along, across = (g.op("Div", g.op("Mul", one, one), 12.0) for one in (width, height))
    cos, sin = (g.to_float32(g.op(kind, g.to_real(angle))) for kind in ("Cos", "Sin"))
    cos2, sin2 = g.op("Mul", cos, cos), g.op("Mul", sin, sin)
    a = g.op("Add", g.op("Mul", along, cos2), g.op("Mul", across, sin2))
    b = g.op("Add", g.op("Mul", along, sin2), g.op("Mul", across, cos2))
    c = g.op("Mul", g.op("Mul", g.op("Sub", along, across), cos), sin)
    determinant = g.op("Sub", g.op("Mul", a, b), g.op("Mul", c, c))
    determinant = g.op("Where", g.op("Less", determinant, 0.0), 0.0, determinant)
    return [x, y, a, b, c, determinant]


def shared_of_both(g: Graph, sides: Sequence[Value]) -> Value:
    """Area (B, K, K) that each of K rectangles shares with each, from what `Oriented` gives of them.

    In the frame in which one is the square from -1 to 1, the other is a parallelogram. What of it lies in a
    quarter of the plane is the sum over its edges, cut to the quarter, of their cross products about the
    quarter's corner (Green's theorem: the quarter's own sides add nothing); the square is four such quarters,
    with signs. Unlike a polygon that is cut side by side, that takes no number of corners.
    """
    own = [g.unsqueeze(one, 1) for one in sides]
    other = [g.unsqueeze(one, 2) for one in sides]
    ax, ay, bx, by = own[2:]
    squares = [g.op("Add", g.op("Mul", x, x), g.op("Mul", y, y)) for x, y in ((ax, ay), (bx, by))]
    starts = []
    for along, across in (("Add", "Add"), ("Add", "Sub"), ("Sub", "Sub"), ("Sub", "Add")):
        x, y = (
            g.op(across, g.op(along, g.op("Sub", other[axis], own[axis]), other[2 + axis]), other[4 + axis])
            for axis in range(2)
        )
        starts.append(
            [
                g.op("Div", g.op("Add", g.op("Mul", x, one), g.op("Mul", y, two)), square)
                for (one, two), square in zip(((ax, ay), (bx, by)), squares, strict=True)
            ]
        )
    total: Value | None = None
    for corner in range(4):
        start, end = starts[corner], starts[(corner + 1) % 4]
        steps = [g.op("Sub", last, first) for first, last in zip(start, end, strict=True)]
        cuts = [{sign: _cut(g, start[axis], steps[axis], sign) for sign in (1.0, -1.0)} for axis in range(2)]
        for u, v in ((1.0, 1.0), (-1.0, 1.0), (1.0, -1.0), (-1.0, -1.0)):
            (low_u, high_u), (low_v, high_v) = cuts[0][u], cuts[1][v]
            length = g.op("Sub", g.op("Min", high_u, high_v), g.op("Max", low_u, low_v))
            length = g.op("Max", length, g.reals(0.0))
            first = g.op("Mul", g.op("Sub", start[0], g.reals(u)), steps[1])
            cross = g.op("Sub", first, g.op("Mul", g.op("Sub", start[1], g.reals(v)), steps[0]))
            part = g.op("Mul", length, cross)
            total = part if total is None else g.op("Add" if u * v > 0 else "Sub", total, part)
    assert total is not None
    frame = g.op("Sqrt", g.op("Mul", *squares))
    return g.op("Mul", g.op("Mul", g.reals(0.5), g.op("Abs", total)), frame)


def _cut(g: Graph, start: Value, step: Value, limit: float) -> tuple[Value, Value]:
    """From where to where, in [0, 1], an edge is not beyond a limit; it ends before it begins if nowhere."""
    nothing, one, most = g.reals(0.0), g.reals(1.0), g.reals(limit)
    rises, falls = g.op("Greater", step, nothing), g.op("Less", step, nothing)
    moves = g.op("Or", rises, falls)
    at = g.op("Div", g.op("Sub", most, start), g.op("Where", moves, step, one))
    is_within = g.op("LessOrEqual", start, most)
    low = g.op("Where", falls, g.op("Max", at, nothing), nothing)
    if_level = g.op("Where", is_within, one, nothing)
    high = g.op("Where", rises, g.op("Min", at, one), g.op("Where", falls, one, if_level))
    return low, high
