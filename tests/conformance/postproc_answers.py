"""What postproc answers to each operation: the adapter of this library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc import (
    EndToEndOutput,
    ImageTransform,
    PostProcessor,
    QuantizedTensor,
    StandardOutput,
    Yolov8ObbOutput,
    ops,
)
from tests.conformance.cases import Case

Answer = dict[str, Any]

SIDE = 1024  # of the image that boxes of plain operations lie in, where a pipeline answers


def answer(case: Case) -> Answer:
    """Answer a case, with the names of its ``expected``."""
    return OPERATIONS[case.operation](case)


def _nms(case: Case) -> Answer:
    return {"kept": ops.nms(case.inputs["boxes"], case.inputs["scores"], case.parameters["iou_threshold"])}


def _batched_nms(case: Case) -> Answer:
    tensors = (case.inputs[name] for name in ("boxes", "scores", "labels"))
    return {"kept": ops.batched_nms(*tensors, case.parameters["iou_threshold"])}


def _multiclass_nms(case: Case) -> Answer:
    found = _of_boxes(
        case.inputs["boxes"],
        case.inputs["scores"],
        case.parameters["score_thresholds"],
        case.parameters.get("max_predictions", 100),
        nms_threshold=case.parameters["iou_threshold"],
    )
    return {"kept": found.regions, "labels": found.labels}


def _soft_nms(case: Case) -> Answer:
    scores, sigma = _of_labels(case), case.parameters["sigma"]
    thresholds = [case.parameters["score_threshold"]] * scores.shape[1]
    found = _of_boxes(case.inputs["boxes"], scores, thresholds, nms_method="soft", soft_sigma=sigma)
    return {"kept": found.regions, "scores": found.scores}


def _weighted_nms(case: Case) -> Answer:
    scores, limit = _of_labels(case), case.parameters["iou_threshold"]
    thresholds = [0.0] * scores.shape[1]
    found = _of_boxes(case.inputs["boxes"], scores, thresholds, nms_method="weighted", nms_threshold=limit)
    return {"kept": found.regions, "boxes": found.to_pixels((SIDE, SIDE)), "scores": found.scores}


def _oriented_nms(case: Case) -> Answer:
    boxes, scores = case.inputs["boxes"], _of_labels(case)
    table = np.concatenate([boxes[:, :4], scores, boxes[:, 4:]], axis=1)[None]
    found = PostProcessor.for_detection(
        _names(scores.shape[1]),
        Yolov8ObbOutput(output_tensor="table", layout="channels_last"),
        thresholds=0.0,
        nms_threshold=case.parameters["iou_threshold"],
        iou=case.parameters["index"],
        input_size=[SIDE, SIDE],
    )({"table": table})
    return {"kept": found.outputs[0].regions}


def _box_iou(case: Case) -> Answer:
    return {"iou": ops.box_iou(case.inputs["boxes1"], case.inputs["boxes2"])}


def _oriented_iou(case: Case) -> Answer:
    boxes = case.inputs["boxes1"], case.inputs["boxes2"]
    return {"iou": ops.oriented_box_iou(*boxes, case.parameters["index"])}


def _box_area(case: Case) -> Answer:
    return {"areas": ops.box_area(case.inputs["boxes"])}


def _box_convert(case: Case) -> Answer:
    formats = case.parameters["in_format"], case.parameters["out_format"]
    return {"boxes": ops.box_convert(case.inputs["boxes"], *formats)}


def _clip(case: Case) -> Answer:
    return {"boxes": ops.clip_boxes(case.inputs["boxes"], case.parameters["size"])}


def _transform(case: Case) -> ImageTransform:
    parameters = dict(case.parameters)
    make = getattr(ImageTransform, parameters.pop("method"))
    return make(**parameters)


def _letterbox(case: Case) -> Answer:
    transform = _transform(case)
    return {"resized_size": transform.resized_size, "offset": transform.offset}


def _unletterbox(case: Case) -> Answer:
    transform = _transform(case)
    boxes = case.inputs["boxes"]
    output = StandardOutput(boxes_tensor="boxes", scores_tensor="scores", layout="channels_last")
    post = PostProcessor.for_detection(
        ["a"], output, thresholds=0.0, nms_threshold=1.0, input_size=list(transform.input_size)
    )
    scores = np.linspace(1, 0.5, len(boxes), dtype=np.float32)[None, :, None]  # in their order
    found = post({"boxes": boxes[None], "scores": scores}, transforms=[transform]).outputs[0]
    return {"boxes": found.to_pixels(transform.image_size)}


def _rle(case: Case) -> Answer:
    mask = case.inputs["mask"]
    output = EndToEndOutput(
        boxes_tensor="boxes",
        scores_tensor="scores",
        classes_tensor="classes",
        masks_tensor="masks",
        masks_cover="image",
    )
    post = PostProcessor.for_detection(["a"], output, thresholds=0.0)
    found = post(
        {
            "boxes": np.array([[[0, 0, 1, 1]]], np.float32),
            "scores": np.ones((1, 1), np.float32),
            "classes": np.zeros((1, 1), np.int64),
            "masks": mask[None, None].astype(np.float32),
        }
    )
    return {"string": found.outputs[0].to_rle(mask.shape)[0]["counts"]}


def _dequantise(case: Case) -> Answer:
    quantised, scale, zero_point = (case.inputs[name] for name in ("quantised", "scale", "zero_point"))
    tensor = QuantizedTensor(quantised, scale.tolist(), zero_point.tolist(), case.parameters["axis"])
    return {"values": tensor.dequantize()}


def _pipeline(case: Case) -> Answer:
    assert case.document is not None
    parameters = dict(case.parameters)
    tensors = dict(case.inputs)
    for name in parameters.pop("bfloat16", ()):
        import ml_dtypes

        tensors[name] = tensors[name].view(ml_dtypes.bfloat16)
    found = PostProcessor(case.document["spec"], case.document["version"])(tensors, **parameters).outputs[0]
    names = ("offsets", "scores", "labels", "predicted", "boxes", "regions")
    return {name: getattr(found, name) for name in names if hasattr(found, name)}


def _of_boxes(
    boxes: NDArray[Any], scores: NDArray[Any], thresholds: list[float], most: int = 100, **decision: Any
) -> Any:
    """Detections of one image, whose scores are (N, L)."""
    output = StandardOutput(boxes_tensor="boxes", scores_tensor="scores", layout="channels_last")
    names = _names(scores.shape[1])
    post = PostProcessor.for_detection(
        names, output, thresholds=thresholds, input_size=[SIDE, SIDE], **decision
    )
    return post({"boxes": boxes[None], "scores": scores[None]}, max_predictions=most).outputs[0]


def _of_labels(case: Case) -> NDArray[np.float32]:
    """Scores (N, L), 0 but for the label of each box."""
    scores, labels = case.inputs["scores"], case.inputs["labels"]
    table = np.zeros((len(scores), int(labels.max(initial=0)) + 1), np.float32)
    table[np.arange(len(scores)), labels] = scores
    return table


def _names(count: int) -> list[str]:
    return [f"label {row}" for row in range(count)]


OPERATIONS: dict[str, Callable[[Case], Answer]] = {
    "nms": _nms,
    "batched_nms": _batched_nms,
    "multiclass_nms": _multiclass_nms,
    "soft_nms": _soft_nms,
    "weighted_nms": _weighted_nms,
    "oriented_nms": _oriented_nms,
    "box_iou": _box_iou,
    "oriented_iou": _oriented_iou,
    "box_area": _box_area,
    "box_convert": _box_convert,
    "clip": _clip,
    "letterbox": _letterbox,
    "unletterbox": _unletterbox,
    "rle": _rle,
    "dequantise": _dequantise,
    "detect": _pipeline,
    "decode": _pipeline,
    "classify": _pipeline,
}
