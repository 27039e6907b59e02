"""The documents of v0.7 as frozen, strict models: read with `load`, written with `dump`."""

from postproc.schema.distance_outputs import DistanceOutput
from postproc.schema.head_outputs import EndToEndOutput, SsdOutput, StandardOutput
from postproc.schema.labels import Label, Labels
from postproc.schema.outputs import AnchoredOutput, DetectionOutput, DirectOutput, YoloOutput
from postproc.schema.pairing import check_pair
from postproc.schema.post_processing import Classification, Detection, PostProcessing
from postproc.schema.preprocessing import ConstantInput, ImageInput, Preprocessing, PreprocessingInput
from postproc.schema.resources import RecognitionSpec, RecognitionVersion, SpecOutput
from postproc.schema.yolo_outputs import Yolov3Output, Yolov5Output, Yolov8Output, YoloxOutput
from postproc.schema.yolov8_outputs import Yolov8ObbOutput, Yolov8PoseOutput, Yolov8SegOutput

__all__ = [
    "AnchoredOutput",
    "Classification",
    "ConstantInput",
    "Detection",
    "DetectionOutput",
    "DirectOutput",
    "DistanceOutput",
    "EndToEndOutput",
    "ImageInput",
    "Label",
    "Labels",
    "PostProcessing",
    "Preprocessing",
    "PreprocessingInput",
    "RecognitionSpec",
    "RecognitionVersion",
    "SpecOutput",
    "SsdOutput",
    "StandardOutput",
    "YoloOutput",
    "Yolov3Output",
    "Yolov5Output",
    "Yolov8ObbOutput",
    "Yolov8Output",
    "Yolov8PoseOutput",
    "Yolov8SegOutput",
    "YoloxOutput",
    "check_pair",
]
