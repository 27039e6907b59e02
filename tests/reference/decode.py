"""Network outputs to hypotheses: every label of every region, before any rule drops one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.reference.activation import activated
from tests.reference.decode_boxes import decode_direct, decode_standard
from tests.reference.decode_distances import decode_distance
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


class Kind(NamedTuple):
    """What a kind of output is, beside its formula."""

    decode: Callable[[dict[str, Any], Tensors, Call], Images]
    in_pixels: bool = False  # whether boxes are in pixels of the input, even where no size is declared
    in_cells: bool = False  # whether decoding itself divides boxes by the grid's sides
    clips_first: bool = False  # to the image, before NMS, whatever the document says
    nms_threshold: float = 0.3  # where the document has none
    turns_in_pixels: bool = False  # whether normalized boxes are multiplied by the input's size
    crops_in_pixels: bool = False  # whether what comes with normalized boxes needs the input's size


KINDS: dict[str, Kind] = {
    "anchored_output": Kind(decode_anchored, clips_first=True),
    "direct_output": Kind(decode_direct),
    "yolo_output": Kind(decode_yolo, in_cells=True),
    "yolov3_output": Kind(decode_yolov3, in_pixels=True),
    "yolov5_output": Kind(decode_yolov5, in_pixels=True),
    "yolov8_output": Kind(decode_yolov8, in_pixels=True),
    "yolov8_obb_output": Kind(decode_yolov8_obb, in_pixels=True, turns_in_pixels=True),
    "yolov8_pose_output": Kind(decode_yolov8_pose, in_pixels=True),
    "yolov8_seg_output": Kind(decode_yolov8_seg, in_pixels=True, crops_in_pixels=True),
    "yolox_output": Kind(decode_yolox, in_pixels=True),
    "standard_output": Kind(decode_standard),
    "end_to_end_output": Kind(decode_end_to_end, nms_threshold=1.0),
    "ssd_output": Kind(decode_ssd, clips_first=True),
    "distance_output": Kind(decode_distance, in_pixels=True),
}


def output_of(detection: dict[str, Any]) -> tuple[Kind, dict[str, Any]]:
    """Return the kind of output of a detection, and its object."""
    kind, output = next(
        (kind, detection[name]) for name, kind in KINDS.items() if detection.get(name) is not None
    )
    if "angle" in output.get("columns", ()):  # of pixels
        kind = kind._replace(in_pixels=True)
    if output.get("prototypes_tensor") is not None:
        kind = kind._replace(crops_in_pixels=True)
    return kind, output


def decode_detection(detection: dict[str, Any], tensors: Tensors, call: Call) -> Images:
    """Decode the kind of output that the detection has."""
    kind, output = output_of(detection)
    return kind.decode(output, tensors, call)


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
