"""What all inputs begin with: objects on a page, their labels, and scores of which none are equal."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]


def random_objects(
    rng: np.random.Generator, count: int, page: float, smallest: float, largest: float
) -> Doubles:
    """Corners (count, 4) of objects all over a page, small ones as often as large ones on a log scale."""
    sizes = np.exp(rng.uniform(np.log(smallest), np.log(largest), (count, 1)))
    shapes = np.exp(rng.normal(0, 0.3, (count, 1)))
    halves = np.concatenate([sizes * shapes, sizes / shapes], axis=1) / 2
    centres = rng.uniform(0, page, (count, 2))
    return np.concatenate([centres - halves, centres + halves], axis=1)


def frequent_labels(rng: np.random.Generator, count: int, labels: int) -> Integers:
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


def sizes_of(corners: NDArray[Any]) -> NDArray[Any]:
    """Width and height (N, 2) of boxes (N, 4)."""
    sizes: NDArray[Any] = corners[:, 2:] - corners[:, :2]
    return sizes


def middles_of(corners: NDArray[Any]) -> NDArray[Any]:
    """Centres (N, 2) of boxes (N, 4)."""
    middles: NDArray[Any] = (corners[:, 2:] + corners[:, :2]) / 2
    return middles


def jaccard(boxes: Doubles, others: Doubles) -> Doubles:
    """Jaccard index of each box (N, 4) with each other one (M, 4), as (N, M)."""
    shared = np.minimum(boxes[:, None, 2:], others[:, 2:]) - np.maximum(boxes[:, None, :2], others[:, :2])
    intersection = np.clip(shared, 0, None).prod(axis=2)
    areas, other_areas = sizes_of(boxes).prod(axis=1), sizes_of(others).prod(axis=1)
    indices: Doubles = intersection / (areas[:, None] + other_areas - intersection)
    return indices


def grid_centres(strides: tuple[int, ...], page: int) -> tuple[Doubles, Doubles]:
    """Centres (N, 2) of the cells of feature maps of a square page, and the stride (N,) of each."""
    centres, of_cells = [], []
    for stride in strides:
        ticks = (np.arange(-(-page // stride)) + 0.5) * stride
        x, y = np.meshgrid(ticks, ticks)
        centres.append(np.stack([x.ravel(), y.ravel()], axis=1))
        of_cells.append(np.full(x.size, float(stride)))
    return np.concatenate(centres), np.concatenate(of_cells)
