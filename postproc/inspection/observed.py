"""What is known of a network: its graph, and the numbers that one run of it gave."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from postproc.inspection.graph import Graph
from postproc.inspection.nodes import INTEGERS, LAYERS, SQUASHING, Sources
from postproc.transforms import Size

_FRACTIONS = SQUASHING | LAYERS | {"Exp"}
_WHOLE = {
    *("ArgMax", "TopK", "Mod", "Sub", "Add", "Range", "NonMaxSuppression", "NonZero", "Where", "Floor"),
    *("Constant", "ConstantOfShape", INTEGERS),
}

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Columns:
    """Some columns of an output: those numbers of each row that mean one thing together.

    Parameters
    ----------
    tensor : str
        The output.
    axis : int
        Along which columns are counted.
    first, count : int
        The columns; all of them from the first where the count is None.
    """

    tensor: str
    axis: int = -1
    first: int = 0
    count: int | None = None

    @property
    def range(self) -> slice:
        """The columns as a slice."""
        return slice(self.first, None if self.count is None else self.first + self.count)


@dataclass(frozen=True)
class Observed:
    """A graph, and what came out when it was run once.

    Parameters
    ----------
    graph : Graph
        What the file says.
    outputs : mapping of str to ndarray
        The outputs of the run; none where it was not run.
    """

    graph: Graph
    outputs: Mapping[str, npt.NDArray[np.generic]] = field(default_factory=dict)

    @property
    def size(self) -> Size | None:
        """Height and width of the network's input."""
        return self.graph.input_size

    def rows(self, columns: Columns) -> Numbers | None:
        """Give the numbers of some columns in the run, (rows, columns); None without a run."""
        values = self.outputs.get(columns.tensor)
        if values is None or values.dtype.kind not in "fiub":
            return None
        if values.ndim == 0 or not -values.ndim <= columns.axis < values.ndim:
            return None
        moved = np.moveaxis(values, columns.axis, -1)
        with np.errstate(invalid="ignore", over="ignore"):
            rows = moved.reshape(math.prod(moved.shape[:-1]), moved.shape[-1])
            return rows[:, columns.range].astype(np.float64)

    def sources(self, columns: Columns) -> Sources:
        """Name the operators that computed the numbers of some columns."""
        each = self.graph.links.columns(columns.tensor, columns.axis)
        if each is None:
            return self.graph.sources(columns.tensor)
        return frozenset().union(*each[columns.range])

    def each(self, columns: Columns) -> tuple[Sources, ...]:
        """Name the operators that computed the numbers of each column, if the graph tells them apart."""
        each = self.graph.links.columns(columns.tensor, columns.axis)
        return (self.sources(columns),) if each is None else each[columns.range]

    def is_torn(self, columns: Columns) -> bool:
        """Tell whether the graph joins some of the columns, but not all, with others beside them."""
        widths = [width for _, width in self.graph.links.parts(columns.tensor, columns.axis)]
        starts = list(itertools.accumulate(widths, initial=0))
        parts = [set(range(first, last)) for first, last in itertools.pairwise(starts)]
        own = set(range(starts[-1])[columns.range])
        return any(part & own and part - own and own - part for part in parts)

    def has_integers(self, columns: Columns) -> bool:
        """Tell whether integers were made floats in one of the columns, as indices and classes are."""
        return any(INTEGERS in column and column <= _WHOLE for column in self.each(columns))

    def has_fractions(self, columns: Columns) -> bool:
        """Tell whether layers or activations computed one of the columns, which give no integers."""
        return any(column and column <= _FRACTIONS for column in self.each(columns))

    def histories(self, columns: Columns) -> tuple[Sources, ...] | None:
        """Name all operators from the last layers on that each of some columns went through."""
        each = self.graph.links.histories(columns.tensor, columns.axis)
        return None if each is None else each[columns.range]
