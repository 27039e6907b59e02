"""The kinds of detection outputs: one small class each, from tensors to the kernels that read them.

A decoder is made once for an output of a version. Its `bind` checks the tensors of a call and returns a
`Candidates`: two functions, the threshold scan and the decoding of boxes, bound to canonical arrays, which
the pipeline may call for any range of images, from any thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from postproc.decoding.anchored import AnchoredDecoder
from postproc.decoding.base import (
    ACTIVATIONS,
    BOX_FORMATS,
    Candidates,
    Decision,
    Decoder,
    Extras,
    Placement,
)
from postproc.decoding.direct import DirectDecoder
from postproc.decoding.yolo import YoloDecoder
from postproc.decoding.yolov8 import Yolov8Decoder
from postproc.decoding.yolov8_obb import Yolov8ObbDecoder
from postproc.decoding.yolov8_pose import Yolov8PoseDecoder
from postproc.decoding.yolov8_seg import Yolov8SegDecoder
from postproc.schema import (
    AnchoredOutput,
    DetectionOutput,
    DirectOutput,
    YoloOutput,
    Yolov8ObbOutput,
    Yolov8Output,
    Yolov8PoseOutput,
    Yolov8SegOutput,
)

__all__ = [
    "ACTIVATIONS",
    "BOX_FORMATS",
    "Candidates",
    "Decision",
    "Decoder",
    "Extras",
    "Placement",
    "decoder_for",
]


def decoder_for(output: DetectionOutput, decision: Decision) -> Decoder:
    """Make the decoder of an output."""
    decoder: Decoder = _DECODERS[type(output)](output, decision)
    return decoder


_DECODERS: dict[type[DetectionOutput], Callable[..., Any]] = {
    AnchoredOutput: AnchoredDecoder,
    DirectOutput: DirectDecoder,
    YoloOutput: YoloDecoder,
    Yolov8Output: Yolov8Decoder,
    Yolov8ObbOutput: Yolov8ObbDecoder,
    Yolov8PoseOutput: Yolov8PoseDecoder,
    Yolov8SegOutput: Yolov8SegDecoder,
}
