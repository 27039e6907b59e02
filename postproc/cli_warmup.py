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
    EndToEndOutput,
    SsdOutput,
    StandardOutput,
    YoloOutput,
    Yolov3Output,
    Yolov5Output,
    Yolov8Output,
    YoloxOutput,
)

# One of each kind: what else a document says is passed to the kernels as values, which compile nothing.
DETECTION_OUTPUTS: tuple[DetectionOutput, ...] = (
    AnchoredOutput(anchors_tensor="anchors", offsets_tensor="offsets", scores_tensor="scores"),
    DirectOutput(boxes_tensor="boxes", scores_tensor="scores", classes_tensor="classes"),
    YoloOutput(output_tensor="grid", anchors=(1.0, 1.0)),
    Yolov3Output(output_tensors=("fine", "coarse"), anchors=(1.0, 1.0, 1.0, 1.0)),
    Yolov5Output(output_tensor="products"),
    Yolov8Output(output_tensor="table"),
    YoloxOutput(output_tensor="cells"),
    StandardOutput(boxes_tensor="decoded", scores_tensor="scores"),
    EndToEndOutput(output_tensor="rows"),
    SsdOutput(offsets_tensor="offsets", scores_tensor="scores", priors_tensor="priors"),
)


def warm_up_everything() -> None:
    """Compile or load every kernel: of each kind of output, and of `postproc.ops`."""
    PostProcessor.for_classification(["label"], Classification(output_tensor="scores")).warmup()
    for output in DETECTION_OUTPUTS:
        PostProcessor.for_detection(["label"], output).warmup()
    for method in ("soft", "weighted"):
        decision = {"nms_method": method, "nms_threshold": 0.5}
        PostProcessor.for_detection(["label"], DETECTION_OUTPUTS[0], **decision).warmup()
    boxes, scores = np.array([[0, 0, 1, 1]], np.float32), np.ones(1, np.float32)
    ops.nms(boxes, scores, 0.5)
    ops.batched_nms(boxes, scores, np.zeros(1, np.int64), 0.5)
    ops.box_iou(boxes, boxes)
    ops.box_area(boxes)
    ops.box_convert(boxes, "xyxy", "xywh")
    ops.clip_boxes(boxes, (1, 1))
