"""`yolov8_obb_output`: one tensor of boxes, probabilities and angles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.decoding.base import Candidates, Decision, Placement
from postproc.decoding.yolov8 import Yolov8Table
from postproc.kernels import activation
from postproc.kernels.oriented import detect_oriented, gather_corners
from postproc.oriented import OrientedDetections
from postproc.results import Detections
from postproc.schema import Yolov8ObbOutput


class Yolov8ObbDecoder(Yolov8Table):
    """`yolov8_obb_output`: one tensor of boxes, of a probability per label, and of an angle."""

    def __init__(self, output: Yolov8ObbOutput, decision: Decision) -> None:
        super().__init__(output.output_tensor, output.layout, decision, "4 + labels + angle")
        self._count = 4 + self.labels + 1

    def bind(self, tensors: Mapping[str, Any]) -> Candidates:
        """Check the tensors of a call, and bind them to their kernels."""
        table, planar = self.candidates(tensors, self._count).arguments[:2]
        angle_column = 4 + self.labels
        arguments = (table, planar, 4, activation.NONE, angle_column, *self.decision.rule)
        return Candidates(len(table), detect_oriented, arguments, _Corners(table, planar, angle_column))

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout that may come: to compile the kernels on."""
        return self.tables(self._count)


@dataclass(frozen=True, eq=False, slots=True)
class _Corners:
    table: NDArray[np.float32]
    planar: bool
    angle_column: int

    def added_to(self, found: Detections, placement: Placement, start: int) -> OrientedDetections:
        """Return detections with their corners and angles; their first image is image `start`."""
        polygons, angles = gather_corners(
            self.table,
            self.planar,
            self.angle_column,
            found.regions,
            found.offsets,
            placement.numbers,
            start,
        )
        return OrientedDetections(
            found.scores,
            found.labels,
            found.predicted,
            found.offsets,
            found.table,
            found.boxes,
            found.regions,
            polygons,
            angles,
        )
