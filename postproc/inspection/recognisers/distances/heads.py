"""Where scores, distances and what else a head gives for each cell may lie in the outputs of a network."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from postproc.inspection.graph import Graph, Tensor, listed
from postproc.inspection.observed import Columns
from postproc.inspection.recognisers.grids import Grid, by_stride, grids_of, strides_of

Holds = Literal["scores", "distances", "centerness", "landmarks", "score_sum"]

SIDES = 4
_BINS = (1, 8, 16, 17, 19, 32, 33)
KEYPOINTS = 5  # of a face
_ANCHORS = 2  # of SCRFD
_MOST_OUTPUTS = 3  # a level: scores, distances, and one that no two networks have together
_FEWEST_LEVELS = 2
_ALL: tuple[Holds, ...] = ("scores", "distances", "centerness", "landmarks", "score_sum")
_ORDERS: tuple[tuple[Holds, ...], ...] = (("distances", "scores"), ("scores", "distances"))


@dataclass(frozen=True, slots=True)
class Part:
    """The numbers of a cell that mean one thing, in one output: `stride` is None where it has all levels."""

    tensor: Tensor
    columns: Columns
    stride: int | None


@dataclass(frozen=True)
class DistanceHead:
    """A way to read outputs as scores and distances of the cells of grids.

    Parameters
    ----------
    strides : tuple of int
        Those of the levels, in the order of the outputs.
    labels, bins, per_cell : int
        How many scores, bins of a side, and boxes of a cell there are.
    parts : mapping of str to tuple of Part
        Where what lies: a part for each level, or one.
    packed : tuple of str
        What the columns are in their order, where one output holds all; else ().
    """

    strides: tuple[int, ...]
    labels: int
    bins: int
    per_cell: int
    parts: Mapping[Holds, tuple[Part, ...]]
    packed: tuple[Holds, ...] = ()

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The outputs."""
        parts = itertools.chain.from_iterable(self.parts.values())
        return tuple(dict.fromkeys(part.tensor for part in parts))

    @property
    def text(self) -> str:
        """The outputs and their shapes."""
        return listed(self.tensors)

    @property
    def columns(self) -> str:
        """What a cell has, for people to read."""
        sides = "distances to 4 sides" if self.bins == 1 else f"4 x {self.bins} bins of distances"
        known: Mapping[Holds, str] = {
            "centerness": "a centredness or objectness",
            "landmarks": "landmarks",
            "score_sum": "the sum of its scores",
        }
        others = [text for name, text in known.items() if name in self.parts]
        each = [f"{self.per_cell} boxes a cell"] if self.per_cell > 1 else []
        order = f"{self.packed[0]} first" if self.packed else ""
        return ", ".join(filter(None, (*each, sides, *others, order)))

    @property
    def has_batch(self) -> bool:
        """Whether the outputs have an axis of images."""
        return all(tensor.rank > 2 for tensor in self.tensors)


def distance_heads(graph: Graph) -> Iterator[DistanceHead]:
    """Find the ways to read all outputs of a graph as such a head."""
    if graph.input_size is None or len(graph.float_outputs) != len(graph.outputs):
        return
    groups = by_stride(grids_of(graph))
    if len(groups) >= _FEWEST_LEVELS:
        yield from _of_levels(groups)
    else:
        yield from _of_all_levels(graph)


def _of_levels(groups: Mapping[int, Sequence[Grid]]) -> Iterator[DistanceHead]:
    strides = tuple(groups)
    for per_cell in (1, _ANCHORS):
        levels = [[_part(grid, per_cell) for grid in group] for group in groups.values()]
        parts = [[part for part, _ in level if part is not None] for level in levels]
        widths = {tuple(width for _, width in level) for level in levels}
        if len(widths) == 1 and all(len(one) == len(level) for one, level in zip(parts, levels, strict=True)):
            tensors = list(zip(*parts, strict=True))
            yield from _ways_to_read(strides, per_cell, tensors, next(iter(widths)))


def _part(grid: Grid, per_cell: int) -> tuple[Part | None, int]:
    """Give an output of a level with so many boxes a cell, and the numbers of each; None if it has others."""
    part = Part(grid.tensor, grid.columns, grid.stride)
    if grid.axis == -1:
        width = grid.tensor.axis(-1) or 0
        return (part if width * per_cell == grid.channels else None), width
    fits = grid.per_anchor is None and grid.channels % per_cell == 0
    return (part if fits else None), grid.channels // per_cell


def _of_all_levels(graph: Graph) -> Iterator[DistanceHead]:
    """Read tensors (B, N, C) or (B, C, N) that hold the cells of all levels."""
    tensors = graph.of_rank(3)
    if len(tensors) != len(graph.outputs):
        return
    for axis, cells_axis in ((2, 1), (1, 2)):
        counts = {tensor.axis(cells_axis) for tensor in tensors}
        widths = [tensor.axis(axis) for tensor in tensors]
        known = tuple(width for width in widths if width is not None)
        strides, per_cell = strides_of(graph, next(iter(counts))) if len(counts) == 1 else ((), 0)
        if len(strides) >= _FEWEST_LEVELS and per_cell == 1 and len(known) == len(tensors):
            parts = [(Part(tensor, Columns(tensor.name, axis), None),) for tensor in tensors]
            yield from _ways_to_read(strides, 1, parts, known)


def _ways_to_read(
    strides: tuple[int, ...], per_cell: int, parts: Sequence[tuple[Part, ...]], widths: tuple[int, ...]
) -> Iterator[DistanceHead]:
    """Say what outputs of some widths hold, each of which is given as its levels."""
    if len(parts) == 1:
        if per_cell == 1:
            yield from _packed(strides, parts[0], widths[0])
        return
    if len(parts) > _MOST_OUTPUTS:
        return
    for held in itertools.permutations(_ALL, len(parts)):
        if not {"scores", "distances"} <= set(held):
            continue
        width = dict(zip(held, widths, strict=True))
        bins, rest = divmod(width["distances"], SIDES)
        if rest or bins not in _BINS or any(width.get(name, 1) != 1 for name in ("centerness", "score_sum")):
            continue
        if width.get("landmarks", 2 * KEYPOINTS) != 2 * KEYPOINTS:
            continue
        if per_cell > 1 and (width["scores"] > 1 or bins > 1):
            continue  # faces alone have several boxes a cell
        yield DistanceHead(strides, width["scores"], bins, per_cell, dict(zip(held, parts, strict=True)))


def _packed(strides: tuple[int, ...], levels: tuple[Part, ...], width: int) -> Iterator[DistanceHead]:
    for bins, order in itertools.product(_BINS, _ORDERS):
        labels = width - SIDES * bins
        if labels < 1:
            continue
        counts: dict[Holds, int] = {"distances": SIDES * bins, "scores": labels}
        found: dict[Holds, tuple[Part, ...]] = {}
        first = 0
        for holds in order:
            found[holds] = tuple(
                replace(level, columns=replace(level.columns, first=first, count=counts[holds]))
                for level in levels
            )
            first += counts[holds]
        yield DistanceHead(strides, labels, bins, 1, found, order)
