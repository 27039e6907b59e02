"""Half precision to float32 by its bits: NumPy's ``astype`` converts one number at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._jit import inlined, kernel


@inlined
def float16_number(bits: Any) -> np.float32:
    """Return the float32 that is an IEEE 754 binary16 number, given by its bits.

    Exponent and mantissa are moved to their places in a float32, and a product with 2**112 mends the
    exponent's bias; it also turns subnormals into what they mean.
    """
    half = np.uint32(int(bits) & 0xFFFF)
    magnitude = np.uint32((half & np.uint32(0x7FFF)) << np.uint32(13))
    raised = np.float32(magnitude.view(np.float32) * np.float32(2.0**112)).view(np.uint32)
    if magnitude >= np.uint32(0x0F800000):
        raised = np.uint32(magnitude | np.uint32(0x7F800000))
    return np.uint32(raised | np.uint32((half & np.uint32(0x8000)) << np.uint32(16))).view(np.float32)


@inlined
def bfloat16_number(bits: Any) -> np.float32:
    """Return the float32 that is a bfloat16 number, given by its bits: they are its upper half."""
    return np.uint32(np.uint32(int(bits) & 0xFFFF) << np.uint32(16)).view(np.float32)


@kernel
def float16_to_float32(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Convert IEEE 754 binary16 numbers, given by their bits (N,), to float32."""
    values = np.empty(bits.shape[0], np.float32)
    for index in range(bits.shape[0]):
        values[index] = float16_number(bits[index])
    return values


@kernel
def bfloat16_to_float32(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Convert bfloat16 numbers, given by their bits (N,), to float32."""
    values = np.empty(bits.shape[0], np.float32)
    for index in range(bits.shape[0]):
        values[index] = bfloat16_number(bits[index])
    return values
