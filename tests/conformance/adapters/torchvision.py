"""torchvision.ops. Boxes are documented as 0 <= x1 < x2, angles as degrees, counter-clockwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torchvision import ops
from torchvision.models.detection._utils import BoxCoder

from tests.conformance.adapters import Answer, NotOfferedError
from tests.conformance.adapters._detections import decision, passing

DISTRIBUTIONS = ("torchvision", "torch")
tensor = torch.from_numpy


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Answer:
    return {"kept": ops.nms(tensor(boxes), tensor(scores), iou_threshold).numpy()}


def batched_nms(boxes: Any, scores: Any, labels: Any, iou_threshold: float) -> Answer:
    return {"kept": ops.batched_nms(tensor(boxes), tensor(scores), tensor(labels), iou_threshold).numpy()}


def box_iou(boxes1: Any, boxes2: Any) -> Answer:
    return {"iou": ops.box_iou(tensor(boxes1), tensor(boxes2)).numpy()}


def oriented_iou(boxes1: Any, boxes2: Any, index: str) -> Answer:
    if index != "exact":
        raise NotOfferedError(index)
    turned = [boxes * np.array([1, 1, 1, 1, -180 / np.pi], np.float32) for boxes in (boxes1, boxes2)]
    return {"iou": ops.box_iou(*map(tensor, turned), fmt="cxcywhr").numpy()}


def box_area(boxes: Any) -> Answer:
    return {"areas": ops.box_area(tensor(boxes)).numpy()}


def box_convert(boxes: Any, in_format: str, out_format: str) -> Answer:
    if "yxyx" in (in_format, out_format):
        raise NotOfferedError("yxyx")
    return {"boxes": ops.box_convert(tensor(boxes), in_format, out_format).numpy()}


def clip(boxes: Any, size: Any) -> Answer:
    return {"boxes": ops.clip_boxes_to_image(tensor(boxes), size).numpy()}


def decode(document: Any, tensors: Any) -> Answer:
    kind, output, detection = decision(document)
    if kind == "anchored_output" and output.get("anchors_format", "xyxy") == "xyxy":
        anchors, scale = tensors["anchors"].reshape(-1, tensors["anchors"].shape[-1])[:, -4:], [1.0] * 4
    elif kind == "ssd_output":
        anchors, scale = box_convert(tensors["priors"], "cxcywh", "xyxy")["boxes"], [0.1, 0.1, 0.2, 0.2]
    else:
        raise NotOfferedError(kind)
    coder = BoxCoder(tuple(1 / factor for factor in output.get("offsets_scale", scale)))
    boxes = coder.decode_single(tensor(tensors["offsets"][0]), tensor(np.ascontiguousarray(anchors))).numpy()
    boxes = boxes.reshape(len(boxes), -1, 4)
    scores = tensors["scores"][0][:, 1:]  # without the background
    return passing(boxes[:, 1:] if boxes.shape[1] > 1 else boxes[:, 0], scores, detection)
