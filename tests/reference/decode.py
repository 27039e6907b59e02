"""Network outputs to hypotheses: every label of every region, before any rule drops one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.reference.activation import activated
from tests.reference.decode_boxes import decode_direct, decode_standard
from tests.reference.decode_offsets import decode_anchored, decode_ssd
from tests.reference.decode_rows import decode_end_to_end
from tests.reference.decode_yolo import (
    decode_yolo,
    decode_yolov3,
    decode_yolov5,
    decode_yolov8,
    decode_yolov8_obb,
    decode_yolov8_pose,
    decode_yolov8_seg,
    decode_yolox,
)
from tests.reference.hypothesis import Call, Hypothesis, Images
from tests.reference.tensors import Tensors, as_float32, batched

_DECODERS: dict[str, Callable[[dict[str, Any], Tensors, Call], Images]] = {
    "anchored_output": decode_anchored,
    "direct_output": decode_direct,
    "yolo_output": decode_yolo,
    "yolov3_output": decode_yolov3,
    "yolov5_output": decode_yolov5,
    "yolov8_output": decode_yolov8,
    "yolov8_obb_output": decode_yolov8_obb,
    "yolov8_pose_output": decode_yolov8_pose,
    "yolov8_seg_output": decode_yolov8_seg,
    "yolox_output": decode_yolox,
    "standard_output": decode_standard,
    "end_to_end_output": decode_end_to_end,
    "ssd_output": decode_ssd,
}


def output_of(detection: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the kind of output of a detection, and its object."""
    return next((kind, detection[kind]) for kind in _DECODERS if detection.get(kind) is not None)


def decode_detection(detection: dict[str, Any], tensors: Tensors, call: Call) -> Images:
    """Decode the kind of output that the detection has."""
    kind, output = output_of(detection)
    return _DECODERS[kind](output, tensors, call)


def decode_classification(output: dict[str, Any], tensors: Tensors, call: Call) -> Images:
    """Decode ``(B, L)`` scores; trailing axes of size 1 are accepted."""
    scores = as_float32(tensors[output["output_tensor"]])
    while scores.ndim > 2 and scores.shape[-1] == 1:
        scores = scores[..., 0]
    scores = batched(scores, 2)
    values = activated(scores, output.get("score_activation", "none"))
    return [
        [Hypothesis(i, values[image, i], 0, i, None, tuple(scores[image])) for i in range(call.labels)]
        for image in range(len(scores))
    ]
