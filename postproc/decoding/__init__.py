"""The kinds of detection outputs: one small class each, from tensors to the kernel that reads them.

A decoder is made once for an output of a version. Its `read` checks the tensors of a call, and its `bind`
makes `Candidates` of them, when it is known which sizes boxes are in pixels of. Their `head` is a typed
structure of canonical arrays, of which `postproc.kernels.heads.driver` detects in any range of images,
from any thread.

To add a family of networks:

1. Describe its tensors in a subclass of `DetectionOutput`, in a file ``postproc/schema/*_outputs.py``, and
   what is special about its boxes and scores: the attributes of that class are all that pipeline, inspection
   and tests ask of a kind.
2. Give `Detection` (``postproc/schema/post_processing.py``) a field of that type, whose name is the kind's;
   export the class from ``postproc/schema/__init__.py`` and ``postproc/__init__.py``. JSON Schema and the
   command line know it from there.
3. Write its decoder here, in a file of the family: check the shapes, fill the structure of a head. Most
   families share one there is: `ScoredBoxes` where boxes and scores are plain, `Products` where a score has
   two factors, `Grids`, `Anchored`, `Distances`, `Listed`; a new one is a NamedTuple, a scan and a decode.
4. Give the decoder its line in `decoder_class` below, which the warm-up reads, too.
5. Write its operators in a file of ``postproc/fusing/heads``, with a line in ``HEADS`` there.
6. Give it a row in the table of docs/kinds.md, and a case in ``postproc/doctor/cases.py``, whose answer
   ``python -m tests.doctor_answers`` writes.

Where tensors hold more than boxes, `bind` gives its candidates a function, `Extras`, that adds it to
those that are kept: `Yolov8PoseDecoder` is an example.

Then its tests: the formula once more, slowly, in a file of ``tests/reference`` with an entry in ``decode.py``
there, and random cases in a file of ``tests/random_cases`` with an entry in ``tests/kinds.py``. Whatever goes
through kinds takes it from there, compares it with the reference index for index and fuzzes it;
``tests/test_kinds.py`` says what a kind still lacks. `Yolov8Decoder` is the shortest example.
"""

from __future__ import annotations

from typing import Any

from postproc.decoding.base import (
    ACTIVATIONS,
    BOX_FORMATS,
    Candidates,
    Decoder,
    Extras,
    Sizes,
)
from postproc.decoding.decision import Decision
from postproc.schema import Detection, DetectionOutput, Yolov5Output, YoloxOutput

__all__ = [
    "ACTIVATIONS",
    "BOX_FORMATS",
    "Candidates",
    "Decision",
    "Decoder",
    "Extras",
    "Sizes",
    "decoder_class",
    "decoder_for",
]


def decoder_for(output: DetectionOutput, decision: Decision) -> Decoder[Any]:
    """Make the decoder of an output."""
    if isinstance(output, YoloxOutput) and output.output_tensor is None:
        from postproc.decoding.product_levels import YoloxLevelsDecoder

        return YoloxLevelsDecoder(output, decision)
    if isinstance(output, Yolov5Output) and output.prototypes_tensor is not None:
        from postproc.decoding.yolov5_seg import Yolov5SegDecoder

        return Yolov5SegDecoder(output, decision)
    decoder: Decoder[Any] = decoder_class(Detection.kind_of(output))(output, decision)
    return decoder


def decoder_class(kind: str) -> Any:
    """Import the decoder of a kind, and by it its kernels: an import of postproc pays for no other.

    By statements, not by names of modules, which those who pack programs would not see.
    """
    match kind:
        case "anchored_output":
            from postproc.decoding.anchored import AnchoredDecoder

            return AnchoredDecoder
        case "direct_output":
            from postproc.decoding.direct import DirectDecoder

            return DirectDecoder
        case "yolo_output":
            from postproc.decoding.grids import YoloDecoder

            return YoloDecoder
        case "yolov3_output":
            from postproc.decoding.grids import Yolov3Decoder

            return Yolov3Decoder
        case "yolov5_output":
            from postproc.decoding.products import Yolov5Decoder

            return Yolov5Decoder
        case "yolov8_output":
            from postproc.decoding.yolov8 import Yolov8Decoder

            return Yolov8Decoder
        case "yolov8_pose_output":
            from postproc.decoding.yolov8_pose import Yolov8PoseDecoder

            return Yolov8PoseDecoder
        case "yolov8_obb_output":
            from postproc.decoding.yolov8_obb import Yolov8ObbDecoder

            return Yolov8ObbDecoder
        case "yolov8_seg_output":
            from postproc.decoding.yolov8_seg import Yolov8SegDecoder

            return Yolov8SegDecoder
        case "yolox_output":
            from postproc.decoding.products import YoloxDecoder

            return YoloxDecoder
        case "standard_output":
            from postproc.decoding.boxes_and_scores import StandardDecoder

            return StandardDecoder
        case "end_to_end_output":
            from postproc.decoding.end_to_end import EndToEndDecoder

            return EndToEndDecoder
        case "ssd_output":
            from postproc.decoding.boxes_and_scores import SsdDecoder

            return SsdDecoder
        case "distance_output":
            from postproc.decoding.distances import DistanceDecoder

            return DistanceDecoder
        case _:
            raise KeyError(kind)
