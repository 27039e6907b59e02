"""Keypoints of the boxes that are rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from postproc.fusing.graph import Graph, Value
from postproc.fusing.heads.decoded import Extra, Place
from postproc.fusing.heads.fusion import Fusion


def keypoints_of_rows(fusion: Fusion, rows: Value, points: int, dimensions: int) -> Extra:
    """Keypoints that stand in rows (B, N, points * dimensions), decoded."""
    g = fusion.g

    def of(boxes: Value, place: Place) -> Value:
        taken = g.op("Reshape", g.take(rows, boxes), [0, -1, dimensions])
        return _written(g, g.columns(taken, dimensions), points, place)

    return Extra((points, dimensions), of)


def decoded_points(fusion: Fusion, points: int, decode: Callable[[Value], tuple[Value, Value]]) -> Extra:
    """Points of two numbers; `decode` gives x and y (B, P, points) float32 from the numbers of boxes."""
    g = fusion.g

    def of(boxes: Value, place: Place) -> Value:
        flat = [g.op("Flatten", one, axis=1) for one in decode(boxes)]
        return _written(g, flat, points, place)

    return Extra((points, 2), of)


def _written(g: Graph, numbers: list[Value], points: int, place: Place) -> Value:
    """Place x and y (B, P * points), with a score or without; zeros where a number is not finite."""
    x, y = place(*numbers[:2])
    written = [x, y, *numbers[2:]]
    is_there = g.all_of(*[g.is_finite(one) for one in written])
    placed = g.stacked(*[g.op("Where", is_there, one, np.float32(0)) for one in written])
    return g.op("Reshape", placed, [0, -1, points, len(written)])
