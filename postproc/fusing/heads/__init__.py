"""How scores and boxes of each kind of output come from its tensors, in operators."""

from __future__ import annotations

from collections.abc import Callable

from postproc.fusing.heads.anchored import anchored, ssd
from postproc.fusing.heads.decoded import Decoded
from postproc.fusing.heads.distances import distances
from postproc.fusing.heads.fusion import Fusion
from postproc.fusing.heads.grids import grids
from postproc.fusing.heads.lists import direct, end_to_end
from postproc.fusing.heads.oriented import yolov8_obb
from postproc.fusing.heads.products import yolov5, yolox
from postproc.fusing.heads.tables import standard, yolov8, yolov8_pose, yolov8_seg

HEADS: dict[str, Callable[[Fusion], Decoded]] = {
    "anchored_output": anchored,
    "direct_output": direct,
    "yolo_output": grids,
    "yolov3_output": grids,
    "yolov5_output": yolov5,
    "yolov8_output": yolov8,
    "yolov8_pose_output": yolov8_pose,
    "yolov8_obb_output": yolov8_obb,
    "yolov8_seg_output": yolov8_seg,
    "yolox_output": yolox,
    "standard_output": standard,
    "end_to_end_output": end_to_end,
    "ssd_output": ssd,
    "distance_output": distances,
}
"""By the kind of an output."""

__all__ = ["HEADS", "Decoded", "Fusion"]
