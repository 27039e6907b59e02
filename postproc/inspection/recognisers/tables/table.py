"""A table of boxes: a tensor with a row, or a column, of numbers for each box."""

from __future__ import annotations

from dataclasses import dataclass

from postproc.inspection.graph import Graph, Tensor
from postproc.inspection.observed import Columns
from postproc.inspection.recognisers.grids import strides_of
from postproc.schema.outputs import Layout

BOX = 4


@dataclass(frozen=True, slots=True)
class BoxTable:
    """A tensor with a row per box, or a column.

    Parameters
    ----------
    tensor : Tensor
        The tensor, of shape (B, C, N) or (B, N, C).
    channels : int
        Numbers a box.
    boxes : int or None
        How many boxes, if the file tells.
    channels_first : bool
        Whether the channels are the second axis.
    strides : tuple of int
        The strides of the grids that have as many cells; empty if none do.
    per_cell : int
        Boxes a cell of these grids: 3 where there are anchors.
    """

    tensor: Tensor
    channels: int
    boxes: int | None
    channels_first: bool
    strides: tuple[int, ...] = ()
    per_cell: int = 0

    def columns(self, first: int, count: int | None = None) -> Columns:
        """Give some of its columns."""
        return Columns(self.tensor.name, 1 if self.channels_first else 2, first, count)

    @property
    def layout(self) -> Layout:
        """The layout to declare: only where the shape alone does not tell."""
        if self.boxes is not None and self.channels != self.boxes:
            return "auto"
        return "channels_first" if self.channels_first else "channels_last"

    @property
    def text(self) -> str:
        """The tensor and its shape."""
        return str(self.tensor)


def tables_of(graph: Graph) -> list[BoxTable]:
    """Find the ways to read tensors of boxes and scores together; several of one shape are several heads."""
    tensors = graph.of_rank(3)
    shapes = {(tensor.axis(1), tensor.axis(2)) for tensor in tensors}
    has_boxes = any(BOX in (tensor.axis(-1), tensor.axis(-2)) for tensor in graph.float_outputs)
    if len(shapes) != 1 or has_boxes or graph.of_rank(2) or _names_classes(graph, *shapes):
        return []
    return [table for tensor in tensors for table in _ways_to_read(graph, tensor)]


def _names_classes(graph: Graph, shape: tuple[int | None, int | None]) -> bool:
    """Tell whether another output holds a whole number for each row, which then is its class."""
    return any(
        tensor.rank == 2 and not tensor.is_float and tensor.axis(1) in (*shape, None)
        for tensor in graph.outputs
    )


def _ways_to_read(graph: Graph, tensor: Tensor) -> list[BoxTable]:
    sizes = tensor.axis(1), tensor.axis(2)
    readings: list[BoxTable] = []
    for first, (channels, boxes) in ((True, sizes), (False, (sizes[1], sizes[0]))):
        if channels is not None and channels > BOX:
            strides, per_cell = strides_of(graph, boxes)
            readings.append(BoxTable(tensor, channels, boxes, first, strides, per_cell))
    # Boxes of grids are the boxes; else there are more of them than channels.
    fitting = [table for table in readings if table.strides] or [
        table for table in readings if table.boxes is None or table.boxes >= table.channels
    ]
    return fitting or readings
