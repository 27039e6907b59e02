"""ultralytics' functions behind its predictors: boxes are cx, cy, width, height in pixels, angles radians."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torchvision  # noqa: F401 - with it loaded, which predictors do, NMS is torchvision's
from ultralytics.data.augment import LetterBox
from ultralytics.nn.modules.block import DFL
from ultralytics.utils import metrics
from ultralytics.utils import ops as boxes_ops
from ultralytics.utils.nms import non_max_suppression
from ultralytics.utils.tal import dist2bbox, make_anchors

from tests.conformance.adapters import Answer, NotOfferedError, above, ranks
from tests.conformance.adapters._detections import decision, detections, passing, single_threshold

DISTRIBUTIONS = ("ultralytics", "torch", "torchvision")
NAMES = {"cxcywh": "xywh", "xywh": "ltwh", "xyxy": "xyxy"}


def _kept(
    columns: Any, scores: Any, threshold: float, iou_threshold: float, turns: Any = None, **more: Any
) -> Any:
    """Give boxes (N, 4), scores (N, L) and angles (N, 1) as a head does, and return rows and their labels."""
    table = np.concatenate([columns, scores, *([] if turns is None else [turns])], axis=1).T[np.newaxis]
    if table.shape[2] == 6:
        raise NotOfferedError("six boxes would be taken for finished rows")
    rows, indices = non_max_suppression(
        torch.from_numpy(np.ascontiguousarray(table)),
        threshold,
        iou_threshold,
        nc=scores.shape[1],
        return_idxs=True,
        rotated=turns is not None,
        max_time_img=60.0,
        **more,
    )
    return indices[0].numpy().astype(np.int64).reshape(-1), rows[0][:, 5].numpy().astype(np.int64)


def _by_label(scores: Any, labels: Any) -> Any:
    places = ranks(labels)
    table = np.zeros((len(scores), int(places.max(initial=0)) + 1), np.float32)
    table[np.arange(len(scores)), places] = scores
    return table


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Answer:
    return batched_nms(boxes, scores, np.zeros(len(boxes), np.int64), iou_threshold)


def batched_nms(boxes: Any, scores: Any, labels: Any, iou_threshold: float) -> Answer:
    columns, scores = boxes_ops.xyxy2xywh(boxes), above(scores, 0)
    return {"kept": _kept(columns, _by_label(scores, labels), 0.0, iou_threshold)[0]}


def multiclass_nms(
    boxes: Any, scores: Any, score_thresholds: Any, iou_threshold: float, max_predictions: int = 300
) -> Answer:
    if len(set(score_thresholds)) != 1:
        raise NotOfferedError("one threshold for all labels")
    more = {"multi_label": True, "max_det": max_predictions}
    kept = _kept(boxes_ops.xyxy2xywh(boxes), scores, score_thresholds[0], iou_threshold, **more)
    return dict(zip(("kept", "labels"), kept, strict=True))


def oriented_nms(boxes: Any, scores: Any, labels: Any, iou_threshold: float, index: str) -> Answer:
    if index != "probiou":
        raise NotOfferedError(index)
    table = _by_label(above(scores, 0), labels)
    return {"kept": _kept(boxes[:, :4], table, 0.0, iou_threshold, boxes[:, 4:])[0]}


def box_iou(boxes1: Any, boxes2: Any) -> Answer:
    return {"iou": metrics.box_iou(torch.from_numpy(boxes1), torch.from_numpy(boxes2)).numpy()}


def oriented_iou(boxes1: Any, boxes2: Any, index: str) -> Answer:
    if index != "probiou":
        raise NotOfferedError(index)
    return {"iou": metrics.batch_probiou(boxes1, boxes2).numpy()}


def box_convert(boxes: Any, in_format: str, out_format: str) -> Answer:
    if "yxyx" in (in_format, out_format):
        raise NotOfferedError("yxyx")
    return {"boxes": getattr(boxes_ops, f"{NAMES[in_format]}2{NAMES[out_format]}")(boxes)}


def clip(boxes: Any, size: Any) -> Answer:
    return {"boxes": boxes_ops.clip_boxes(boxes, size)}


def letterbox(method: str, input_size: Any, image_size: Any, align: str = "center") -> Answer:
    if method not in ("letterbox", "squash"):
        raise NotOfferedError(method)
    made = LetterBox(tuple(input_size), scale_fill=method == "squash", center=align == "center")
    placed = made.get_params({"img": np.empty((*image_size, 3), np.uint8)})
    return {"resized_size": placed["new_unpad"][::-1], "offset": [placed["left"], placed["top"]]}


def unletterbox(boxes: Any, method: str, input_size: Any, image_size: Any, align: str = "center") -> Answer:
    if method != "letterbox" or align != "center":
        raise NotOfferedError(f"{method}, {align}")
    return {"boxes": boxes_ops.scale_boxes(input_size, boxes, image_size)}


def detect(document: Any, tensors: Any) -> Answer:
    kind, output, detection = decision(document)
    if kind == "distance_output" and "centerness_tensors" not in output and "bins" in output:
        return _distances(output, detection, tensors)
    if kind != "yolov8_output" or output.get("coordinates") == "normalized":
        raise NotOfferedError(kind)
    table = tensors["table"] if output["layout"] == "channels_first" else tensors["table"].swapaxes(1, 2)
    limits = single_threshold(detection), detection["nms_threshold"]
    found, kept = non_max_suppression(
        torch.from_numpy(table.copy()), *limits, multi_label=True, return_idxs=True
    )
    columns = found[0].numpy()
    boxes = boxes_ops.clip_boxes(columns[:, :4], detection["input_size"])
    labels, rows = columns[:, 5].astype(np.int64), kept[0].numpy().astype(np.int64).reshape(-1)
    return detections(boxes, columns[:, 4], labels, rows, detection)


decode = detect


def _distances(output: Any, detection: Any, tensors: Any) -> Answer:
    (stride,), maps = output["strides"], torch.from_numpy(tensors["distances"])
    points, strides = make_anchors([maps], [stride], output.get("cell_offset", 0.5))
    sides = DFL(output["bins"])(maps.flatten(2)).transpose(1, 2)[0]
    boxes = dist2bbox(sides, points, xywh=False) * strides
    scores = tensors["scores"][0].reshape(tensors["scores"].shape[1], -1).T
    return passing(boxes.numpy(), scores, detection)
