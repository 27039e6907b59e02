"""From boxes that are kept to rows of fixed shapes: place, clip, drop what has no area, the first P."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from postproc.fusing.graph import Graph, Operand, Value
from postproc.fusing.selection import Selected
from postproc.fusing.sizes import Divisors


def divided(g: Graph, corners: Sequence[Value], divisors: Divisors | None) -> list[Value]:
    """Corners relative to the input: a division in float32 is that in float64, rounded once."""
    if divisors is None:
        return list(corners)
    return [g.op("Div", side, by) for side, by in zip(corners, divisors.sides, strict=False)]


def scaled(g: Graph, corners: Sequence[Value], scale: Divisors) -> list[Value]:
    """Corners relative to the input in its pixels."""
    return [g.op("Mul", side, by) for side, by in zip(corners, scale.sides, strict=False)]


def placed(g: Graph, corners: Sequence[Value], placement: Value) -> list[Value]:
    """Corners as a placement (B, 2, 4) float64 places them, as `postproc.kernels.core.placement` does."""
    axes = []
    for axis in range(2):
        of_axis = g.op("Gather", placement, np.int64(axis), axis=1)
        axes.append([g.slice(of_axis, 1, part, part + 1) for part in range(4)])
    found = []
    for index, side in enumerate(corners):
        factor, offset, scale, size = axes[index % 2]
        moved = g.op("Sub", g.op("Mul", g.cast(side, np.float64), factor), offset)
        found.append(g.cast(g.op("Div", g.op("Div", moved, scale), size), np.float32))
    return found


def clipped(g: Graph, value: Value, limit: Operand) -> Value:
    """Limit coordinates to [0, limit], bit for bit as `postproc.kernels.core.placement.clip` does."""
    within = g.op("Where", g.op("Greater", value, limit), limit, value)
    return g.op("Where", g.op("Less", value, 0.0), 0.0, within)


@dataclass(frozen=True)
class Finished:
    """Rows of the outputs, (B, P, ...)."""

    boxes: Value
    scores: Value
    labels: Value
    regions: Value
    count: Value
    complete: Value
    box_numbers: Value
    is_row: Value


def finish(
    g: Graph,
    selected: Selected,
    corners: Sequence[Value],
    keep: Value,
    are_all_known: Value | None,
    *,
    ids: NDArray[np.int64],
    columns: int,
    rows: int,
    scale: Divisors | None,
) -> Finished:
    """Give the first `rows` of those kept whose boxes, clipped to [0, 1], have an area."""
    sides = [clipped(g, side, 1.0) for side in corners]
    x1, y1, x2, y2 = sides
    kept = g.all_of(keep, g.op("Less", x1, x2), g.op("Less", y1, y2))
    ranks = np.arange(selected.count, 0, -1, dtype=np.float32).reshape(1, -1)
    most = min(rows, selected.count)
    keys = g.op("Where", kept, ranks, 0.0)
    found, order = g.ops("TopK", keys, [most], names=[None, None], axis=1, largest=1, sorted=1)
    if most < rows:  # padded; what stands there is not read
        numbers = np.minimum(np.arange(rows), most - 1)
        order, found = g.op("Gather", order, numbers, axis=1), g.op("Gather", found, numbers, axis=1)
        found = g.op("Where", (np.arange(rows) < most).reshape(1, -1), found, 0.0)
    is_row = g.op("Greater", found, 0.0)
    count = g.reduce("ReduceSum", g.cast(is_row, np.int64), 1)
    if scale is not None:
        sides = scaled(g, sides, scale)
    boxes = g.take(g.stacked(*sides), order)
    scores, labels, numbers_of_boxes = (
        g.take(one, order) for one in (selected.scores, selected.labels, selected.boxes)
    )
    regions = numbers_of_boxes
    if columns > 1:
        regions = g.op("Div", regions, np.int64(columns))
    return Finished(
        boxes=g.op("Where", g.unsqueeze(is_row, 2), boxes, 0.0),
        scores=g.op("Where", is_row, scores, 0.0),
        labels=g.op("Where", is_row, g.op("Gather", ids, labels, axis=0), np.int64(-1)),
        regions=g.op("Where", is_row, regions, np.int64(-1)),
        count=count,
        complete=_complete(g, selected, is_row, are_all_known, rows),
        box_numbers=numbers_of_boxes,
        is_row=is_row,
    )


def _complete(g: Graph, selected: Selected, is_row: Value, are_all_known: Value | None, rows: int) -> Value:
    """Whether all candidates were compared, and settled, or as many rows were found as there may be.

    Of candidates that were compared, those that tie with others that were not are no rows already.
    """
    complete = g.op("LessOrEqual", selected.passing, np.float32(selected.count))
    if are_all_known is not None:
        complete = g.op("And", complete, are_all_known)
    if rows > selected.count:
        return complete
    return g.op("Or", complete, g.op("Gather", is_row, np.int64(rows - 1), axis=1))
