"""Outputs of YOLO networks: the single tensor of YOLOv8, and the grid of YOLOv2."""

from __future__ import annotations

import numpy as np

from benchmarks.data.scenes import (
    Doubles,
    Floats,
    distinct,
    frequent_labels,
    grid_centres,
    middles_of,
    random_objects,
    sizes_of,
)

PAGE = 640
LABELS = 80
_OBJECTS = 14


def yolov8_tensor(batch: int, first: int = 0, tail: float = -11.0) -> Floats:
    """Output (batch, 84, 8400) of a YOLOv8 for 640 x 640 images: cx, cy, w, h, and 80 probabilities.

    Images are numbered from `first` on; `tail` is the mean of the logits of what is not there.

    About ten candidates an object are sure (above 0.25, for one label each). Of the 672,000 scores of an
    image 1,500 are above 0.01, 7,000 above 0.001, 100,000 above 0.0001, and the rest is a tail down to 1e-9.
    Three hundred boxes that do not suppress each other are found among the best 2,000 candidates.
    """
    centres, strides = grid_centres((8, 16, 32), PAGE)
    result = np.empty((batch, 4 + LABELS, len(centres)), np.float32)
    for image in range(batch):
        rng = np.random.default_rng([8400, first + image])
        boxes, scores = _yolov8_image(rng, centres, strides, tail)
        result[image, :4] = boxes.T
        result[image, 4:] = distinct(scores)
    return result


def _yolov8_image(
    rng: np.random.Generator, centres: Doubles, strides: Doubles, tail: float
) -> tuple[Floats, Floats]:
    cells = len(centres)
    corners = random_objects(rng, _OBJECTS, PAGE, 16, 400)
    middles, sizes = middles_of(corners), sizes_of(corners)
    # How well a cell sees an object: near its middle, on the feature map that fits its size; then ever worse.
    misses = np.linalg.norm((centres[:, None] - middles) / sizes, axis=2) / 0.4
    misfit = np.log2(np.sqrt(sizes.prod(axis=1)) / (4 * strides[:, None]))
    sight = np.exp(-((misses**2 + misfit**2 / 2) ** 1.5))
    owner = sight.argmax(axis=1)
    sight = sight.max(axis=1)
    seen = sight > 0.02

    own = np.concatenate(
        [
            middles[owner] + rng.normal(0, 0.05, (cells, 2)) * sizes[owner],
            sizes[owner] * rng.lognormal(0, 0.06, (cells, 2)),
        ],
        axis=1,
    )
    spread = strides[:, None]
    stray = np.concatenate(
        [
            centres + rng.normal(0, 0.5, (cells, 2)) * spread,
            np.exp(rng.uniform(np.log(0.5), np.log(8), (cells, 2))) * spread,
        ],
        axis=1,
    )
    boxes = np.where(seen[:, None], own, stray)
    # Centres on quarters and sizes on halves of a pixel: corners on quarters.
    boxes = np.round(boxes * (4, 4, 2, 2)) / (4, 4, 2, 2)
    boxes[:, :2] = np.clip(boxes[:, :2], 2, PAGE - 2)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 1)

    scores = 1 / (1 + np.exp(-rng.normal(tail, 1.6, (LABELS, cells)) - rng.normal(0, 0.5, cells)))
    labels = frequent_labels(rng, _OBJECTS, LABELS)
    cells_seen = np.flatnonzero(seen)
    owner = owner[cells_seen]
    sure = rng.uniform(0.35, 0.95, _OBJECTS)[owner] * sight[cells_seen] * rng.uniform(0.85, 1, len(owner))
    scores[labels[owner], cells_seen] = sure
    # The label that an object is mistaken for gets a part of its score, never enough for serving.
    mistaken = (labels + rng.integers(1, LABELS, _OBJECTS)) % LABELS
    scores[mistaken[owner], cells_seen] = np.minimum(sure * rng.uniform(0, 0.5, len(owner)), 0.2)
    return boxes.astype(np.float32), scores.astype(np.float32)


def yolov2_grid(side: int, anchors: int, labels: int, image: int = 0) -> Floats:
    """Grid (1, side, side, anchors * (5 + labels)) of logits, one object for about twenty cells."""
    rng = np.random.default_rng([side, anchors, labels, image])
    grid = rng.normal(0, 1, (side, side, anchors, 5 + labels))
    grid[..., 2:4] *= 0.3
    grid[..., 4] = rng.normal(-6, 1.5, (side, side, anchors))
    for label in frequent_labels(rng, side * side // 20, labels):
        row, column = rng.integers(0, side - 1, 2)
        # The cells around an object's middle see it too, with two of the anchors.
        near = grid[row : row + 2, column : column + 2, rng.permutation(anchors)[:2]]
        near[..., 4] = rng.normal(1.5, 1, near.shape[:-1])
        near[..., 5 + label] += 6
        grid[row : row + 2, column : column + 2, rng.permutation(anchors)[:2]] = near
    return grid.reshape(1, side, side, -1).astype(np.float32)
