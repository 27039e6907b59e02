"""Candidates of a network of oriented boxes, of which no two are as near as the limit of suppression."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.data.candidates import CANDIDATES_PER_PAGE, PAGE
from benchmarks.data.scenes import Doubles, Floats, distinct, random_objects, sizes_of

IOU_THRESHOLD = 0.5
THRESHOLD = 0.25
# Wider than what sines and logarithms of another library make of an index.
_TIE = 1e-5
_SPARE = 16


class OrientedCandidates(NamedTuple):
    """A tensor (1, 6, N) of a square page: cx, cy, w, h, a score above the threshold, and an angle."""

    tensor: Floats
    page: int


class _Pattern(NamedTuple):
    candidates_per_object: int
    jitter: float  # of a candidate's centre and sides, in sizes of its object, and of its angle


# Kept: 5 % of the clustered ones, half of the scattered ones.
_PATTERNS = {"clustered": _Pattern(20, 0.05), "scattered": _Pattern(5, 0.3)}


def oriented_candidates(pattern: str, count: int, image: int = 0) -> OrientedCandidates:
    """Candidates of an image, at a density that does not depend on `count`: the page grows with it."""
    rng = np.random.default_rng([count, image])
    per_object, jitter = _PATTERNS[pattern]
    objects = max(1, count // per_object)
    page = int(PAGE * np.sqrt(count / CANDIDATES_PER_PAGE))
    corners = random_objects(rng, objects, page, 16, 160)
    owner = np.arange(count + _SPARE) % objects
    sizes = sizes_of(corners)[owner]
    moves = rng.normal(0, jitter, (len(owner), 5))
    centres = (corners[owner, :2] + sizes / 2) + moves[:, :2] * sizes
    sides = sizes * np.exp(moves[:, 2:4])
    angles = rng.uniform(-np.pi / 4, 3 * np.pi / 4, objects)[owner] + moves[:, 4]
    misses = np.linalg.norm(moves, axis=1) / jitter
    scores = rng.beta(2, 2, objects)[owner] * np.exp(-misses / 2) * rng.uniform(0.7, 1, len(owner))
    # All centres on the page: what lies beside it altogether is no detection of ours.
    columns = [np.clip(centres, 1, page - 1), sides, angles[:, None]]
    boxes = _without_ties(np.concatenate(columns, axis=1)[rng.permutation(len(owner))])[:count]
    assert len(boxes) == count
    above = distinct((THRESHOLD + 0.01 + 0.7 * scores[:count]).astype(np.float32))
    table = np.concatenate([boxes[:, :4], above[:, None], boxes[:, 4:]], axis=1)
    return OrientedCandidates(np.ascontiguousarray(table.T[None], np.float32), page)


def _without_ties(boxes: Doubles) -> Doubles:
    """Leave out one of any two whose index (Murrugarra-Llerena et al. 2021) is at the threshold."""
    radii = np.hypot(boxes[:, 2], boxes[:, 3])
    x, y = boxes[:, 0], boxes[:, 1]
    near = np.hypot(x[:, None] - x, y[:, None] - y) < radii[:, None] + radii
    one, other = np.nonzero(np.triu(near, 1))
    cos, sin = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
    along, across = boxes[:, 2] ** 2 / 12, boxes[:, 3] ** 2 / 12
    a, b = along * cos**2 + across * sin**2, along * sin**2 + across * cos**2
    c = (along - across) * cos * sin
    sums = a[one] + a[other], b[one] + b[other], c[one] + c[other]
    dx, dy = x[other] - x[one], y[one] - y[other]
    determinant = sums[0] * sums[1] - sums[2] ** 2
    squared = (sums[0] * dy**2 + sums[1] * dx**2 + 2 * sums[2] * dx * dy) / (4 * determinant)
    distance = (
        squared + np.log(determinant / (4 * np.sqrt((along * across)[one] * (along * across)[other]))) / 2
    )
    index = 1 - np.sqrt(1 - np.exp(-np.maximum(distance, 0)))
    return np.delete(boxes, other[np.abs(index - IOU_THRESHOLD) < _TIE], axis=0)
