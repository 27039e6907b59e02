"""Detections of a made-up network on a data set like COCO's validation images, and what is on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from postproc.evaluation.groups import FoundInstances, TrueInstances
from postproc.evaluation.similarity import Floats

LABELS = 80
WIDTH, HEIGHT = 640, 480
_A_LABEL = 3  # labels an image has objects of


@dataclass(frozen=True, eq=False)
class EvaluationCase:
    """Boxes are x, y, width, height in pixels."""

    images: int
    found: FoundInstances
    boxes: Floats
    truth: TrueInstances
    truth_boxes: Floats


def coco_like(images: int, detections: int, number: int = 0) -> EvaluationCase:
    """Make objects of few labels an image, some labels often, and detections, of which most are near one."""
    rng = np.random.default_rng(number)
    shares = 1 / np.arange(1, LABELS + 1)
    shares /= shares.sum()
    owners = np.repeat(np.arange(images), rng.poisson(7.3, images))
    objects = len(owners)
    labels = rng.choice(LABELS, (images, _A_LABEL), p=shares)[owners, rng.integers(0, _A_LABEL, objects)]
    truths = _boxes(rng, objects)
    crowd = rng.random(objects) < 0.01
    source = rng.integers(0, objects, detections)
    is_near = rng.random(detections) < 0.6
    boxes = truths[source] + rng.normal(0, 0.08, (detections, 4)) * np.tile(truths[source, 2:], 2)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 1)
    boxes = np.where(is_near[:, None], boxes, _boxes(rng, detections))
    found_labels = np.where(is_near, labels[source], rng.choice(LABELS, detections, p=shares))
    scores = np.where(is_near, rng.beta(2, 2, detections), rng.beta(1, 6, detections)).astype(np.float32)
    order = np.lexsort([-scores, owners[source]])  # as networks give them
    boxes = boxes[order]
    areas = truths[:, 2] * truths[:, 3]
    return EvaluationCase(
        images,
        FoundInstances(owners[source][order], found_labels[order], scores[order], boxes[:, 2] * boxes[:, 3]),
        boxes,
        TrueInstances(owners, labels, areas * rng.uniform(0.5, 1, objects), crowd, crowd),
        truths,
    )


def _boxes(rng: np.random.Generator, count: int) -> Floats:
    sides = np.exp(rng.normal(4, 1, (count, 2))).clip(4, 400)
    return np.hstack([rng.random((count, 2)) * ((WIDTH, HEIGHT) - sides), sides]).round(2)
