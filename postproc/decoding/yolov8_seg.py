"""`yolov8_seg_output`: one tensor of boxes, probabilities and coefficients, and prototypes of masks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import (
    BOX_FORMATS,
    Candidates,
    Decoder,
    ReadTable,
    SingleTable,
    Sizes,
    pixel_sizes,
    with_batch,
)
from postproc.decoding.decision import Decision
from postproc.decoding.yolov8 import boxes_of_table
from postproc.kernels.heads.arguments import FirstImage, KeptOffsets, KeptRegions, Placement, Planar, Table
from postproc.results import Detections
from postproc.schema import Yolov8SegOutput
from postproc.tensors import as_float32, find, wrong_shape

if TYPE_CHECKING:
    from postproc.results.segmented import SegmentedDetections


class _Read(NamedTuple):
    table: ReadTable
    prototypes: NDArray[np.float32]

    @property
    def batch(self) -> int:
        return len(self.prototypes)


class Yolov8SegDecoder(Decoder[_Read]):
    """`yolov8_seg_output`: boxes, a probability per label, coefficients, and the prototypes they are of."""

    sample = Yolov8SegOutput(output_tensor="segments", prototypes_tensor="prototypes")

    def __init__(self, output: Yolov8SegOutput, decision: Decision) -> None:
        super().__init__(decision, output.output_tensor, output.prototypes_tensor)
        self._format = BOX_FORMATS[output.box_format]
        self._layout = output.layout
        self._needs_size = output.needs_input_size
        self.example_size = (1, 1) if self._needs_size else None
        self._first = 4 + self._labels

    def read(self, tensors: Mapping[str, Any], options: CallOptions) -> _Read:
        table_name, name = self.tensor_names
        prototypes = with_batch(as_float32(name, find(tensors, name)), 4)
        if prototypes.ndim != 4 or 0 in prototypes.shape[1:]:
            raise wrong_shape(name, prototypes.shape, "(B, M, h, w)")
        table = ReadTable(*self._table(prototypes.shape[1]).read(tensors, self._labels))
        if len(prototypes) != table.batch:
            expected = f"({table.batch}, M, h, w), as many images as {table_name!r} has"
            raise wrong_shape(name, prototypes.shape, expected)
        return _Read(table, prototypes)

    def bind(self, read: _Read, sizes: Sizes) -> Candidates:
        table, prototypes = read
        if self._needs_size:  # to crop masks; without one an error
            pixel_sizes(self.tensor_names[0], sizes)
        masks = partial(_with_masks, table.values, table.planar, self._first, prototypes)
        return boxes_of_table(*table, self._format, self._labels, masks)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        prototypes = np.zeros((1, 1, 1, 1), np.float32)
        return [{**tables, self.tensor_names[1]: prototypes} for tables in self._table(1).examples()]

    def _table(self, prototypes: int) -> SingleTable:
        channels = self._first + prototypes
        return SingleTable(self.tensor_names[0], channels, self._layout, "4 + labels + prototypes")


def _with_masks(
    table: Table,
    planar: Planar,
    first: int,
    prototypes: NDArray[np.float32],
    found: Detections,
    placement: Placement,
    sizes: Sizes,
    start: FirstImage,
) -> SegmentedDetections:
    # Not at the top: every import of postproc would pay for what few documents need.
    from postproc.kernels.heads.masks import Coefficients, FirstCoefficient, InputSizes, gather_coefficients
    from postproc.results.segmented import SegmentedDetections

    of_images = np.ones((len(table), 2), np.float64)
    if sizes is not None:
        of_images[:] = sizes
    coefficients, frames = gather_coefficients(
        table,
        planar,
        FirstCoefficient(first),
        Coefficients(prototypes.shape[1]),
        KeptRegions(found.regions),
        KeptOffsets(found.offsets),
        placement,
        InputSizes(of_images),
        start,
    )
    return SegmentedDetections.from_detections(
        found,
        coefficients=coefficients,
        prototypes=tuple(prototypes[start : start + len(found)]),
        frames=frames,
    )
