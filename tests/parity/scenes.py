"""Outputs as detectors make them, for any number of labels, any batch and any size of input.

As of `benchmarks.data.yolo`: about ten sure candidates an object, a second label that some are mistaken for,
and over all cells a long tail of scores; strides 8, 16 and 32.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.data.scenes import distinct, frequent_labels, middles_of, random_objects, sizes_of

STRIDES = (8, 16, 32)
_OBJECTS = 14

Size = tuple[int, int]


class Setting(NamedTuple):
    """What a sweep goes over: labels, images, (height, width) of the input, dtype of the tensors."""

    labels: int
    batch: int
    size: Size
    dtype: type[np.floating[Any]]


SETTINGS = [
    pytest.param(setting, id=f"{labels} labels, batch {batch}, {size[0]}x{size[1]}, {dtype.__name__}")
    for setting in (
        Setting(1, 1, (384, 640), np.float32),
        Setting(1, 3, (640, 384), np.float16),
        Setting(2, 3, (640, 384), np.float16),
        Setting(2, 1, (384, 640), np.float32),
        Setting(20, 32, (192, 320), np.float32),
        Setting(80, 32, (96, 160), np.float16),
        Setting(80, 1, (640, 384), np.float32),
        Setting(80, 3, (384, 640), np.float16),
        Setting(365, 1, (640, 384), np.float16),
        Setting(365, 3, (192, 320), np.float32),
        Setting(1203, 1, (384, 640), np.float32),
        Setting(1203, 3, (160, 96), np.float16),
    )
    for labels, batch, size, dtype in [setting]
]
THRESHOLDS = [pytest.param(0.25, id="serving"), pytest.param(0.001, id="evaluation")]


class Scene(NamedTuple):
    """Boxes (B, N, 4), cx, cy, w, h in pixels, and scores (B, N, L)."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]

    def table(self, dtype: Any = np.float32) -> NDArray[Any]:
        """Return the tensor (B, 4 + L, N) of a YOLOv8."""
        rows = np.concatenate([self.boxes, self.scores], axis=2)
        return np.ascontiguousarray(rows.transpose(0, 2, 1).astype(dtype))

    def factors(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Split scores into objectness (B, N, 1) and probabilities (B, N, L)."""
        objectness = np.sqrt(self.scores.max(axis=2, keepdims=True))
        return objectness, self.scores / objectness


def scene(labels: int, batch: int, size: Size, seed: int = 0, on_quarters: bool = True) -> Scene:
    """Make a scene of its own for every seed and image.

    With corners on quarters of a pixel every Jaccard index is the same in any arithmetic, and no two scores
    above 0.0005 of an image are equal.
    """
    cells = cells_of(size)
    boxes = np.empty((batch, len(cells), 4), np.float32)
    scores = np.empty((batch, len(cells), labels), np.float32)
    for image in range(batch):
        rng = np.random.default_rng([seed, image, labels, *size])
        _fill(rng, cells, size, boxes[image], scores[image])
    if on_quarters:
        boxes = (np.round(boxes * (4, 4, 2, 2)) / (4, 4, 2, 2)).astype(np.float32)
    boxes[..., 2:] = np.maximum(boxes[..., 2:], 1)
    return Scene(boxes, scores)


def cells_of(size: Size) -> NDArray[np.float64]:
    """Column, row and stride (N, 3) of the cells of all strides, grid by grid, row by row."""
    grids = []
    for stride in STRIDES:
        rows, columns = np.mgrid[: size[0] // stride, : size[1] // stride]
        grids.append(np.stack([columns.ravel(), rows.ravel(), np.full(rows.size, stride)], axis=1))
    return np.concatenate(grids).astype(np.float64)


def _fill(
    rng: np.random.Generator,
    cells: NDArray[np.float64],
    size: Size,
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
) -> None:
    """Write the boxes and scores of an image."""
    count, labels = scores.shape
    centres, spread = (cells[:, :2] + 0.5) * cells[:, 2:], cells[:, 2:]
    objects = random_objects(rng, _OBJECTS, 1, 16, 0.6 * min(size))
    sides = sizes_of(objects)
    middles = middles_of(objects) * size[::-1]
    misses = np.linalg.norm((centres[:, None] - middles) / sides, axis=2) / 0.4
    misfit = np.log2(np.sqrt(sides.prod(axis=1)) / (4 * spread))
    sight = np.exp(-((misses**2 + misfit**2 / 2) ** 1.5))
    owner, sight = sight.argmax(axis=1), sight.max(axis=1)
    seen = sight > 0.02

    boxes[:, :2] = centres + rng.normal(0, 0.5, (count, 2)) * spread
    boxes[:, 2:] = np.exp(rng.uniform(np.log(0.5), np.log(8), (count, 2))) * spread
    own = middles[owner] + rng.normal(0, 0.05, (count, 2)) * sides[owner]
    boxes[seen, :2] = own[seen]
    boxes[seen, 2:] = (sides[owner] * rng.lognormal(0, 0.06, (count, 2)))[seen]

    tail = rng.standard_normal((count, labels), np.float32) * 1.6 - 11
    tail += rng.normal(0, 0.5, (count, 1)).astype(np.float32)
    scores[:] = 1 / (1 + np.exp(-tail))
    names = frequent_labels(rng, _OBJECTS, labels)
    rows = np.flatnonzero(seen)
    owner = owner[rows]
    sure = rng.uniform(0.35, 0.95, _OBJECTS)[owner] * sight[rows] * rng.uniform(0.85, 1, len(rows))
    mistaken = rng.integers(0, labels, _OBJECTS)
    scores[rows, mistaken[owner]] = sure * rng.uniform(0, 0.9, len(rows))
    scores[rows, names[owner]] = sure
    high = scores > 5e-4
    scores[high] = distinct(scores[high])


def distinct_halves(values: NDArray[Any]) -> NDArray[np.float16]:
    """Round to float16, and raise equal values by a last bit each, so that none of them are equal."""
    bits = values.astype(np.float16).view(np.int16).astype(np.int64)
    numbers = np.where(bits < 0, -(bits & 0x7FFF), bits)  # in the order of the values
    order = np.argsort(numbers, axis=None)
    steps = np.arange(values.size)
    raised = np.empty(values.size, np.int64)
    raised[order] = np.maximum.accumulate(numbers.reshape(-1)[order] - steps) + steps
    bits = np.where(raised < 0, -raised | 0x8000, raised).astype(np.uint16)
    return bits.view(np.float16).reshape(values.shape)
