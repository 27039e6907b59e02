"""Whether float32 may decide a case otherwise than float64."""

from __future__ import annotations

import itertools

import numpy as np

from tests import reference
from tests.random_cases.builder import Case

_ULPS = 16
_OF_INDEX = 2e-4
_OF_SIDE = 1e-5


def is_near(case: Case, output: int) -> bool:
    """Whether a score is near to a threshold or another, an index to its threshold, or a side to nothing."""
    options = {name: case.options.get(name) for name in ("input_size", "transforms", "batch_size")}
    decoded = reference.hypotheses(case.spec, case.version, case.tensors, **options)[output]
    post = case.version["post_processings"][output]
    detection = post.get("detection", {})
    thresholds = reference.thresholds_of(post, case.spec["outputs"][output])
    limits = {*(detection.get("nms_thresholds") or [detection.get("nms_threshold", 0.3)])}
    for found in decoded:
        finite = [one for one in found if np.isfinite(one.score)]
        if any(_within(one.score, thresholds[one.label]) for one in finite):
            return True
        passing = sorted(
            (one for one in finite if one.score > thresholds[one.label]), key=lambda one: one.score
        )
        for low, high in itertools.pairwise(passing):
            if _within(low.score, high.score) and low.logits != high.logits:
                return True
        if any(_within(a.score, b.score) for one in passing for a, b in _of_region(one, finite)):
            return True
        if not detection:  # a classification
            continue
        boxes = np.array([one.corners for one in passing], np.float64).reshape(-1, 4)
        boxes = boxes[np.isfinite(boxes).all(axis=1)]
        largest = max(1.0, np.abs(boxes).max(initial=0))
        for one in (boxes, np.clip(boxes, 0, 1), np.clip(boxes, 0, largest)):
            indices = _indices(one)
            if any(limit < 1 and (np.abs(indices - limit) < _OF_INDEX).any() for limit in limits):
                return True
    return False


def _of_region(one, finite):  # type: ignore[no-untyped-def]
    """Yield pairs of a hypothesis and others of its region, whose best label may be either's."""
    for other in finite:
        if other.region == one.region and other.label != one.label:
            yield one, other


def _within(a: np.float32, b: np.float32) -> bool:
    return bool(abs(float(a) - float(b)) <= _ULPS * np.spacing(np.float32(max(abs(a), abs(b)))))


def _indices(boxes: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
        high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=2)
        area = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
        return np.nan_to_num(shared / (area[:, None] + area[None] - shared), nan=2.0)
