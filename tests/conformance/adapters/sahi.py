"""SAHI's combination of predictions, with the backend that it takes by itself: numba, on a CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from sahi.postprocess import combine

from tests.conformance.adapters import Answer

DISTRIBUTIONS = ("sahi", "numba")


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Answer:
    return {"kept": np.array(combine.nms(_table(boxes, scores, scores * 0), "IOU", iou_threshold), int)}


def batched_nms(boxes: Any, scores: Any, labels: Any, iou_threshold: float) -> Answer:
    return {"kept": np.array(combine.batched_nms(_table(boxes, scores, labels), "IOU", iou_threshold), int)}


def _table(*columns: Any) -> Any:
    return np.column_stack(columns).astype(np.float32)  # as object_prediction_list_to_numpy does
