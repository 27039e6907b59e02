"""Grids: outputs with some numbers for each cell, one or several for each stride."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from postproc.inspection.graph import Graph, Tensor
from postproc.inspection.observed import Columns
from postproc.transforms import Size

_STRIDES = (2, 4, 8, 16, 32, 64, 128)
# Together in a YOLO network: the usual, of tiny networks, of those for large and for small images.
_STRIDES_OF_YOLO = ((8, 16, 32), (16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (8, 16), (8, 16, 32, 64, 128))


@dataclass(frozen=True, slots=True)
class Grid:
    """Numbers for each cell of a grid.

    Parameters
    ----------
    tensor : Tensor
        The output: (B, C, H, W), (B, H, W, C), (B, A, H, W, C), (B, H, W, A, C), (B, H*W, C) or (H*W*A, C).
    stride : int
        Pixels a cell.
    channels : int
        Numbers a cell, those of all anchors.
    axis : int
        Along which they are, or those of an anchor.
    per_anchor : int or None
        Numbers an anchor, where anchors have an axis of their own.
    """

    tensor: Tensor
    stride: int
    channels: int
    axis: int
    per_anchor: int | None = None

    @property
    def columns(self) -> Columns:
        """Its numbers."""
        return Columns(self.tensor.name, self.axis)

    def __str__(self) -> str:
        return str(self.tensor)


def grids_of(graph: Graph) -> list[Grid]:
    """Find the grids of a graph: all outputs of floating point are, of whatever stride; else none."""
    tensors = graph.float_outputs
    if not tensors or len(tensors) != len(graph.outputs) or graph.input_size is None:
        return []
    found = [next(_ways_to_read(graph.input_size, tensor), None) for tensor in tensors]
    return [grid for grid in found if grid is not None] if None not in found else []


def strides_of(graph: Graph, boxes: int | None) -> tuple[tuple[int, ...], int]:
    """Give the strides of the grids with cells for a number of boxes, and boxes a cell; none if none have."""
    if graph.input_size is None or boxes is None:
        return (), 0
    for per_cell in (1, 3):
        for strides in _STRIDES_OF_YOLO:
            if boxes == per_cell * sum(math.prod(_cells(graph.input_size, stride)) for stride in strides):
                return strides, per_cell
    return (), 0


def sizes_of_joined(graph: Graph) -> tuple[Size, ...]:
    """Give the square images whose grids have the cells of the levels that the outputs join."""
    each = [
        sorted(widths, reverse=True)
        for tensor in graph.of_rank(3)
        for axis in (1, 2)
        if len(widths := graph.links.widths(tensor.name, axis)) > 1
    ]
    return tuple(dict.fromkeys(size for widths in each for size in _sizes_of(widths)))


def _sizes_of(levels: Sequence[int]) -> Iterator[Size]:
    for per_cell in (1, 3):
        for strides in _STRIDES_OF_YOLO:
            side = math.isqrt(levels[0] // per_cell) * strides[0]
            cells = [per_cell * math.prod(_cells((side, side), stride)) for stride in strides]
            if cells == list(levels):
                yield side, side


def _cells(size: Size, stride: int) -> Size:
    """Give the rows and columns of a grid: layers round up where the image is no multiple of the stride."""
    height, width = size
    return -(-height // stride), -(-width // stride)


def _ways_to_read(size: Size, tensor: Tensor) -> Iterator[Grid]:
    shape = tensor.shape
    if shape is None or any(axis is None for axis in shape[1:]):
        return
    sizes = [int(axis or 1) for axis in shape]
    for stride in _STRIDES:
        cells = _cells(size, stride)
        if len(sizes) == 4 and tuple(sizes[2:]) == cells:
            yield Grid(tensor, stride, sizes[1], 1)
        elif len(sizes) == 4 and tuple(sizes[1:3]) == cells:
            yield Grid(tensor, stride, sizes[3], 3)
        elif len(sizes) == 5 and tuple(sizes[2:4]) == cells:
            yield Grid(tensor, stride, sizes[1] * sizes[4], 4, sizes[4])
        elif len(sizes) == 5 and tuple(sizes[1:3]) == cells:
            yield Grid(tensor, stride, sizes[3] * sizes[4], 4, sizes[4])
        elif len(sizes) in (2, 3):
            rows, channels = sizes[-2:]
            anchors, rest = divmod(rows, cells[0] * cells[1])
            if not rest and anchors in (1, 2, 3):
                yield Grid(tensor, stride, anchors * channels, -1)


def by_stride(grids: Sequence[Grid]) -> dict[int, list[Grid]]:
    """Group grids by their stride, in the order of the outputs."""
    groups: dict[int, list[Grid]] = {}
    for grid in grids:
        groups.setdefault(grid.stride, []).append(grid)
    return groups


def same_channels(grids: Sequence[Grid]) -> tuple[int, ...]:
    """Give the numbers a cell of the outputs of each stride, sorted; () if strides differ."""
    each = {tuple(sorted(grid.channels for grid in group)) for group in by_stride(grids).values()}
    return next(iter(each)) if len(each) == 1 else ()
