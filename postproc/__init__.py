"""postproc: from the raw output tensors of a recognition network to detections and classifications."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from postproc.errors import ImageError, PostprocError, RunnerError, SchemaError, TensorError
from postproc.pipeline import PostProcessor
from postproc.quantization import QuantizedTensor
from postproc.results import Classifications, Detections, Recognitions
from postproc.schema import (
    AnchoredOutput,
    Classification,
    Detection,
    DirectOutput,
    DistanceOutput,
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
from postproc.transforms import ImageTransform

if TYPE_CHECKING:
    from postproc.results.keypoints import KeypointDetections
    from postproc.results.oriented import OrientedDetections
    from postproc.results.pasted import PastedDetections
    from postproc.results.segmented import SegmentedDetections

__version__ = "0.2.0"

__all__ = [
    "AnchoredOutput",
    "Classification",
    "Classifications",
    "Detection",
    "Detections",
    "DirectOutput",
    "DistanceOutput",
    "EndToEndOutput",
    "ImageError",
    "ImageTransform",
    "KeypointDetections",
    "OrientedDetections",
    "PastedDetections",
    "PostProcessing",
    "PostProcessor",
    "PostprocError",
    "Preprocessing",
    "QuantizedTensor",
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

# Results of few documents, each with kernels of its own: loaded when they are asked for, since all of them
# together lengthened every import by 8 %.
_LATE = {
    "KeypointDetections": "postproc.results.keypoints",
    "OrientedDetections": "postproc.results.oriented",
    "PastedDetections": "postproc.results.pasted",
    "SegmentedDetections": "postproc.results.segmented",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATE[name]), name)
