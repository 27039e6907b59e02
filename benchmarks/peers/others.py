"""The whole post-processing of decoded boxes and of classifiers, up to 100 results an image."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.contest import OURS, Columns, Peer, by_content
from benchmarks.data.candidates import Candidates
from benchmarks.data.scenes import Floats
from benchmarks.peers.floors import FLOORS
from benchmarks.peers.yolo import our_columns
from postproc import Classification, DirectOutput, PostProcessor

IOU_THRESHOLD = 0.5
MOST = 100

Run = Callable[[], Any]


class DirectCase(NamedTuple):
    """Normalized boxes with scores and labels, and the threshold of all labels."""

    candidates: Candidates
    labels: int
    threshold: float


class ClassificationCase(NamedTuple):
    """Probabilities (B, L), and the threshold of all labels."""

    tensor: Floats
    threshold: float


@cache
def _our_direct(labels: int, threshold: float) -> PostProcessor:
    return PostProcessor.for_detection(
        [f"label {row}" for row in range(labels)],
        DirectOutput(boxes_tensor="boxes", scores_tensor="scores", classes_tensor="classes", classes="rows"),
        thresholds=threshold,
        nms_threshold=IOU_THRESHOLD,
    )


def our_direct(case: DirectCase) -> Run:
    post = _our_direct(case.labels, case.threshold)
    boxes, scores, labels = case.candidates
    return partial(post, {"boxes": boxes[None], "scores": scores[None], "classes": labels[None]})


def direct_numpy_opencv(case: DirectCase) -> Run:
    import cv2

    def run() -> tuple[Any, Any, Any]:
        boxes, scores, labels = case.candidates
        rows = np.flatnonzero(scores > case.threshold)
        boxes, scores, labels = boxes[rows], scores[rows], labels[rows]
        corners_and_sizes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        kept = cv2.dnn.NMSBoxesBatched(
            corners_and_sizes.tolist(), scores.tolist(), labels.tolist(), case.threshold, IOU_THRESHOLD
        )
        kept = np.asarray(kept, np.int64)[:MOST]
        return labels[kept], scores[kept], np.clip(boxes[kept], 0, 1)

    return run


def _direct_columns(case: DirectCase, result: Any) -> Columns:
    labels, scores, boxes = result
    return by_content(np.zeros(len(labels), np.int64), labels, scores, boxes)


@cache
def _our_classification(labels: int, threshold: float) -> PostProcessor:
    return PostProcessor.for_classification(
        [f"label {row}" for row in range(labels)],
        Classification(output_tensor="scores"),
        thresholds=threshold,
    )


def our_classification(case: ClassificationCase) -> Run:
    post = _our_classification(case.tensor.shape[1], case.threshold)
    return partial(post, {"scores": case.tensor})


def _our_classification_columns(case: ClassificationCase, result: Any) -> Columns:
    (found,) = result.outputs
    return by_content(np.repeat(np.arange(len(found)), np.diff(found.offsets)), found.labels, found.scores)


def classification_numpy(case: ClassificationCase) -> Run:
    def run() -> tuple[Any, Any, Any]:
        images, labels = np.nonzero(case.tensor > np.float32(case.threshold))
        scores = case.tensor[images, labels]
        order = np.lexsort((labels, -scores, images))
        images = images[order]
        # Places within their images, of which the first hundred are wanted.
        places = np.arange(len(images)) - np.searchsorted(images, images)
        order, images = order[places < MOST], images[places < MOST]
        return images, labels[order], scores[order]

    return run


def _classification_columns(case: ClassificationCase, result: Any) -> Columns:
    return by_content(*result)


DIRECT = {
    OURS: Peer(our_direct, our_columns),
    "NumPy + OpenCV": Peer(direct_numpy_opencv, _direct_columns, needs=("cv2",)),
}
CLASSIFICATION = {
    OURS: Peer(our_classification, _our_classification_columns),
    "NumPy": Peer(classification_numpy, _classification_columns),
    **FLOORS,
}
