"""What users of a network expect: its thresholds and NMS, and how its images are prepared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal


@dataclass(frozen=True)
class DetectionStyle:
    """How detections are chosen: the same threshold for each label, and how boxes are merged.

    Parameters
    ----------
    threshold, nms_threshold : float
        As in a detection.
    reason : str
        Where the numbers are from, for people to read.
    multi_label : bool
        False for networks of which only the best label of a box counts.
    iou, suppression : str
        As in a detection.
    """

    threshold: float
    nms_threshold: float
    reason: str
    multi_label: bool = True
    iou: Literal["exact", "probiou"] = "exact"
    suppression: Literal["greedy", "fast"] = "greedy"


@dataclass(frozen=True)
class ImageStyle:
    """How images are prepared for a network.

    Parameters
    ----------
    fields : mapping
        The fields of the preprocessing's ``image`` that are not of the tensor: resizing, colours, scaling.
    reason : str
        Whose way it is, for people to read.
    is_guess : bool
        Whether networks of this kind differ in it, so that it has to be checked.
    has_stride : bool
        Whether images are padded to multiples of a stride only, where the input has no fixed size.
    size : (int, int), optional
        Height and width of the input, where the style tells them.
    checks : tuple of str
        What of it no preprocessing expresses.
    """

    fields: Mapping[str, Any]
    reason: str
    is_guess: bool = False
    has_stride: bool = False
    size: tuple[int, int] | None = None
    checks: tuple[str, ...] = ()


_RGB = {"color_channels": "RGB", "pixel_scaling": 1}
_BGR = {"color_channels": "BGR", "pixel_scaling": 255}
_IMAGENET = {**_RGB, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
_IMAGENET_BGR = {**_BGR, "mean": [103.53, 116.28, 123.675], "std": [57.375, 57.12, 58.395]}
_BYTES = {"color_channels": "RGB", "pixel_scaling": 255}
_TOP_LEFT = {"resize_type": "FILL", "pad_align": "top_left"}

ULTRALYTICS = DetectionStyle(
    0.25,
    0.7,
    "thresholds 0.25, nms_threshold 0.7 and multi_label false: equal to ultralytics' predict, but for boxes "
    "without an area in the image, which it returns, too",
    multi_label=False,
)
ULTRALYTICS_ORIENTED = replace(
    ULTRALYTICS,
    iou="probiou",
    suppression="fast",
    reason="thresholds 0.25, nms_threshold 0.7, multi_label false, iou probiou and suppression fast: equal "
    "to ultralytics' predict, but for boxes without an area in the image, which it returns, too, for equal "
    "scores, of which its sort takes any, and for corners where a letterbox rounds the image's sides: it "
    "scales turned boxes as upright ones",
)
ULTRALYTICS_END_TO_END = DetectionStyle(
    0.25, 1, "thresholds 0.25 as ultralytics' predict; no NMS: the network has chosen its boxes"
)
ULTRALYTICS_QUERIES = DetectionStyle(
    0.25,
    1,
    "thresholds 0.25 as ultralytics' predict; no NMS: each object gets one box",
    multi_label=False,
)
YOLOV5 = DetectionStyle(
    0.25, 0.45, "thresholds 0.25, nms_threshold 0.45: equal to YOLOv5's detect.py", multi_label=False
)
YOLOV5_MASKS = replace(
    YOLOV5,
    reason="thresholds 0.25, nms_threshold 0.45: boxes equal to YOLOv5's segment/predict.py, outlines of "
    "masks within a cell of the prototypes",
)
YOLOV5_FACE = DetectionStyle(
    0.6, 0.5, "thresholds 0.6, nms_threshold 0.5: as yolov5-face's detect_face.py", multi_label=False
)
YUNET = DetectionStyle(0.9, 0.3, "thresholds 0.9, nms_threshold 0.3: the defaults of OpenCV's FaceDetectorYN")
RETINAFACE = DetectionStyle(
    0.6, 0.4, "thresholds 0.6, nms_threshold 0.4: equal to Pytorch_Retinaface's detect.py"
)
YOLOX = DetectionStyle(0.25, 0.45, "thresholds 0.25, nms_threshold 0.45: as YOLOX's demo", multi_label=False)
DARKNET = DetectionStyle(0.25, 0.45, "thresholds 0.25, nms_threshold 0.45: as darknet's detector")
DETR = DetectionStyle(0.5, 1, "no NMS (nms_threshold 1): networks of the DETR kind give each object one box")
DETR_SOFTMAX = DetectionStyle(
    0.7,
    1,
    "thresholds 0.7 as DETR's demo; no NMS (nms_threshold 1): each object gets one box",
    multi_label=False,
)
DENSE = DetectionStyle(0.25, 0.7, "thresholds 0.25, nms_threshold 0.7: usual for YOLO-NAS and PP-YOLOE")
YOLOV4 = DetectionStyle(
    0.4, 0.6, "thresholds 0.4, nms_threshold 0.6: equal to pytorch-YOLOv4's demo", multi_label=False
)
RETINANET = DetectionStyle(0.5, 0.5, "thresholds and nms_threshold 0.5: usual for RetinaNet")
SSD = DetectionStyle(0.5, 0.45, "thresholds 0.5, nms_threshold 0.45: usual for SSD")
FASTER_RCNN = DetectionStyle(
    0.8, 0.3, "thresholds 0.8, nms_threshold 0.3: v0.7's defaults, as Faster R-CNN's demo"
)
FINISHED = DetectionStyle(
    0.5, 1, "thresholds 0.5; no NMS (nms_threshold 1): the network has chosen its boxes"
)
UNSUPPRESSED = DetectionStyle(
    0.25, 0.45, "thresholds 0.25, nms_threshold 0.45: usual for rows that NMS still has to choose from"
)
NANODET = DetectionStyle(0.35, 0.6, "thresholds 0.35, nms_threshold 0.6: as NanoDet's demo")
PADDLE = DetectionStyle(0.5, 0.6, "thresholds 0.5, nms_threshold 0.6: as PaddleDetection's demos")
RTMDET = DetectionStyle(0.3, 0.65, "thresholds 0.3, nms_threshold 0.65: as RTMDet's configurations and demo")
GFL = DetectionStyle(0.3, 0.6, "thresholds 0.3, nms_threshold 0.6: as GFL's configuration and demo")
FCOS = DetectionStyle(0.2, 0.6, "thresholds 0.2, nms_threshold 0.6: as torchvision's FCOS")
YOLOV6 = DetectionStyle(0.4, 0.45, "thresholds 0.4, nms_threshold 0.45: as YOLOv6's infer.py")
SCRFD = DetectionStyle(0.5, 0.4, "thresholds 0.5, nms_threshold 0.4: as InsightFace's SCRFD")
BLAZEFACE = DetectionStyle(0.75, 0.3, "thresholds 0.75, nms_threshold 0.3: as MediaPipe's BlazeFace")

LETTERBOX = ImageStyle(
    {"resize_type": "FILL", "pad_value": 114, "rounding": "half_even", **_RGB},
    "ultralytics' letterbox: grey 114 around the image, RGB, 0 to 1",
    has_stride=True,
)
GUESSED_LETTERBOX = replace(LETTERBOX, is_guess=True)
YOLOX_IMAGE = ImageStyle(
    {**_TOP_LEFT, "pad_value": 114, **_BGR},
    "YOLOX's: image at the top left, grey 114 around it, BGR, 0 to 255",
)
YUNET_IMAGE = ImageStyle(
    {**_TOP_LEFT, "pad_value": 0, **_BGR},
    "image at the top left, black around it, BGR, 0 to 255; OpenCV pads to multiples of 32 alone",
)
RETINAFACE_IMAGE = ImageStyle(
    {"resize_type": "SQUASH", **_BGR, "mean": [104, 117, 123]},
    "squashed to the input's size, BGR, 0 to 255, minus the mean; Pytorch_Retinaface scales nothing",
    is_guess=True,
)
DARKNET_IMAGE = ImageStyle(
    {"resize_type": "FILL", "pad_value": 128, **_RGB},
    "a letterbox with grey 128, RGB, 0 to 1; darknet itself squashes the image (resize_type SQUASH)",
    is_guess=True,
)
ULTRALYTICS_SQUASH = ImageStyle(
    {"resize_type": "SQUASH", **_RGB}, "ultralytics' RT-DETR: squashed to the input's size, RGB, 0 to 1"
)
ULTRALYTICS_CLASSIFY = ImageStyle(
    {"resize_type": "CROP", **_RGB}, "ultralytics' classifiers: the centre, RGB, 0 to 1"
)
SQUASH = ImageStyle(
    {"resize_type": "SQUASH", **_RGB}, "squashed to the input's size, RGB, 0 to 1", is_guess=True
)
IMAGENET = ImageStyle(
    {"resize_type": "SQUASH", **_IMAGENET},
    "squashed to the input's size, RGB, ImageNet's mean and standard deviation",
    is_guess=True,
)
IMAGENET_CROP = ImageStyle(
    {"resize_type": "CROP", **_IMAGENET}, "the centre, RGB, ImageNet's mean and standard deviation", True
)
DENSE_IMAGE = ImageStyle(
    {"resize_type": "FILL", "pad_value": 114, **_RGB},
    "YOLO-NAS': grey 114 around the image, RGB, 0 to 1; RTMDet takes BGR with mean and std, at the top left",
    is_guess=True,
)
MMDETECTION = ImageStyle(
    {**_TOP_LEFT, "pad_value": 0, **_IMAGENET},
    "MMDetection's: image at the top left, black beside it, RGB, ImageNet's mean and standard deviation; "
    "RTMDet and YOLOX take BGR and grey 114",
    is_guess=True,
)
SSD_IMAGE = ImageStyle(
    {"resize_type": "SQUASH", **_BYTES, "mean": [127] * 3, "std": [128] * 3},
    "squashed to the input's size, RGB, -1 to 1; Caffe's SSDs take BGR minus 104, 117, 123",
    is_guess=True,
)
CAFFE = ImageStyle(
    {"resize_type": "SQUASH", **_BGR, "mean": [102.9801, 115.9465, 122.7717]},
    "Caffe's Faster R-CNN: BGR, 0 to 255, minus the mean",
    is_guess=True,
)
PIXELS = ImageStyle(
    {"resize_type": "SQUASH", **_BYTES},
    "squashed to the input's size, RGB, pixels as they are",
)
BLAZEFACE_IMAGE = ImageStyle(
    {"resize_type": "FILL", "pad_value": 0, **_BYTES, "mean": [127.5] * 3, "std": [127.5] * 3},
    "MediaPipe's: black around the image, RGB, -1 to 1",
)
NANODET_IMAGE = ImageStyle(
    {"resize_type": "SQUASH", **_IMAGENET_BGR},
    "NanoDet's: squashed to the input's size, BGR, 0 to 255, ImageNet's mean and standard deviation",
)
RTMDET_IMAGE = ImageStyle(
    {**_TOP_LEFT, "pad_value": 114, **_IMAGENET_BGR},
    "RTMDet's: image at the top left, grey 114 around it, BGR, 0 to 255, ImageNet's mean and deviation",
)
SCRFD_IMAGE = ImageStyle(
    {**_TOP_LEFT, "pad_value": 0, **_BYTES, "mean": [127.5] * 3, "std": [128] * 3},
    "InsightFace's SCRFD: image at the top left, black around it, RGB, (x - 127.5) / 128",
)
