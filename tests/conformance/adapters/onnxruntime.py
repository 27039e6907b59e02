"""ONNX Runtime's CPU kernels of ONNX operators, each a graph of one node."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from onnx import ValueInfoProto, helper

from tests.conformance.adapters import Answer, NotOfferedError, above, best_first, ranks

DISTRIBUTIONS = ("onnxruntime", "onnx")
LOWEST = float(np.finfo(np.float32).min)


def _run(operator: str, **inputs: Any) -> Any:
    """Run one node; an input that is None is left out."""
    given = {name: np.asarray(array) for name, array in inputs.items() if array is not None}
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in given.items()
    ]
    names = [name if name in given else "" for name in inputs]
    result = ValueInfoProto(name="result")
    graph = helper.make_graph([helper.make_node(operator, names, ["result"])], "graph", values, [result])
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, given)[0]


def _selected(boxes: Any, scores: Any, iou_threshold: float, score_threshold: float | None) -> Any:
    """Return label and row of what is selected, of scores (L, N)."""
    return _run(
        "NonMaxSuppression",
        boxes=boxes[np.newaxis],
        scores=scores[np.newaxis],
        most=np.array([max(1, len(boxes))], np.int64),
        iou_threshold=np.array([iou_threshold], np.float32),
        score_threshold=None if score_threshold is None else np.array([score_threshold], np.float32),
    )[:, 1:].T


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Answer:
    return {"kept": _selected(boxes, scores[np.newaxis], iou_threshold, None)[1]}


def batched_nms(boxes: Any, scores: Any, labels: Any, iou_threshold: float) -> Answer:
    places = ranks(labels)
    table = np.full((int(places.max(initial=0)) + 1, len(boxes)), -np.inf, np.float32)
    table[places, np.arange(len(boxes))] = above(scores, LOWEST)
    return best_first(_selected(boxes, table, iou_threshold, LOWEST)[1], scores)


def multiclass_nms(
    boxes: Any, scores: Any, score_thresholds: Any, iou_threshold: float, max_predictions: int | None = None
) -> Answer:
    if len(set(score_thresholds)) != 1 or max_predictions is not None:
        raise NotOfferedError("one threshold for all labels, and a limit for each label alone")
    labels, rows = _selected(boxes, scores.T, iou_threshold, score_thresholds[0])
    order = np.lexsort((rows, labels, -scores[rows, labels]))  # the operator gives label by label
    return {"kept": rows[order], "labels": labels[order]}


def dequantise(quantised: Any, scale: Any, zero_point: Any, axis: int | None) -> Answer:
    if axis not in (None, 1):
        raise NotOfferedError("an axis of 1, by default")
    return {
        "values": _run("DequantizeLinear", x=quantised, scale=scale, zero=zero_point.astype(quantised.dtype))
    }
