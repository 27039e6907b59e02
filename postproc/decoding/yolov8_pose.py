"""`yolov8_pose_output`: one tensor of boxes, probabilities and keypoints."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import BOX_FORMATS, Candidates, SingleTable, SizelessDecoder, Sizes
from postproc.decoding.decision import Decision
from postproc.decoding.yolov8 import boxes_of_table
from postproc.kernels.heads.arguments import FirstImage, KeptOffsets, KeptRegions, Placement, Planar, Table
from postproc.results import Detections
from postproc.schema import Yolov8PoseOutput

if TYPE_CHECKING:
    from postproc.results.keypoints import KeypointDetections, Skeleton


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
        keypoints = partial(
            _with_keypoints,
            *(table, planar, self._first, self._points, self._dimensions, self._skeleton),
        )
        return boxes_of_table(table, planar, boxes, self._format, self._labels, keypoints)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        return self._table.examples()


def _with_keypoints(
    table: Table,
    planar: Planar,
    first: int,
    points: int,
    dimensions: int,
    skeleton: Skeleton | None,
    found: Detections,
    placement: Placement,
    sizes: Sizes,
    start: FirstImage,
) -> KeypointDetections:
    # Not at the top: every import of postproc would pay for what few documents need.
    from postproc.kernels.heads.keypoints import Dimensions, FirstPoint, Points, gather_keypoints
    from postproc.results.keypoints import KeypointDetections, usual_skeleton

    if skeleton is None:
        skeleton = usual_skeleton(points, found.table.names)
    keypoints = gather_keypoints(
        table, planar, FirstPoint(first), Points(points), Dimensions(dimensions),
        KeptRegions(found.regions), KeptOffsets(found.offsets), placement, start,
    )  # fmt: skip
    return KeypointDetections.from_detections(found, keypoints=keypoints, skeleton=skeleton)
