"""The post-processing of heads that give distances as logits of bins, up to 300 detections an image."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.contest import OURS, Columns, Peer, by_content
from benchmarks.data.distances import BINS, STRIDES, Maps
from benchmarks.data.scenes import Floats, grid_centres
from benchmarks.data.yolo import LABELS, PAGE
from benchmarks.peers.yolo import IOU_THRESHOLD, MOST, our_columns
from postproc import DistanceOutput, PostProcessor, StandardOutput

SCAN = "scan"
_THRESHOLD = 0.25

Run = Callable[[], Any]


class DistanceCase(NamedTuple):
    """Maps (1, 80, H, W) of logits and (1, 64, H, W) of bins, one a level."""

    scores: Maps
    distances: Maps


def _made(output: Any) -> PostProcessor:
    return PostProcessor.for_detection(
        [f"label {row}" for row in range(LABELS)],
        output,
        thresholds=_THRESHOLD,
        nms_threshold=IOU_THRESHOLD,
        input_size=[PAGE, PAGE],
    )


@cache
def our_distances() -> PostProcessor:
    """Make the post-processor of the head."""
    levels = range(len(STRIDES))
    return _made(
        DistanceOutput(
            scores_tensors=tuple(f"scores {level}" for level in levels),
            distances_tensors=tuple(f"distances {level}" for level in levels),
            strides=STRIDES,
            bins=BINS,
            score_activation="sigmoid",
        )
    )


def ours(case: DistanceCase) -> Run:
    tensors = {
        f"{name} {level}": tensor
        for name, maps in zip(case._fields, case, strict=True)
        for level, tensor in enumerate(maps)
    }
    return partial(our_distances(), tensors, max_predictions=MOST)


@cache
def _our_scan() -> PostProcessor:
    return _made(StandardOutput(boxes_tensor="boxes", scores_tensor="scores", score_activation="sigmoid"))


def scan(case: DistanceCase) -> Run:
    """Look at the scores alone, in one tensor, of which none passes."""
    planes = np.concatenate([scores.reshape(LABELS, -1) for scores in case.scores], axis=1)
    tensors = {"scores": np.minimum(planes, -2)[np.newaxis], "boxes": np.zeros((1, planes.shape[1], 4), "f4")}
    return partial(_our_scan(), tensors, max_predictions=MOST)


def numpy_all(case: DistanceCase) -> Run:
    """Decode every cell, then filter and suppress, as the scripts of accelerators' model zoos do."""

    def run() -> Any:
        scores, distances = _planes(case)
        scores = 1 / (1 + np.exp(-scores))
        powers = np.exp(distances - distances.max(axis=1, keepdims=True))
        powers /= powers.sum(axis=1, keepdims=True)
        boxes = _boxes((powers * _steps()).sum(axis=1), *_grid())
        labels, best = scores.argmax(axis=0), scores.max(axis=0)
        rows = np.flatnonzero(best > _THRESHOLD)
        return _suppressed(boxes[rows], best[rows], labels[rows])

    return run


def numpy_survivors(case: DistanceCase) -> Run:
    """Filter by logits first, and decode what is left: the same as NumPy does it best."""

    def run() -> Any:
        scores, distances = _planes(case)
        best = scores.max(axis=0)
        rows = np.flatnonzero(best > np.log(_THRESHOLD / (1 - _THRESHOLD)))
        labels = scores[:, rows].argmax(axis=0)
        logits = distances[:, :, rows]
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        powers /= powers.sum(axis=1, keepdims=True)
        centres, strides = _grid()
        boxes = _boxes((powers * _steps()).sum(axis=1), centres[rows], strides[rows])
        return _suppressed(boxes, 1 / (1 + np.exp(-best[rows])), labels)

    return run


def _planes(case: DistanceCase) -> tuple[Floats, Floats]:
    scores, distances = (np.concatenate([one.reshape(one.shape[1], -1) for one in maps], 1) for maps in case)
    return scores, distances.reshape(4, BINS, -1)


@cache
def _grid() -> tuple[Floats, Floats]:
    centres, strides = grid_centres(STRIDES, PAGE)
    return centres.astype(np.float32), strides.astype(np.float32)


@cache
def _steps() -> Floats:
    return np.arange(BINS, dtype=np.float32)[:, np.newaxis]


def _boxes(distances: Floats, centres: Floats, strides: Floats) -> Floats:
    sides = distances.T * strides[:, np.newaxis]
    return np.concatenate([centres - sides[:, :2], centres + sides[:, 2:]], axis=1)


def _suppressed(boxes: Floats, scores: Floats, labels: Any) -> Any:
    """Suppress label by label, in the NumPy that most repositories have."""
    kept = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        order = rows[np.argsort(-scores[rows], kind="stable")]
        while order.size:
            first, order = order[0], order[1:]
            kept.append(first)
            low = np.maximum(boxes[first, :2], boxes[order, :2])
            high = np.minimum(boxes[first, 2:], boxes[order, 2:])
            shared = np.clip(high - low, 0, None).prod(axis=1)
            area = (boxes[first, 2:] - boxes[first, :2]).prod()
            areas = (boxes[order, 2:] - boxes[order, :2]).prod(axis=1)
            order = order[shared / (area + areas - shared) <= IOU_THRESHOLD]
    rows = np.array(kept, np.int64)
    rows = rows[np.argsort(-scores[rows], kind="stable")][:MOST]
    return labels[rows], scores[rows], np.clip(boxes[rows] / np.float32(PAGE), 0, 1)


def _columns(case: DistanceCase, result: Any) -> Columns:
    labels, scores, boxes = result
    return by_content(np.zeros(len(labels), np.int64), labels, scores, boxes)


DISTANCES = {
    OURS: Peer(ours, our_columns),
    "NumPy": Peer(numpy_all, _columns),
    "NumPy, tuned": Peer(numpy_survivors, _columns),
    SCAN: Peer(scan),
}
