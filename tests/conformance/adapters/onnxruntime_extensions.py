"""ONNX Runtime Extensions' steps after a network, of which boxes are cx, cy, width, height."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from onnx import helper
from onnxruntime_extensions.tools.pre_post_processing import (
    LetterBox,
    PrePostProcessor,
    Resize,
    ScaleNMSBoundingBoxesAndKeyPoints,
    SelectBestBoundingBoxesByNMS,
)

from tests.conformance.adapters import Answer, NotOfferedError, above, best_first, ranks

DISTRIBUTIONS = ("onnxruntime-extensions", "onnxruntime", "onnx")
LOWEST = float(np.finfo(np.float32).min)


def _run(steps: list[Any], **inputs: Any) -> Any:
    """Run steps after a network that gives what it is given."""
    types = [helper.np_dtype_to_tensor_dtype(array.dtype) for array in inputs.values()]
    given, found = (
        [
            helper.make_tensor_value_info(name + end, kind, array.shape)
            for kind, (name, array) in zip(types, inputs.items(), strict=True)
        ]
        for end in ("", "_out")
    )
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in inputs]
    opsets = [helper.make_opsetid("", 18)]
    network = helper.make_model(helper.make_graph(nodes, "network", given, found), opset_imports=opsets)
    processor = PrePostProcessor(onnx_opset=18)
    processor.add_post_processing(steps)
    model = processor.run(network).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def _to_centres(boxes: Any) -> Any:
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


def _selected(boxes: Any, scores: Any, iou_threshold: float, score_threshold: float) -> Any:
    """Return rows and labels of what is selected of scores (N, L); rows go along as a mask's data."""
    step = SelectBestBoundingBoxesByNMS(iou_threshold, score_threshold, len(boxes), has_mask_data=True)
    numbers = np.arange(len(boxes), dtype=np.float32)[:, np.newaxis]
    found = _run([step], boxes=_to_centres(boxes), scores=scores, numbers=numbers)
    return found[:, 6].astype(np.int64), found[:, 5].astype(np.int64)


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Answer:
    return {"kept": _selected(boxes, above(scores, LOWEST)[:, np.newaxis], iou_threshold, LOWEST)[0]}


def batched_nms(boxes: Any, scores: Any, labels: Any, iou_threshold: float) -> Answer:
    places = ranks(labels)
    table = np.full((len(boxes), int(places.max(initial=0)) + 1), -np.inf, np.float32)
    table[np.arange(len(boxes)), places] = above(scores, LOWEST)
    return best_first(_selected(boxes, table, iou_threshold, LOWEST)[0], scores)


def multiclass_nms(
    boxes: Any, scores: Any, score_thresholds: Any, iou_threshold: float, max_predictions: int | None = None
) -> Answer:
    if len(set(score_thresholds)) != 1 or max_predictions is not None:
        raise NotOfferedError("one threshold for all labels")
    rows, labels = _selected(boxes, scores, iou_threshold, score_thresholds[0])
    order = np.lexsort((rows, labels, -scores[rows, labels]))
    return {"kept": rows[order], "labels": labels[order]}


def _placed(input_size: Any, image_size: Any) -> Any:
    image = np.full((*image_size, 3), 255, np.uint8)
    size = tuple(input_size)
    return image, _run([Resize(size, policy="not_larger"), LetterBox(size, fill_value=0)], image=image)


def letterbox(method: str, input_size: Any, image_size: Any, align: str = "center") -> Answer:
    if method != "letterbox" or align != "center":
        raise NotOfferedError(f"{method}, {align}")
    rows, columns = np.nonzero(_placed(input_size, image_size)[1][:, :, 0] > 127)
    low, high = (rows.min(), columns.min()), (rows.max(), columns.max())
    return {"resized_size": [b - a + 1 for a, b in zip(low, high, strict=True)], "offset": low[::-1]}


def unletterbox(boxes: Any, method: str, input_size: Any, image_size: Any, align: str = "center") -> Answer:
    image, boxed = _placed(input_size, image_size)
    resized = np.empty((*letterbox(method, input_size, image_size, align)["resized_size"], 3), np.uint8)
    table = np.concatenate([_to_centres(boxes), np.zeros((len(boxes), 2), np.float32)], axis=1)
    step = ScaleNMSBoundingBoxesAndKeyPoints()
    found = _run([step], table=table, original=image, resized=resized, boxed=boxed)
    centres, halves = found[:, :2], found[:, 2:4] / 2
    return {"boxes": np.concatenate([centres - halves, centres + halves], axis=1)}
