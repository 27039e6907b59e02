"""Tables whose last columns are coefficients of masks, and the prototypes beside them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import (
    BOX_FORMATS,
    Candidates,
    Decoder,
    Extras,
    ReadTable,
    SingleTable,
    Sizes,
    pixel_sizes,
)
from postproc.decoding.decision import Decision
from postproc.decoding.masks import (
    boxes_of_a_table,
    leaving_out_empty,
    read_prototypes,
    with_prototypes,
)
from postproc.schema import Yolov5Output, Yolov8SegOutput
from postproc.tensors import wrong_shape


class _Read(NamedTuple):
    table: ReadTable
    prototypes: NDArray[np.float32]

    @property
    def batch(self) -> int:
        return len(self.prototypes)


class MaskedTableDecoder(Decoder[_Read]):
    """A table that ends with coefficients, and the prototypes they are of.

    Parameters
    ----------
    output : Yolov5Output or Yolov8SegOutput
    decision : Decision
    before : int
        How many columns a box has before its labels.
    """

    def __init__(self, output: Yolov5Output | Yolov8SegOutput, decision: Decision, before: int) -> None:
        super().__init__(decision, output.output_tensor, output.prototypes_tensor)
        self._format = BOX_FORMATS[output.box_format]
        self._layout = output.layout
        self._needs_size = output.needs_input_size
        self.example_size = (1, 1) if self._needs_size else None
        self._keeps_empty = output.keep_empty_masks
        self._are_normalized = output.boxes_are_normalized
        self._before, self._first = before, before + self._labels

    @abstractmethod
    def candidates(self, table: ReadTable, extras: Extras) -> Candidates:
        """Bind the columns before the coefficients."""

    def read(self, tensors: Mapping[str, Any], options: CallOptions) -> _Read:
        table_name, name = self.tensor_names
        prototypes = read_prototypes(name, tensors)
        table = ReadTable(*self._table(prototypes.shape[1]).read(tensors, self._labels))
        if len(prototypes) != table.batch:
            expected = f"({table.batch}, M, h, w), as many images as {table_name!r} has"
            raise wrong_shape(name, prototypes.shape, expected)
        return _Read(table, prototypes)

    def bind(self, read: _Read, sizes: Sizes) -> Candidates:
        table, prototypes = read
        extras: Extras = partial(with_prototypes, table.values, table.planar, self._first, prototypes)
        if self._needs_size:  # to crop masks; without one an error
            pixels = pixel_sizes(self.tensor_names[0], sizes)
            if not self._keeps_empty:
                boxes_of = partial(boxes_of_a_table, table.values, table.planar, self._format)
                extras = leaving_out_empty(extras, boxes_of, self._are_normalized, pixels)
        return self.candidates(table, extras)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        prototypes = np.zeros((1, 1, 1, 1), np.float32)
        return [{**tables, self.tensor_names[1]: prototypes} for tables in self._table(1).examples()]

    def _table(self, prototypes: int) -> SingleTable:
        reason = f"{self._before} + labels + prototypes"
        return SingleTable(self.tensor_names[0], self._first + prototypes, self._layout, reason)
