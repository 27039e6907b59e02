"""The documents of v0.7 as frozen, strict models: read with `load`, written with `dump`."""

from postproc.schema.outputs import AnchoredOutput, DetectionOutput, DirectOutput, YoloOutput, Yolov8Output
from postproc.schema.pairing import check_pair
from postproc.schema.post_processing import Classification, Detection, PostProcessing
from postproc.schema.preprocessing import ConstantInput, ImageInput, Preprocessing, PreprocessingInput
from postproc.schema.resources import Label, Labels, RecognitionSpec, RecognitionVersion, SpecOutput

__all__ = [
    "AnchoredOutput",
    "Classification",
    "ConstantInput",
    "Detection",
    "DetectionOutput",
    "DirectOutput",
    "ImageInput",
    "Label",
    "Labels",
    "PostProcessing",
    "Preprocessing",
    "PreprocessingInput",
    "RecognitionSpec",
    "RecognitionVersion",
    "SpecOutput",
    "YoloOutput",
    "Yolov8Output",
    "check_pair",
]
