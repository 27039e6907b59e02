"""What ``postproc warmup`` compiles where it is told of no version: every kernel there is."""

from __future__ import annotations

import numpy as np

from postproc import ops
from postproc.pipeline import PostProcessor
from postproc.schema import (
    AnchoredOutput,
    Classification,
    DetectionOutput,
    DirectOutput,
    YoloOutput,
    Yolov8ObbOutput,
    Yolov8Output,
    Yolov8PoseOutput,
    Yolov8SegOutput,
)

# One of each kind: what else a document says is passed to the kernels as values, which compile nothing.
DETECTION_OUTPUTS: tuple[DetectionOutput, ...] = (
    AnchoredOutput(anchors_tensor="anchors", offsets_tensor="offsets", scores_tensor="scores"),
    DirectOutput(boxes_tensor="boxes", scores_tensor="scores", classes_tensor="classes"),
    YoloOutput(output_tensor="grid", anchors=(1.0, 1.0)),
    Yolov8Output(output_tensor="table"),
    Yolov8PoseOutput(output_tensor="pose_table", keypoints=1),
    Yolov8ObbOutput(output_tensor="obb_table"),
    Yolov8SegOutput(output_tensor="seg_table", prototypes_tensor="prototypes"),
)


def warm_up_everything() -> None:
    """Compile or load every kernel: of each kind of output, and of `postproc.ops`."""
    PostProcessor.for_classification(["label"], Classification(output_tensor="scores")).warmup()
    for output in DETECTION_OUTPUTS:
        PostProcessor.for_detection(["label"], output).warmup()
    boxes, scores = np.array([[0, 0, 1, 1]], np.float32), np.ones(1, np.float32)
    ops.nms(boxes, scores, 0.5)
    ops.batched_nms(boxes, scores, np.zeros(1, np.int64), 0.5)
    ops.box_iou(boxes, boxes)
    ops.oriented_box_iou(np.ones((1, 5), np.float32), np.ones((1, 5), np.float32))
    ops.box_area(boxes)
    ops.box_convert(boxes, "xyxy", "xywh")
    ops.clip_boxes(boxes, (1, 1))
