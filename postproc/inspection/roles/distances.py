"""Distances: from the place of a cell to the four sides of a box, or bins of them, as a head gives them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from postproc.inspection.evidence import Evidence, Part, Source, speaks_against, speaks_for
from postproc.inspection.nodes import LAYERS, MOVING, SQUASHING, Sources
from postproc.inspection.observed import Columns, Numbers, Observed
from postproc.inspection.roles.boxes import grid_orders

Unit = Literal["strides", "pixels"]
Activation = Literal["none", "relu", "exp"]

_AT_LEAST_0 = {"Relu", "Clip", "Max"}
_LINEAR = LAYERS | MOVING | {"Concat", "Add", "Constant"}
# What leaves them distances: activations and factors beside a layer. The places of cells come by a Sub.
_ALLOWED = _LINEAR | _AT_LEAST_0 | {"Exp", "Mul"}
_SIDES = 4
_NEAR = 1.0  # strides from the cell that a box belongs to
_MANY = 256  # cells: of a few, distances may be as large as places


@dataclass(frozen=True)
class Distances:
    """Left, top, right and lower distances of each cell, or points relative to it.

    Parameters
    ----------
    columns : Columns
        Where they are.
    strides : tuple of int
        Those of the cells.
    bins : int
        Logits a side; 1 where there are distances themselves.
    activation : {"none", "relu", "exp"}
        What they still need.
    unit : {"strides", "pixels"}
        In what they are.
    are_sides : bool
        False for points, which may lie on any side of a cell.
    """

    columns: Columns
    strides: tuple[int, ...]
    bins: int = 1
    activation: Activation = "none"
    unit: Unit = "strides"
    are_sides: bool = True

    def examined(self, observed: Observed) -> Iterator[Evidence]:
        """Yield what the operators and the run say for and against it."""
        name = self.columns.tensor
        histories = observed.histories(self.columns)
        # Where shapes do not tell columns apart, scores may be among them.
        whole = [observed.graph.upstream(name) - SQUASHING]
        each = [column - {"Constant"} for column in histories or whole]
        if why := self._no_distances(observed, frozenset[str]().union(*each)):
            text = f"{name}: its numbers {why}"
            yield speaks_against(Source.OPERATORS, text, Part.KIND)
            return
        if all(column & LAYERS for column in each):
            text = f"{name}: its numbers come from layers, and nothing makes boxes of them"
            yield speaks_for(Source.OPERATORS, text, Part.KIND)
        rows = observed.rows(self.columns)
        if rows is not None and (not rows.size or rows.min() == rows.max()):
            rows = None
        if rows is not None and self.bins == 1 and self.are_sides:
            yield from self._places(rows, observed)
        if self.bins > 1:
            if rows is not None and rows.min() < 0:
                text = f"{name}: there are negative numbers in a run, as before a softmax"
                yield speaks_for(Source.RUN, text, Part.KIND, Part.COLUMNS)
        elif self.are_sides:
            yield from self._activated(rows, frozenset.intersection(*map(frozenset, each)))
            yield from self._scaled(observed)

    def _no_distances(self, observed: Observed, through: Sources) -> str:
        """Tell what of that which numbers went through leaves no distances, or nothing."""
        links, name = observed.graph.links, self.columns.tensor
        if not through & LAYERS:
            return "come from no layer" if self.bins == 1 else ""
        if others := through - (_LINEAR if self.bins > 1 else _ALLOWED):
            return f"went through {', '.join(sorted(others))} after their last layer"
        columns = (links.shapes.get(name) or ())[self.columns.axis :][:1]
        most = columns[0] if columns and columns[0] else math.inf  # of a bias, and places are one a cell
        for node in links.after_layers(name) if self.bins == 1 else ():
            ends = [math.prod(size or 1 for size in links.shapes.get(end) or ()) for end in links.ends(node)]
            if node.operator == "Mul" and not ends:
                return "are products after their last layer"
            if node.operator == "Add" and max(ends, default=math.inf) > most:
                return "have the places of cells added"
        return ""

    def _activated(self, rows: Numbers | None, through: frozenset[str]) -> Iterator[Evidence]:
        name = self.columns.tensor
        made = "Exp" if "Exp" in through else next(iter(sorted(through & _AT_LEAST_0)), "")
        speaks = speaks_for if self.activation == "none" else speaks_against
        if made:
            yield speaks(Source.OPERATORS, f"{name}: distances went through {made} already", Part.DISTANCES)
        if rows is not None and rows.min() >= 0:
            yield speaks(Source.RUN, f"{name}: no number of a run is below 0", Part.DISTANCES)

    def _scaled(self, observed: Observed) -> Iterator[Evidence]:
        """Use that the graph multiplies them by the stride, which makes pixels of them."""
        if len(self.strides) > 1 or self.strides[0] not in observed.graph.links.factors(self.columns.tensor):
            return
        text = f"{self.columns.tensor}: the graph multiplies it by its stride, {self.strides[0]}"
        speaks = speaks_for if self.unit == "pixels" else speaks_against
        yield speaks(Source.OPERATORS, text, Part.UNITS)

    def _places(self, rows: Numbers, observed: Observed) -> Iterator[Evidence]:
        """Use that numbers which lie about their cell are boxes already, as corners or as centres."""
        if observed.size is None or rows.shape[1] != _SIDES or len(rows) < _MANY:
            return
        for cells in grid_orders(observed.size, self.strides, 1):
            if len(cells) != len(rows):
                return
            for what, centres in (("corners", (rows[:, :2] + rows[:, 2:]) / 2), ("centres", rows[:, :2])):
                apart = np.abs(centres - cells[:, :2]) / cells[:, 2:]
                if float(np.median(apart)) < _NEAR:
                    text = f"{self.columns.tensor}: read as {what}, boxes of a run lie about their cells"
                    yield speaks_against(Source.RUN, text, Part.KIND)
                    return
