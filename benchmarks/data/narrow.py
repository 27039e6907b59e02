"""Outputs in fewer bytes than float32: half precision, and quantised as for accelerators."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from benchmarks.contest import is_installed
from benchmarks.data.distances import distance_maps
from benchmarks.data.scenes import Floats
from benchmarks.data.yolo import PAGE, yolov8_tensor


class Quantised(NamedTuple):
    """What the numbers q of a tensor stand for: ``(q - zero_point) * scale``."""

    scale: float
    zero_point: int


class NarrowCase(NamedTuple):
    """Tensors of one call by their names, and what those that are quantised stand for."""

    tensors: dict[str, NDArray[Any]]
    quantised: dict[str, Quantised]

    def floats(self) -> dict[str, Floats]:
        """Give the same numbers in float32."""
        return {name: _floats(tensor, self.quantised.get(name)) for name, tensor in self.tensors.items()}


def _floats(tensor: NDArray[Any], quantised: Quantised | None) -> Floats:
    if quantised is None:
        return tensor.astype(np.float32)
    steps = (tensor.astype(np.int32) - quantised.zero_point).astype(np.float32)
    return steps * np.float32(quantised.scale)


def _half(dtype: str, image: int) -> NarrowCase:
    tensor = yolov8_tensor(1, image)
    tensor[:, :4] /= PAGE
    return NarrowCase({"tensor": tensor.astype(_dtype(dtype))}, {})


def _bytes(image: int) -> NarrowCase:
    tensor = yolov8_tensor(1, image)
    tensor[:, :4] /= PAGE
    tensor, quantised = quantise(tensor, np.uint8)
    return NarrowCase({"tensor": tensor}, {"tensor": quantised})


def _distances(image: int) -> NarrowCase:
    """Levels apart, each with a scale of its own; logits below -12 are as good as none."""
    scores, distances = distance_maps(image)
    named = {
        f"{name} {level}": quantise(np.maximum(tensor, -12), np.int8)
        for name, maps in (("scores", scores), ("distances", distances))
        for level, tensor in enumerate(maps)
    }
    return NarrowCase(
        {name: tensor for name, (tensor, _) in named.items()},
        {name: quantised for name, (_, quantised) in named.items()},
    )


def quantise(numbers: Floats, dtype: type[np.integer[Any]]) -> tuple[NDArray[Any], Quantised]:
    """Give the numbers as integers of a dtype whose range is theirs and 0."""
    info = np.iinfo(dtype)
    low, high = min(float(numbers.min()), 0.0), max(float(numbers.max()), 0.0)
    scale = float(np.float32((high - low) / (info.max - info.min)))
    zero_point = round(info.min - low / scale)
    steps = np.clip(np.round(numbers / scale) + zero_point, info.min, info.max)
    return steps.astype(dtype), Quantised(scale, zero_point)


def _dtype(name: str) -> DTypeLike:
    if name != "bfloat16":
        return name
    import ml_dtypes

    return ml_dtypes.bfloat16


NARROW_CASES: dict[str, Callable[[int], NarrowCase]] = {
    f"{dtype}, 84 x 8400": partial(_half, dtype)
    for dtype in ("float16", "bfloat16")
    if dtype != "bfloat16" or is_installed("ml_dtypes")
} | {"uint8, 84 x 8400": _bytes, "int8, distances of 16 bins": _distances}
"""What makes a case of a number, by name."""
