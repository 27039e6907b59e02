"""Outputs that hold decoded boxes or finished rows, and outputs of classifiers."""

from __future__ import annotations

import numpy as np

from benchmarks.data.candidates import Candidates, nms_candidates
from benchmarks.data.scenes import Floats, distinct, frequent_labels, random_objects
from benchmarks.data.yolo import LABELS, PAGE

_ROWS = 300


def direct_boxes(count: int, labels: int = 80, image: int = 0) -> Candidates:
    """Normalized boxes of one image, as an exported graph writes its best candidates: by falling score."""
    candidates = nms_candidates("clustered", count, labels, image)
    order = np.argsort(-candidates.scores)
    boxes = candidates.boxes[order] / candidates.boxes.max()
    return Candidates(boxes, candidates.scores[order], candidates.labels[order])


def finished_rows(above: int, image: int = 0) -> Floats:
    """Rows (1, 300, 6) by falling score: corners in pixels of 640 x 640, score and class.

    `above` of them score more than 0.25, the others less, as of a network that needs no suppression.
    """
    rng = np.random.default_rng([above, image])
    boxes = np.clip(random_objects(rng, _ROWS, PAGE, 16, 160), 0, PAGE)
    scores = np.concatenate([rng.uniform(0.3, 0.95, above), rng.uniform(0.001, 0.2, _ROWS - above)])
    labels = frequent_labels(rng, _ROWS, LABELS)
    return np.column_stack([boxes, -np.sort(-scores), labels])[None].astype(np.float32)


def softmax_scores(batch: int, labels: int, number: int = 0) -> Floats:
    """Probabilities (batch, labels) of a classifier: a few likely labels, and a tail."""
    rng = np.random.default_rng([batch, labels, number])
    logits = rng.normal(0, 2, (batch, labels))
    for image in range(batch):
        likely = rng.choice(labels, 5, replace=False)
        logits[image, likely] += np.log(labels) + rng.uniform(1, 4, 5)
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    return distinct((scores / scores.sum(axis=1, keepdims=True)).astype(np.float32))
