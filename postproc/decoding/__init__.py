"""The kinds of detection outputs: one small class each, from tensors to the kernels that read them.

A decoder is made once for an output of a version. Its `bind` checks the tensors of a call and returns a
`Candidates`: two functions, the threshold scan and the decoding of boxes, bound to canonical arrays, which
the pipeline may call for any range of images, from any thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from postproc.decoding.anchored import AnchoredDecoder
from postproc.decoding.base import ACTIVATIONS, BOX_FORMATS, Candidates, Decision, Decoder, Sizes
from postproc.decoding.direct import DirectDecoder
from postproc.decoding.end_to_end import EndToEndDecoder
from postproc.decoding.grids import YoloDecoder, Yolov3Decoder
from postproc.decoding.heads import SsdDecoder, StandardDecoder
from postproc.decoding.products import Yolov5Decoder, YoloxDecoder
from postproc.decoding.yolov8 import Yolov8Decoder
from postproc.schema import (
    AnchoredOutput,
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

__all__ = ["ACTIVATIONS", "BOX_FORMATS", "Candidates", "Decision", "Decoder", "Sizes", "decoder_for"]


def decoder_for(output: DetectionOutput, decision: Decision) -> Decoder:
    """Make the decoder of an output."""
    decoder: Decoder = _DECODERS[type(output)](output, decision)
    return decoder


_DECODERS: dict[type[DetectionOutput], Callable[..., Any]] = {
    AnchoredOutput: AnchoredDecoder,
    DirectOutput: DirectDecoder,
    YoloOutput: YoloDecoder,
    Yolov3Output: Yolov3Decoder,
    Yolov5Output: Yolov5Decoder,
    YoloxOutput: YoloxDecoder,
    StandardOutput: StandardDecoder,
    EndToEndOutput: EndToEndDecoder,
    SsdOutput: SsdDecoder,
    Yolov8Output: Yolov8Decoder,
}
