"""postproc: from the raw output tensors of a recognition network to detections and classifications."""

from postproc.errors import ImageError, PostprocError, RunnerError, SchemaError, TensorError
from postproc.keypoints import KeypointDetections
from postproc.oriented import OrientedDetections
from postproc.pipeline import PostProcessor
from postproc.results import Classifications, Detections, Recognitions
from postproc.schema import (
    AnchoredOutput,
    Classification,
    Detection,
    DirectOutput,
    EndToEndOutput,
    PostProcessing,
    Preprocessing,
    RecognitionSpec,
    RecognitionVersion,
    SsdOutput,
    StandardOutput,
    YoloOutput,
    Yolov3Output,
    Yolov5Output,
    Yolov8ObbOutput,
    Yolov8Output,
    Yolov8PoseOutput,
    Yolov8SegOutput,
    YoloxOutput,
)
from postproc.segmented import SegmentedDetections
from postproc.transforms import ImageTransform

__version__ = "0.1.0"

__all__ = [
    "AnchoredOutput",
    "Classification",
    "Classifications",
    "Detection",
    "Detections",
    "DirectOutput",
    "EndToEndOutput",
    "ImageError",
    "ImageTransform",
    "KeypointDetections",
    "OrientedDetections",
    "PostProcessing",
    "PostProcessor",
    "PostprocError",
    "Preprocessing",
    "RecognitionSpec",
    "RecognitionVersion",
    "Recognitions",
    "RunnerError",
    "SchemaError",
    "SegmentedDetections",
    "SsdOutput",
    "StandardOutput",
    "TensorError",
    "YoloOutput",
    "Yolov3Output",
    "Yolov5Output",
    "Yolov8ObbOutput",
    "Yolov8Output",
    "Yolov8PoseOutput",
    "Yolov8SegOutput",
    "YoloxOutput",
]
