"""Seeded inputs as networks make them: clusters of candidates around objects over a long tail of tiny scores.

Boxes of NMS and YOLO inputs lie on quarters of a pixel, as float16 networks give no finer, and no two
scores of an image are equal: every intersection and union is exact in float32 as in float64, so peers whose
arithmetic differs in the last bit must still agree to the box.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

PAGE = 640.0
LABELS = 80


class NmsInput(NamedTuple):
    """Boxes (N, 4) xyxy, scores (N,) and labels (N,) to suppress."""

    boxes: Floats
    scores: Floats
    labels: NDArray[np.int64]


class _Pattern(NamedTuple):
    candidates_per_object: int
    jitter: float  # of a candidate's corners, in sizes of the object
    smallest: float
    largest: float


# Shares kept at IoU 0.5: 5 % where a detector is sure of its objects, half where it is not.
PATTERNS = {
    "clustered": _Pattern(20, 0.055, 16.0, 160.0),
    "scattered": _Pattern(5, 0.19, 16.0, 160.0),
}
_CANDIDATES_PER_PAGE = 300


def nms_input(pattern: str, count: int, labels: int = 1) -> NmsInput:
    """Candidates of one image at a density that does not depend on `count`: the page grows with it."""
    rng = np.random.default_rng([count, labels])
    per_object, jitter, smallest, largest = PATTERNS[pattern]
    objects = max(1, count // per_object)
    page = PAGE * np.sqrt(count / _CANDIDATES_PER_PAGE)
    corners = _objects(rng, objects, page, smallest, largest)
    owner = np.arange(count) % objects
    sizes = corners[owner, 2:] - corners[owner, :2]
    moves = rng.normal(0, jitter, (count, 4))
    boxes = corners[owner] + moves * np.tile(sizes, 2)
    peaks = rng.beta(2, 2, objects)
    scores = peaks[owner] * np.exp(-2 * np.linalg.norm(moves, axis=1) / jitter) * rng.uniform(0.7, 1, count)
    names = frequent_labels(rng, objects, labels)[owner]
    mistaken = rng.random(count) < 0.01
    names[mistaken] = frequent_labels(rng, int(mistaken.sum()), labels)
    order = rng.permutation(count)
    boxes, scores, names = _on_quarters(boxes)[order], scores[order], names[order]
    return NmsInput(boxes, distinct(scores.astype(np.float32)), names)


def _objects(
    rng: np.random.Generator, count: int, page: float, smallest: float, largest: float
) -> NDArray[np.float64]:
    """Corners (count, 4) of objects all over a page, small ones more often."""
    sizes = np.exp(rng.uniform(np.log(smallest), np.log(largest), (count, 1)))
    shapes = np.exp(rng.normal(0, 0.3, (count, 1)))
    halves = np.concatenate([sizes * shapes, sizes / shapes], axis=1) / 2
    centres = rng.uniform(0, page, (count, 2))
    return np.concatenate([centres - halves, centres + halves], axis=1)


def _on_quarters(boxes: NDArray[np.float64]) -> Floats:
    """Corners on quarters of a pixel, none negative.

    Sizes are 3 k + 1 quarters. Then no Jaccard index is exactly one half, where lsnms drops a box and the
    others keep it: 3 * intersection = area + area has no solution if each area leaves 1 divided by 3.
    """
    corners = np.maximum(np.round(boxes * 4), 0)
    sizes = np.round((corners[:, 2:] - corners[:, :2] - 1) / 3) * 3 + 1
    corners[:, 2:] = corners[:, :2] + np.maximum(sizes, 4)
    return (corners / 4).astype(np.float32)


def frequent_labels(rng: np.random.Generator, count: int, labels: int) -> NDArray[np.int64]:
    """Labels as of real scenes: the k-th most frequent one k times less often than the first."""
    weights = 1 / np.arange(1, labels + 1)
    return rng.choice(labels, count, p=weights / weights.sum())


def distinct(scores: Floats) -> Floats:
    """Raise equal positive scores by a last bit each, so that none of them are equal."""
    order = np.argsort(scores, axis=None)
    steps = np.arange(scores.size)
    bits = scores.reshape(-1)[order].view(np.int32).astype(np.int64)
    bits = np.maximum.accumulate(bits - steps) + steps
    result = np.empty(scores.size, np.float32)
    result[order] = bits.astype(np.int32).view(np.float32)
    return result.reshape(scores.shape)


def grid_centres(strides: tuple[int, ...], page: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres (N, 2) of the cells of feature maps of a square page, and the stride (N,) of each."""
    centres, of_cells = [], []
    for stride in strides:
        ticks = (np.arange(-(-page // stride)) + 0.5) * stride
        x, y = np.meshgrid(ticks, ticks)
        centres.append(np.stack([x.ravel(), y.ravel()], axis=1))
        of_cells.append(np.full(x.size, float(stride)))
    return np.concatenate(centres), np.concatenate(of_cells)


def yolov8_tensor(batch: int, objects: int = 14) -> Floats:
    """Output (batch, 84, 8400) of a YOLOv8 for 640 x 640 images: cx, cy, w, h, and 80 probabilities.

    About ten candidates an object are sure (above 0.25, for one label each), some thousands of the 672,000
    scores of an image are above 0.001, and the rest is a tail down to 1e-9.
    """
    centres, strides = grid_centres((8, 16, 32), int(PAGE))
    result = np.empty((batch, 4 + LABELS, len(centres)), np.float32)
    for image in range(batch):
        rng = np.random.default_rng([8400, image])
        boxes, scores = _yolov8_image(rng, centres, strides, objects)
        result[image, :4] = boxes.T
        result[image, 4:] = distinct(scores)
    return result


def _yolov8_image(
    rng: np.random.Generator, centres: NDArray[np.float64], strides: NDArray[np.float64], objects: int
) -> tuple[Floats, Floats]:
    cells = len(centres)
    corners = _objects(rng, objects, PAGE, 16, 400)
    middles, sizes = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
    # How well a cell sees an object: near its middle, on the feature map that fits its size.
    misses = np.linalg.norm((centres[:, None] - middles) / sizes, axis=2) / 0.4
    scale = np.log2(np.sqrt(sizes.prod(axis=1)) / (4 * strides[:, None]))
    sight = np.exp(-(misses**2) - scale**2 / 2)
    best = sight.argmax(axis=1)
    sight = sight[np.arange(cells), best]

    drawn = np.exp(rng.uniform(np.log(0.5), np.log(8), (cells, 2))) * strides[:, None]
    seen = sight > 0.02
    blur = rng.normal(0, 0.05, (cells, 2)) * sizes[best]
    boxes = np.where(
        seen[:, None],
        np.concatenate([middles[best] + blur, sizes[best] * rng.lognormal(0, 0.06, (cells, 2))], axis=1),
        np.concatenate([centres + rng.normal(0, 0.5, (cells, 2)) * strides[:, None], drawn], axis=1),
    )
    boxes = np.concatenate([np.round(boxes[:, :2] * 4) / 4, np.maximum(np.round(boxes[:, 2:] * 2), 2) / 2], axis=1)

    logits = rng.normal(-11, 1.6, (LABELS, cells)) + rng.normal(0, 0.5, cells)
    scores = 1 / (1 + np.exp(-logits))
    labels = frequent_labels(rng, objects, LABELS)
    peaks = rng.uniform(0.35, 0.95, objects)
    rows = np.flatnonzero(seen)
    score = peaks[best[rows]] * sight[rows] * rng.uniform(0.85, 1, len(rows))
    scores[labels[best[rows]], rows] = score
    # The label that each object is mistaken for gets a part of its score, never enough for serving.
    mistaken = (labels + 1 + rng.integers(0, LABELS - 1, objects)) % LABELS
    scores[mistaken[best[rows]], rows] = np.minimum(score * rng.uniform(0, 0.5, len(rows)), 0.2)
    return boxes.astype(np.float32), scores.astype(np.float32)
