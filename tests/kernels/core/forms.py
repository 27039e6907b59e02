"""Tensors in every form that kernels take, and the float32 that they stand for."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from postproc.kernels.core.numbers import narrow, narrow_half

Floats = NDArray[np.float32]

HALVES = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
INTEGERS = {name: np.dtype(name) for name in ("int8", "uint8", "int16", "uint16")}
NARROW = [*HALVES, *INTEGERS]
SCANNED = [*HALVES, "int8", "uint16"]  # the same code serves the others
FORMS = ["float32", *NARROW]


def extent_of(form: str) -> tuple[int, int]:
    """Lowest and highest zero point of a form; 0 where it has none."""
    if form not in INTEGERS:
        return 0, 0
    extent = np.iinfo(INTEGERS[form])
    return int(extent.min), int(extent.max)


def in_form(form: str, numbers: Any, scale: float = 1 / 64, zero_point: int = 0) -> tuple[Any, Floats]:
    """Round numbers to a form: what a kernel takes, and what that is in float32."""
    numbers = np.ascontiguousarray(numbers, np.float32)
    if form == "float32":
        return numbers, numbers
    if form in HALVES:
        with np.errstate(over="ignore"):
            halves = numbers.astype(HALVES[form])
        return narrow_half(halves), halves.astype(np.float32)
    extent, finite = np.iinfo(INTEGERS[form]), np.nan_to_num(numbers, posinf=1e9, neginf=-1e9)
    steps = np.rint(finite / np.float64(scale)) + zero_point
    return quantised(np.clip(steps, extent.min, extent.max).astype(extent.dtype), scale, zero_point)


def quantised(steps: NDArray[Any], scale: float, zero_point: int) -> tuple[Any, Floats]:
    """Integers with their scale and zero point, and what they are in float32."""
    differences = (steps.astype(np.int32) - zero_point).astype(np.float32)
    with np.errstate(all="ignore"):
        return narrow(steps, np.float32(scale), zero_point), differences * np.float32(scale)


def every_number(form: str, scale: float = 1 / 64, zero_point: int = 0) -> tuple[Any, Floats]:
    """All numbers of a form, in the order of their bits."""
    if form in HALVES:
        halves = np.arange(1 << 16, dtype=np.uint16).view(HALVES[form])
        return narrow_half(halves), halves.astype(np.float32)
    extent = np.iinfo(INTEGERS[form])
    return quantised(np.arange(extent.min, extent.max + 1).astype(extent.dtype), scale, zero_point)
