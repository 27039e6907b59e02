"""From boxes that are kept to rows of fixed shapes: place, clip, drop what has no area, the first P."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

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


class Output(NamedTuple):
    """An output of the graph.

    Parameters
    ----------
    value : Value
    dtype : dtype
    shape : tuple of int
        Without the axis of images.
    """

    value: Value
    dtype: type[Any]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Finished:
    """Outputs of boxes.

    Parameters
    ----------
    of_rows, of_images : dict of str to Output
    box_numbers : Value
        (B, P) int64; any that exist where `is_row`, (B, P) bool, is false.
    is_row : Value
    """

    of_rows: dict[str, Output]
    of_images: dict[str, Output]
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
    keys = g.op("Where", kept, ranks, 0.0)
    most = min(rows, selected.count)
    found, order = g.ops("TopK", keys, [most], names=[None, None], axis=1, largest=1, sorted=1)
    order = _first(g, order, most, rows)
    is_row = _are_rows(g, _first(g, found, most, rows), most, rows)
    if scale is not None:
        sides = scaled(g, sides, scale)
    boxes = g.take(g.stacked(*sides), order)
    scores, labels, numbers_of_boxes = (
        g.take(one, order) for one in (selected.scores, selected.labels, selected.boxes)
    )
    regions = numbers_of_boxes
    if columns > 1:
        regions = g.op("Div", regions, np.int64(columns))
    of_rows = {
        "boxes": Output(g.op("Where", g.unsqueeze(is_row, 2), boxes, 0.0), np.float32, (rows, 4)),
        **_of_rows(g, scores, labels, is_row, ids, rows),
        "regions": Output(g.op("Where", is_row, regions, np.int64(-1)), np.int64, (rows,)),
    }
    of_images = _of_images(g, selected, is_row, are_all_known, rows)
    return Finished(of_rows, of_images, numbers_of_boxes, is_row)


def finish_labels(g: Graph, selected: Selected, ids: NDArray[np.int64], rows: int) -> dict[str, Output]:
    """Give the first `rows` of the labels of whole images, which need no more than a score."""
    scores, labels = (_first(g, one, selected.count, rows) for one in (selected.scores, selected.labels))
    is_row = _are_rows(g, scores, selected.count, rows)
    of_images = _of_images(g, selected, is_row, None, rows)
    return {**_of_rows(g, scores, labels, is_row, ids, rows), **of_images}


def _of_rows(
    g: Graph, scores: Value, labels: Value, is_row: Value, ids: NDArray[np.int64], rows: int
) -> dict[str, Output]:
    """Give the scores of rows, and the ids of their labels."""
    of_labels = g.op("Where", is_row, g.op("Gather", ids, labels, axis=0), np.int64(-1))
    return {
        "scores": Output(g.op("Where", is_row, scores, 0.0), np.float32, (rows,)),
        "labels": Output(of_labels, np.int64, (rows,)),
    }


def _of_images(
    g: Graph, selected: Selected, is_row: Value, are_all_known: Value | None, rows: int
) -> dict[str, Output]:
    """Give the number of rows, and whether they are all."""
    count = g.reduce("ReduceSum", g.cast(is_row, np.int64), 1)
    complete = _complete(g, selected, is_row, are_all_known, rows)
    return {"count": Output(count, np.int64, ()), "complete": Output(complete, np.bool_, ())}


def _first(g: Graph, values: Value, count: int, rows: int) -> Value:
    """Give the first `rows` of values (B, `count`); the last one in the place of those that there are not."""
    if rows == count:
        return values
    return g.op("Gather", values, np.minimum(np.arange(rows), count - 1), axis=1)


def _are_rows(g: Graph, values: Value, count: int, rows: int) -> Value:
    """Which of `rows` are above 0 and among the `count` that there are."""
    is_row = g.op("Greater", values, 0.0)
    return is_row if rows <= count else g.op("And", is_row, (np.arange(rows) < count).reshape(1, -1))


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
