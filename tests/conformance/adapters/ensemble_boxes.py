"""ensemble-boxes, of one model: coordinates are in [0, 1], so pixels are divided by a power of two."""

from __future__ import annotations

from typing import Any

import ensemble_boxes
import numpy as np

from tests.conformance.adapters import Answer, NotOfferedError, ranks

DISTRIBUTIONS = ("ensemble-boxes", "numba")


def _call(name: str, boxes: Any, scores: Any, labels: Any, **more: Any) -> tuple[Any, Any, Any]:
    """Return boxes in the input's unit, scores and labels of what is left, best first over all labels."""
    if (boxes < 0).any() or not np.isfinite(boxes).all():
        raise NotOfferedError("coordinates are in [0, 1]")
    highest = boxes.max(initial=1)
    unit = np.float32(2.0 ** np.ceil(np.log2(highest)))
    lists = [boxes / unit], [scores.copy()], [ranks(labels)]
    found, decayed, classes = getattr(ensemble_boxes, name)(*lists, **more)
    order = np.argsort(-decayed, kind="stable")
    return found[order] * unit, decayed[order], classes[order]


def _rows(found: Any, boxes: Any, labels: Any, classes: Any, scores: Any = None, values: Any = None) -> Any:
    """Find the rows that were returned, by their content; of equal ones the first that is left."""
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    given = np.column_stack([low, high, ranks(labels), *([] if scores is None else [scores])])
    wanted = np.column_stack([found, classes, *([] if values is None else [values])])
    left, rows = list(range(len(boxes))), []
    for line in wanted:
        rows.append(next(row for row in left if np.array_equal(given[row], line, equal_nan=True)))
        left.remove(rows[-1])
    return np.array(rows, int)


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Answer:
    return batched_nms(boxes, scores, np.zeros(len(boxes), int), iou_threshold)


def batched_nms(boxes: Any, scores: Any, labels: Any, iou_threshold: float) -> Answer:
    found, values, classes = _call("nms", boxes, scores, labels, iou_thr=iou_threshold)
    return {"kept": _rows(found, boxes, labels, classes, scores, values)}


def soft_nms(boxes: Any, scores: Any, labels: Any, sigma: float, score_threshold: float) -> Answer:
    more = {"method": 2, "sigma": sigma, "thresh": score_threshold}
    found, values, classes = _call("soft_nms", boxes, scores, labels, **more)
    return {"kept": _rows(found, boxes, labels, classes), "scores": values}
