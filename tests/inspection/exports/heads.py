"""What the heads of YOLOv8 and its kin compute, with the operators of their exports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.inspection.exports.building import Builder, Value, grid_of

STRIDES = (8, 16, 32)


def flat(graph: Builder, grids: Sequence[Value], channels: int, gain: float = 1.0, bias: Any = 0.0) -> Value:
    """A layer for each grid, as one tensor (B, channels, N)."""
    parts = [grid.conv(channels, gain=gain, bias=bias).reshape(0, channels, -1) for grid in grids]
    return graph.concat(*parts, axis=2)


def anchors_of(
    graph: Builder, grids: Sequence[Value], free: bool = False, strides: Sequence[int] = STRIDES
) -> tuple[Any, Any]:
    """The centres of cells (1, 2, N) and their strides (1, N): constants where the size is fixed."""
    if free:
        return graph.cells(grids, strides)
    centres, scales = grid_of(graph.size, strides)
    return centres.transpose(0, 2, 1).copy(), scales[0].T.copy()


def sides_of(graph: Builder, grids: Sequence[Value], bins: int = 16) -> tuple[Value, Value]:
    """The distances to the left and upper, the right and lower side: the mean of a softmax over bins.

    YOLO26 has no bins, but the distances as the layer gives them.
    """
    if bins == 1:
        first, second = flat(graph, grids, 4, gain=0.5, bias=1.5).split(2, 2, axis=1)
        return first, second
    raw = flat(graph, grids, 4 * bins, bias=np.tile(-0.5 * np.arange(bins), 4))
    numbers = np.arange(bins, dtype=np.float32)
    if graph.ir >= 10:  # dynamo
        shares = raw.reshape(0, 4, bins, -1).transpose(0, 1, 3, 2).softmax()
        mean = shares.op("MatMul", numbers[:, None])
    else:
        shares = raw.reshape(0, 4, bins, -1).transpose(0, 2, 1, 3).softmax(axis=1)
        mean = graph.op("Conv", shares, numbers.reshape(1, bins, 1, 1))
    first, second = mean.reshape(0, 4, -1).split(2, 2, axis=1)
    return first, second


def boxes_of(
    graph: Builder,
    grids: Sequence[Value],
    free: bool = False,
    corners: bool = False,
    strides: Sequence[int] = STRIDES,
    bins: int = 16,
) -> Value:
    """Decoded boxes (B, 4, N) in pixels: centres and sizes, or corners."""
    centres, scales = anchors_of(graph, grids, free, strides)
    first, second = sides_of(graph, grids, bins)
    upper, lower = graph.constant(centres) - first, graph.constant(centres) + second
    if not corners:
        upper, lower = (upper + lower) / 2.0, lower - upper
    return graph.concat(upper, lower, axis=1) * scales


def turned_boxes(graph: Builder, grids: Sequence[Value], angle: Value) -> Value:
    """The boxes of dist2rbox: centres turned by the angle, and sizes."""
    centres, scales = anchors_of(graph, grids)
    first, second = sides_of(graph, grids)
    x, y = ((second - first) / 2.0).split(1, 1, axis=1)
    cos, sin = angle.op("Cos"), angle.op("Sin")
    moved = graph.concat(x * cos - y * sin, x * sin + y * cos, axis=1) + centres
    return graph.concat(moved, first + second, axis=1) * scales


def keypoints_of(graph: Builder, grids: Sequence[Value], count: int, numbers: int) -> Value:
    """Keypoints (B, count * numbers, N) in pixels, with a probability where there are three numbers."""
    centres, scales = anchors_of(graph, grids)
    raw = flat(graph, grids, count * numbers).reshape(0, count, numbers, -1)
    places = (raw.slice(0, 2, 2) * 2.0 + (centres - np.float32(0.5))) * scales
    if numbers == 3:
        places = graph.concat(places, raw.slice(2, 3, 2).sigmoid(), axis=2)
    return places.reshape(0, count * numbers, -1)


def prototypes_of(graph: Builder) -> Value:
    """The prototypes (B, 32, H / 4, W / 4) of masks."""
    return graph.features(4).conv(32).sigmoid() * graph.features(4).conv(32)


def scores_of(graph: Builder, grids: Sequence[Value], labels: int) -> Value:
    """The probabilities (B, labels, N); few objects, so that most lie near 0."""
    return flat(graph, grids, labels, gain=2.5, bias=-5.0).sigmoid()
