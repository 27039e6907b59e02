"""`yolov8_pose_output`: one tensor of boxes, probabilities and keypoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import BOX_FORMATS, Candidates, SingleTable, SizelessDecoder
from postproc.decoding.decision import Decision
from postproc.decoding.keypoints import keypoints_of_table
from postproc.decoding.yolov8 import boxes_of_table
from postproc.schema import Yolov8PoseOutput


class Yolov8PoseDecoder(SizelessDecoder):
    """`yolov8_pose_output`: one tensor of boxes, of a probability per label, and of keypoints."""

    sample = Yolov8PoseOutput(output_tensor="poses", keypoints=1)

    def __init__(self, output: Yolov8PoseOutput, decision: Decision) -> None:
        super().__init__(decision, output.output_tensor)
        self._format = BOX_FORMATS[output.box_format]
        self._points, self._dimensions = output.keypoints, output.dimensions
        self._skeleton = output.skeleton
        self._first = 4 + self._labels
        channels = self._first + self._points * self._dimensions
        reason = "4 + labels + keypoints * dimensions"
        self._table = SingleTable(output.output_tensor, channels, output.layout, reason)

    def read(self, tensors: Mapping[str, Any], options: CallOptions) -> Candidates:
        table, planar, boxes = self._table.read(tensors, self._labels)
        keypoints = keypoints_of_table(
            table, planar, self._first, self._points, self._dimensions, self._skeleton
        )
        return boxes_of_table(table, planar, boxes, self._format, self._labels, keypoints)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        return self._table.examples()
