"""Boxes, scores and labels as NMS meets them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.data.scenes import (
    Doubles,
    Floats,
    Integers,
    distinct,
    frequent_labels,
    random_objects,
    sizes_of,
)


class Candidates(NamedTuple):
    """Boxes (N, 4) xyxy, scores (N,) and labels (N,)."""

    boxes: Floats
    scores: Floats
    labels: Integers


class _Pattern(NamedTuple):
    candidates_per_object: int
    jitter: float  # of a candidate's corners, in sizes of its object


# Kept at an IoU threshold of 0.5: 5 % of the clustered ones, a detector sure of its objects; half of the
# scattered ones, one that is not.
PATTERNS = {"clustered": _Pattern(20, 0.055), "scattered": _Pattern(5, 0.175)}
CANDIDATES_PER_PAGE = 300
PAGE = 640.0


def nms_candidates(pattern: str, count: int, labels: int = 1, image: int = 0) -> Candidates:
    """Candidates of an image, at a density that does not depend on `count`: the page grows with it."""
    rng = np.random.default_rng([count, labels, image])
    per_object, jitter = PATTERNS[pattern]
    objects = max(1, count // per_object)
    corners = random_objects(rng, objects, PAGE * np.sqrt(count / CANDIDATES_PER_PAGE), 16, 160)
    owner = np.arange(count) % objects
    moves = rng.normal(0, jitter, (count, 4))
    boxes = corners[owner] + moves * np.tile(sizes_of(corners)[owner], 2)
    misses = np.linalg.norm(moves, axis=1) / jitter
    scores = rng.beta(2, 2, objects)[owner] * np.exp(-2 * misses) * rng.uniform(0.7, 1, count)
    names = frequent_labels(rng, objects, labels)[owner]
    mistaken = rng.random(count) < 0.01
    names[mistaken] = frequent_labels(rng, int(mistaken.sum()), labels)
    order = rng.permutation(count)
    return Candidates(_on_quarters(boxes[order]), distinct(scores[order].astype(np.float32)), names[order])


def _on_quarters(boxes: Doubles) -> Floats:
    """Corners on quarters of a pixel, none negative.

    Sizes are 3 k + 1 quarters. Then no Jaccard index is exactly one half, where lsnms drops a box and the
    others keep it: 3 * intersection = area + area has no solution if each area leaves 1 divided by 3.
    """
    corners = np.maximum(np.round(boxes * 4), 0)
    sizes = np.round((sizes_of(corners) - 1) / 3) * 3 + 1
    corners[:, 2:] = corners[:, :2] + np.maximum(sizes, 4)
    return (corners / 4).astype(np.float32)
