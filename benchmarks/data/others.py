"""Outputs that hold decoded boxes, and outputs of classifiers."""

from __future__ import annotations

import numpy as np

from benchmarks.data.candidates import Candidates, nms_candidates
from benchmarks.data.scenes import Floats, distinct


def direct_boxes(count: int, labels: int = 80, image: int = 0) -> Candidates:
    """Normalized boxes of one image, as an exported graph writes its best candidates: by falling score."""
    candidates = nms_candidates("clustered", count, labels, image)
    order = np.argsort(-candidates.scores)
    boxes = candidates.boxes[order] / candidates.boxes.max()
    return Candidates(boxes, candidates.scores[order], candidates.labels[order])


def softmax_scores(batch: int, labels: int, number: int = 0) -> Floats:
    """Probabilities (batch, labels) of a classifier: a few likely labels, and a tail."""
    rng = np.random.default_rng([batch, labels, number])
    logits = rng.normal(0, 2, (batch, labels))
    for image in range(batch):
        likely = rng.choice(labels, 5, replace=False)
        logits[image, likely] += np.log(labels) + rng.uniform(1, 4, 5)
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    return distinct((scores / scores.sum(axis=1, keepdims=True)).astype(np.float32))
