"""`yolov8_obb_output`: one tensor of boxes, probabilities and angles."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import (
    UNIT,
    Candidates,
    Decision,
    SingleTable,
    Sizes,
    SizesOf,
    pixel_sizes,
    probabilities,
)
from postproc.kernels.core import activation
from postproc.results import Detections
from postproc.schema import Yolov8ObbOutput

if TYPE_CHECKING:
    from postproc.results.oriented import OrientedDetections


class Yolov8ObbDecoder:
    """`yolov8_obb_output`: one tensor of boxes, of a probability per label, and of an angle."""

    sample = Yolov8ObbOutput(output_tensor="oriented")
    clips_first = False

    def __init__(self, output: Yolov8ObbOutput, decision: Decision) -> None:
        self._decision = decision
        self._needs_size = output.needs_input_size
        self.example_size = (1, 1) if self._needs_size else None
        self._angle_column = 4 + len(decision.ids)
        reason = "4 + labels + angle"
        self._table = SingleTable(output.output_tensor, self._angle_column + 1, output.layout, reason)
        self.tensor_names = (output.output_tensor,)

    def bind(self, tensors: Mapping[str, Any], options: CallOptions, sizes: SizesOf) -> Candidates:
        """Check the tensors of a call, and choose the kernel that reads them."""
        # Not at the top: every import of postproc would pay for what few documents need.
        from postproc.kernels.heads.oriented import detect_oriented

        table, planar, count = self._table.read(tensors, len(self._decision.ids))
        name = self.tensor_names[0]
        scales = pixel_sizes(name, sizes(tensors, len(table), options)) if self._needs_size else UNIT
        arguments = (table, planar, 4, activation.NONE, self._angle_column, scales, *self._decision.rule)
        corners = partial(_with_corners, table, planar, self._angle_column, scales)
        scores = probabilities(table, planar, 4, len(self._decision.ids), activation.NONE)
        return Candidates(len(table), detect_oriented, arguments, count, extras=corners, scores=scores)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout that may come: to compile the kernels on."""
        return self._table.examples()


def _with_corners(
    table: NDArray[np.float32],
    planar: bool,
    angle_column: int,
    scales: NDArray[np.float64],
    found: Detections,
    placement: NDArray[np.float64],
    sizes: Sizes,
    start: int,
) -> OrientedDetections:
    from postproc.kernels.heads.oriented import gather_corners
    from postproc.results.oriented import OrientedDetections

    polygons, angles = gather_corners(
        table, planar, angle_column, scales, found.regions, found.offsets, placement, start
    )
    return OrientedDetections.from_detections(found, polygons=polygons, angles=angles)
