"""OpenVINO's operators on the CPU in full precision; angles turn clockwise, a sigma is half of Bodla's."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino
from openvino import opset8, opset13

from tests.conformance.adapters import Answer, NotOfferedError, above, ranks
from tests.conformance.adapters._detections import decision, detections, single_threshold

DISTRIBUTIONS = ("openvino",)
LOWEST = float(np.finfo(np.float32).min)


def _run(build: Any, *arrays: Any) -> list[Any]:
    parameters = [opset13.parameter(array.shape, array.dtype) for array in arrays]
    node = build(*parameters)
    model = openvino.Model([opset13.result(output) for output in node.outputs()], parameters, "graph")
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": "1"}
    found = openvino.Core().compile_model(model, "CPU", options)(list(arrays))
    return [np.array(found[place]) for place in range(len(node.outputs()))]


def _by_label(scores: Any, labels: Any) -> Any:
    places = ranks(labels)
    table = np.full((1, int(places.max(initial=0)) + 1, len(scores)), -np.inf, np.float32)
    table[0, places, np.arange(len(scores))] = scores
    return table


def _selected(
    boxes: Any, scores: Any, iou_threshold: float, threshold: float = LOWEST, sigma: float = 0.0
) -> Any:
    """Return rows and scores of what is selected, best first over all labels."""
    limits = np.int64(len(boxes)), np.float32(iou_threshold), np.float32(threshold), np.float32(sigma)
    indices, values, count = _run(
        lambda *given: opset13.non_max_suppression(
            *given, *(opset13.constant(limit) for limit in limits), sort_result_descending=True
        ),
        boxes[np.newaxis],
        scores,
    )
    return indices[: int(count[0]), 2], values[: int(count[0]), 2]


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Answer:
    return {"kept": _selected(boxes, above(scores, LOWEST)[np.newaxis, np.newaxis], iou_threshold)[0]}


def batched_nms(boxes: Any, scores: Any, labels: Any, iou_threshold: float) -> Answer:
    return {"kept": _selected(boxes, _by_label(above(scores, LOWEST), labels), iou_threshold)[0]}


def soft_nms(boxes: Any, scores: Any, labels: Any, sigma: float, score_threshold: float) -> Answer:
    # The operator takes exp(-0.5 * IoU^2 / sigma).
    found = _selected(boxes, _by_label(scores, labels), 1.0, score_threshold, sigma / 2)
    return dict(zip(("kept", "scores"), found, strict=True))


def multiclass_nms(
    boxes: Any, scores: Any, score_thresholds: Any, iou_threshold: float, max_predictions: int = -1
) -> Answer:
    if len(set(score_thresholds)) != 1:
        raise NotOfferedError("one threshold for all labels")
    rows, indices, count = _run(
        lambda *given: opset13.multiclass_nms(
            *given,
            sort_result_type="score",
            iou_threshold=iou_threshold,
            score_threshold=score_thresholds[0],
            keep_top_k=max_predictions,
        ),
        boxes[np.newaxis],
        np.ascontiguousarray(scores.T)[np.newaxis],
    )
    return {"kept": indices[: int(count[0]), 0], "labels": rows[: int(count[0]), 0].astype(np.int64)}


def oriented_nms(boxes: Any, scores: Any, labels: Any, iou_threshold: float, index: str) -> Answer:
    if index != "exact":
        raise NotOfferedError(index)
    limits = np.int64(len(boxes)), np.float32(iou_threshold), np.float32(LOWEST)
    indices, _, count = _run(
        lambda *given: opset13.nms_rotated(*given, *(opset13.constant(limit) for limit in limits)),
        boxes[np.newaxis],
        _by_label(scores, labels),
    )
    return {"kept": indices[: int(count[0]), 2]}


def decode(document: Any, tensors: Any) -> Answer:
    """DetectionOutput, which is Caffe's: corners of priors, variances beside them, background first."""
    kind, output, detection = decision(document)
    priors = tensors.get("priors")
    if kind != "ssd_output" or len(priors) > 1:
        raise NotOfferedError(kind if kind != "ssd_output" else "its list does not tell rows")
    variances = np.tile(np.float32(output.get("offsets_scale", [0.1, 0.1, 0.2, 0.2])), (len(priors), 1))
    centres, halves = priors[:, :2], priors[:, 2:] / 2
    corners = np.concatenate([centres - halves, centres + halves], axis=1)
    attributes = {
        "background_label_id": 0,
        "top_k": -1,
        "keep_top_k": [100],
        "code_type": "caffe.PriorBoxParameter.CENTER_SIZE",
        "share_location": True,
        "variance_encoded_in_target": False,
        "nms_threshold": detection["nms_threshold"],
        "confidence_threshold": single_threshold(detection),
        "clip_after_nms": True,
        "normalized": True,
    }
    (found,) = _run(
        lambda *given: opset8.detection_output(*given, attributes),
        tensors["offsets"].reshape(1, -1),
        tensors["scores"].reshape(1, -1),
        np.stack([corners.reshape(-1), variances.reshape(-1)])[np.newaxis].astype(np.float32),
    )
    ends = np.flatnonzero(found[0, 0, :, 0] < 0)  # the row after the last
    rows = found[0, 0, : ends[0] if len(ends) else None]
    return detections(
        rows[:, 3:], rows[:, 2], rows[:, 1].astype(np.int64) - 1, np.zeros(len(rows), int), detection
    )
