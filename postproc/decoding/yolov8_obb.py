"""`yolov8_obb_output`: one tensor of boxes, probabilities and angles."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import (
    NO_ACTIVATION,
    UNIT,
    Candidates,
    Decoder,
    ReadTable,
    SingleTable,
    Sizes,
    pixel_sizes,
    probabilities,
    rows_of,
)
from postproc.decoding.decision import Decision
from postproc.kernels.heads.arguments import (
    FirstImage,
    FirstScore,
    KeptOffsets,
    Placement,
    Planar,
    Table,
)
from postproc.results import Detections
from postproc.schema import Yolov8ObbOutput
from postproc.tensors import kernel_form

if TYPE_CHECKING:
    from postproc.kernels.heads.oriented import AngleColumn, Scales
    from postproc.results.oriented import OrientedDetections

_FIRST_SCORE = FirstScore(4)


class Yolov8ObbDecoder(Decoder[ReadTable]):
    """`yolov8_obb_output`: one tensor of boxes, of a probability per label, and of an angle."""

    sample = Yolov8ObbOutput(output_tensor="oriented")

    def __init__(self, output: Yolov8ObbOutput, decision: Decision) -> None:
        super().__init__(decision, output.output_tensor)
        self._needs_size = output.needs_input_size
        self.example_size = (1, 1) if self._needs_size else None
        self._angle_column = 4 + self._labels
        reason = "4 + labels + angle"
        self._table = SingleTable(output.output_tensor, self._angle_column + 1, output.layout, reason)

    def read(self, tensors: Mapping[str, Any], options: CallOptions) -> ReadTable:
        return ReadTable(*self._table.read(tensors, self._labels))

    def bind(self, read: ReadTable, sizes: Sizes) -> Candidates:
        # Not at the top: every import of postproc would pay for what few documents need.
        from postproc.kernels.heads.oriented import AngleColumn, FastSuppression, Oriented, Probiou, Scales

        table, planar, count = read
        scales = Scales(pixel_sizes(self.tensor_names[0], sizes) if self._needs_size else UNIT)
        angle_column = AngleColumn(self._angle_column)
        head = Oriented(
            table=Table(kernel_form(table)),
            planar=planar,
            first=_FIRST_SCORE,
            activation=NO_ACTIVATION,
            angle_column=angle_column,
            scales=scales,
            probiou=Probiou(self._decision.probiou),
            fast=FastSuppression(self._decision.fast),
        )
        corners = partial(with_corners, table, planar, angle_column, scales)
        scores = probabilities(table, planar, _FIRST_SCORE, self._labels, NO_ACTIVATION)
        return Candidates(len(table), head, count, extras=corners, scores=scores)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        return self._table.examples()


def with_corners(
    table: Table,
    planar: Planar,
    angle_column: AngleColumn,
    scales: Scales,
    found: Detections,
    placement: Placement,
    sizes: Sizes,
    start: FirstImage,
    firsts: NDArray[np.int64] | None = None,
) -> OrientedDetections:
    """Add the corners of rectangles of a table to detections: see `rows_of`."""
    from postproc.kernels.heads.oriented import gather_corners
    from postproc.results.oriented import OrientedDetections

    polygons, angles = gather_corners(
        Table(kernel_form(table)), planar, angle_column, scales, rows_of(found, firsts, start),
        KeptOffsets(found.offsets), placement, start,
    )  # fmt: skip
    return OrientedDetections.from_detections(found, polygons=polygons, angles=angles)
