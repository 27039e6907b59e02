"""Outputs of heads that give distances as logits of bins, as of YOLOv8 cut before decoding."""

from __future__ import annotations

import numpy as np

from benchmarks.data.scenes import Doubles, Floats, grid_centres
from benchmarks.data.yolo import PAGE, yolov8_tensor

STRIDES = (8, 16, 32)
BINS = 16
Maps = tuple[Floats, ...]


def distance_maps(image: int, *, is_empty: bool = False) -> tuple[Maps, Maps]:
    """Logits (1, 80, H, W) of scores and (1, 64, H, W) of bins of each level.

    They are of the image that `yolov8_tensor` makes: about ten candidates an object are above 0.25, none if
    it is empty.
    """
    table = yolov8_tensor(1, image)[0]
    scores = table[4:].astype(np.float64)
    if is_empty:
        scores = np.minimum(scores, 0.2)
    logits = np.log(scores / (1 - scores)).astype(np.float32)
    centres, strides = grid_centres(STRIDES, PAGE)
    middles, halves = table[:2].T, table[2:4].T / 2
    sides = np.concatenate([centres - middles + halves, middles + halves - centres], axis=1)
    bins = _bins(np.random.default_rng([64, image]), sides / strides[:, np.newaxis])
    return _maps(logits), _maps(bins)


def _bins(rng: np.random.Generator, distances: Doubles) -> Floats:
    """Logits (64, N) of a peak between two bins, over noise."""
    distances = np.clip(distances.T, 0.01, BINS - 1.01)[:, np.newaxis]
    steps = np.arange(BINS)[:, np.newaxis]
    near = np.maximum(1 - np.abs(distances - steps), 1e-4)
    logits = np.log(near) + rng.normal(0, 0.1, near.shape)
    return logits.reshape(4 * BINS, -1).astype(np.float32)


def _maps(planes: Floats) -> Maps:
    sides = [PAGE // stride for stride in STRIDES]
    ends = np.cumsum([side * side for side in sides])[:-1]
    return tuple(
        np.ascontiguousarray(part).reshape(1, -1, side, side)
        for part, side in zip(np.split(planes, ends, axis=1), sides, strict=True)
    )
