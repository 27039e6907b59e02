"""SAHI's combination of predictions, with the backend that it takes by itself: numba, on a CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from sahi.postprocess import combine

from tests.conformance.adapters import Answer

DISTRIBUTIONS = ("sahi", "numba")


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Answer:
    table = np.column_stack([boxes, scores, np.zeros(len(boxes))])
    return {"kept": np.array(combine.nms(table, "IOU", iou_threshold), int)}


def batched_nms(boxes: Any, scores: Any, labels: Any, iou_threshold: float) -> Answer:
    table = np.column_stack([boxes, scores, labels])
    return {"kept": np.array(combine.batched_nms(table, "IOU", iou_threshold), int)}
