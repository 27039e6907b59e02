"""`yolov8_pose_output`: one tensor of boxes, probabilities and keypoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.decoding.base import Candidates, Decision, Placement
from postproc.decoding.yolov8 import Yolov8Table
from postproc.kernels.keypoints import gather_keypoints
from postproc.keypoints import KeypointDetections
from postproc.results import Detections
from postproc.schema import Yolov8PoseOutput


class Yolov8PoseDecoder(Yolov8Table):
    """`yolov8_pose_output`: one tensor of boxes, of a probability per label, and of keypoints."""

    def __init__(self, output: Yolov8PoseOutput, decision: Decision) -> None:
        super().__init__(output.output_tensor, output.layout, decision, "4 + labels + keypoints * dimensions")
        self._points, self._dimensions = output.keypoints, output.dimensions
        self._count = 4 + self.labels + self._points * self._dimensions

    def bind(self, tensors: Mapping[str, Any]) -> Candidates:
        """Check the tensors of a call, and bind them to their kernels."""
        candidates = self.candidates(tensors, self._count)
        table, planar = candidates.arguments[:2]
        extras = _Keypoints(table, planar, 4 + self.labels, self._points, self._dimensions)
        return candidates._replace(extras=extras)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout that may come: to compile the kernels on."""
        return self.tables(self._count)


@dataclass(frozen=True, eq=False, slots=True)
class _Keypoints:
    table: NDArray[np.float32]
    planar: bool
    first: int
    points: int
    dimensions: int

    def added_to(self, found: Detections, placement: Placement, start: int) -> KeypointDetections:
        """Return detections with their keypoints; their first image is image `start`."""
        keypoints = gather_keypoints(
            self.table,
            self.planar,
            self.first,
            self.points,
            self.dimensions,
            found.regions,
            found.offsets,
            placement.numbers,
            start,
        )
        return KeypointDetections(
            found.scores,
            found.labels,
            found.predicted,
            found.offsets,
            found.table,
            found.boxes,
            found.regions,
            keypoints,
        )
