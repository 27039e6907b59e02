"""lsnms with its default backend, Rust. Scores are above 0, and labels 0 or more."""

from __future__ import annotations

from functools import partial
from typing import Any

import lsnms

from tests.conformance.adapters import Answer, above, ranks

DISTRIBUTIONS = ("lsnms",)


def _kept(boxes: Any, scores: Any, labels: Any, iou_threshold: float, backend: str) -> Answer:
    kept = lsnms.nms(boxes, above(scores, 0), iou_threshold, class_ids=labels, backend=backend)
    return {"kept": kept.astype(int)}


def nms(boxes: Any, scores: Any, iou_threshold: float, backend: str = "rust") -> Answer:
    return _kept(boxes, scores, None, iou_threshold, backend)


def batched_nms(boxes: Any, scores: Any, labels: Any, iou_threshold: float, backend: str = "rust") -> Answer:
    return _kept(boxes, scores, ranks(labels), iou_threshold, backend)


numba_nms, numba_batched_nms = partial(nms, backend="numba"), partial(batched_nms, backend="numba")
