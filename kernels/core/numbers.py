"""Tensors in the numbers that they have: float32, or others of fewer bytes, of which few become float32.

A tensor is an array of float32, or a tuple by whose type kernels are compiled, one for each number of bytes::

    (int8 or int16 bits, scale, zero_point, coding)

The coding says what bits mean: an integer q, signed or not, that stands for ``float32(q - zero_point) *
scale``, or a float16 or bfloat16. What a scan compares are raw numbers, signed integers that order as the
numbers do, and a limit is the lowest of them that passes. Unsigned integers become raw when their highest bit
is flipped, halves when negative ones are mirrored; NaN lies beyond infinity. What passes is only worth a
look: it may be NaN, or the highest raw number, which no limit excludes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .._codings import BFLOAT16, FLOAT16, MIRRORED_BITS, SIGNED, UNSIGNED
from .._jit import IS_COMPILING, inlined
from .float16 import bfloat16_number, float16_number

Narrow: TypeAlias = tuple[NDArray[np.int8] | NDArray[np.int16], np.float32, int, int]
Numbers: TypeAlias = NDArray[np.float32] | Narrow
"""A tensor, or a part of it."""
Raw: TypeAlias = NDArray[Any]
"""Limits on raw numbers: of float32 they are limits as ever, which numbers must exceed."""

STRIDE = 128
"""How many float32 a scan reads without a branch; of others as many bytes."""

_INFINITE_HALF = 0x7C00
_LARGEST_HALF = 0x7BFF
_LEAST_NORMAL_HALF = np.float32(2.0**-14)
_SUBNORMALS = np.float32(2.0**24)
# What the exponents of a float32 and of the same half differ by, where the half has it.
_EXPONENTS = (127 - 15) << 10


def narrow(array: NDArray[Any], scale: np.float32, zero_point: int) -> Narrow:
    """Return what a kernel takes for integers of 8 or 16 bits."""
    if array.dtype.kind == "i":
        return array, scale, zero_point, SIGNED
    bits = array.view(np.dtype(f"i{array.itemsize}"))
    return bits, scale, zero_point - (1 << (8 * array.itemsize - 1)), UNSIGNED


def narrow_half(array: NDArray[Any]) -> Narrow:
    """Return what a kernel takes for float16 or bfloat16."""
    return array.view(np.int16), np.float32(1.0), 0, FLOAT16 if array.dtype == np.float16 else BFLOAT16


def _bits_of_value(values: Any) -> int:
    return 8 * int((values[0] if isinstance(values, tuple) else values).itemsize)


def _by_form(of_float32: Callable[..., Any], of_16: Callable[..., Any], of_8: Callable[..., Any]) -> Any:
    """Make one function of three: that of the form of its first argument, a tensor.

    A kernel that gives it anything else, such as integers without their scale, does not compile.
    """
    functions = {32: of_float32, 16: of_16, 8: of_8}

    def chosen(values: Any, *rest: Any) -> Any:
        return functions[_bits_of_value(values)](values, *rest)

    if IS_COMPILING:
        from .._intrinsics import choose_by_form

        choose_by_form(chosen, functions)
    return chosen


def _itself(values: Any) -> Any:
    return values


def _first(values: Any) -> Any:
    return values[0]


raw = _by_form(_itself, _first, _first)
"""Call as ``raw(values)``: the array of a tensor, for its shape."""


def _array(values: Any, array: Any) -> Any:
    return array


def _narrow_array(values: Any, array: Any) -> Any:
    return array, values[1], values[2], values[3]


_with_raw = _by_form(_array, _narrow_array, _narrow_array)


@inlined
def image_of(values: Numbers, image: int) -> Numbers:
    """Return one image of a batch."""
    found: Numbers = _with_raw(values, raw(values)[image])
    return found


@inlined
def flat(values: Numbers) -> Numbers:
    """Return all numbers in one row."""
    found: Numbers = _with_raw(values, raw(values).reshape(-1))
    return found


@inlined
def part(values: Numbers, start: int, stop: int) -> Numbers:
    """Return numbers `start` to `stop` of a row, or as many rows."""
    found: Numbers = _with_raw(values, raw(values)[start:stop])
    return found


@inlined
def _raw_8(bits: Any, coding: int) -> Any:
    return np.int8(bits ^ np.int8(-0x80 if coding == UNSIGNED else 0))


@inlined
def _raw_16(bits: Any, coding: int) -> Any:
    # All of 16 bits: a wider mask makes vectors of wider numbers, four times as slow.
    mirrored = np.int16(MIRRORED_BITS if coding >= FLOAT16 else 0)
    flipped = np.int16(-0x8000 if coding == UNSIGNED else 0)
    return np.int16(bits ^ np.int16(np.int16(bits >> 15) & mirrored) ^ flipped)


@inlined
def _dequantised(number: Any, scale: Any, zero_point: Any) -> Any:
    return np.float32(np.float32(np.int32(int(number) - zero_point)) * scale)


def _float32_at(values: Any, index: Any) -> Any:
    return values[index]


def _number_at_16(values: Any, index: Any) -> Any:
    bits, scale, zero_point, coding = values
    if coding == FLOAT16:
        return float16_number(bits[index])
    if coding == BFLOAT16:
        return bfloat16_number(bits[index])
    return _dequantised(_raw_16(bits[index], coding), scale, zero_point)


def _number_at_8(values: Any, index: Any) -> Any:
    bits, scale, zero_point, coding = values
    return _dequantised(_raw_8(bits[index], coding), scale, zero_point)


number = _by_form(_float32_at, _number_at_16, _number_at_8)
"""Call as ``number(values, index)``: a number as float32."""


def _slice(values: Any, start: int, count: int, room: NDArray[np.float32]) -> Any:
    return values[start : start + count]


def _converted(values: Any, start: int, count: int, room: NDArray[np.float32]) -> Any:
    for index in range(count):
        room[index] = number(values, start + index)
    return room[:count]


as_float32 = _by_form(_slice, _converted, _converted)
"""Call as ``as_float32(values, start, count, room)``: numbers in a row, in `room` unless they are float32."""


def _softmax(values: Any, probabilities: NDArray[np.float32]) -> Any:
    return probabilities


def _no_softmax(values: Any, probabilities: NDArray[np.float32]) -> Any:
    return values


with_softmax = _by_form(_softmax, _no_softmax, _no_softmax)
"""Call as ``with_softmax(values, probabilities)``: the latter, as a variable of the former's type holds them.

Only float32 can have a softmax: of others these are the values.
"""


def _stride(values: Any) -> int:
    return STRIDE


def _twice_the_stride(values: Any) -> int:
    return 2 * STRIDE


def _four_strides(values: Any) -> int:
    return 4 * STRIDE


stride_of = _by_form(_stride, _twice_the_stride, _four_strides)
"""Call as ``stride_of(values)``: how many numbers a scan reads without a branch, a constant."""


def _passes_float32(values: Any, index: Any, limit: Any) -> Any:
    return values[index] > limit


def _passes_16(values: Any, index: Any, limit: Any) -> Any:
    return _raw_16(values[0][index], values[3]) >= limit


def _passes_8(values: Any, index: Any, limit: Any) -> Any:
    return _raw_8(values[0][index], values[3]) >= limit


passes = _by_form(_passes_float32, _passes_16, _passes_8)
"""Call as ``passes(values, index, limit)``: whether a number is within a raw limit."""


def _limit_itself(values: Any, limit: Any) -> Any:
    return limit


@inlined
def _half_limit(limit: Any, coding: int) -> int:
    """Mirrored bits of the lowest half above a limit."""
    size = np.float32(abs(limit))
    float_bits = int(size.view(np.int32))
    if coding == BFLOAT16:
        bits = float_bits >> 16
        is_exact = float_bits & 0xFFFF == 0
    else:
        if size == np.inf:
            bits = _INFINITE_HALF
        elif size < _LEAST_NORMAL_HALF:
            bits = int(size * _SUBNORMALS)
        else:
            bits = min((float_bits >> 13) - _EXPONENTS, _LARGEST_HALF)
        is_exact = float16_number(np.int16(bits)) == size
    return bits + 1 if limit >= 0.0 else int(is_exact) - bits - 1


@inlined
def _integer_limit(limit: Any, scale: Any, zero_point: Any, highest: int) -> int:
    """Lowest integer from ``-highest - 1`` to `highest` that stands for more than a limit."""
    low, high = -highest - 1, highest
    while low < high:
        middle = (low + high) >> 1
        if _dequantised(middle, scale, zero_point) > limit:
            high = middle
        else:
            low = middle + 1
    return low


def _limit_16(values: Any, limit: Any) -> Any:
    _, scale, zero_point, coding = values
    if coding >= FLOAT16:
        return np.int16(_half_limit(limit, coding))
    return np.int16(_integer_limit(limit, scale, zero_point, 0x7FFF))


def _limit_8(values: Any, limit: Any) -> Any:
    return np.int8(_integer_limit(limit, values[1], values[2], 0x7F))


raw_limit = _by_form(_limit_itself, _limit_16, _limit_8)
"""Call as ``raw_limit(values, limit)``: the limit on raw numbers for one on numbers, which exceed it."""


def _highest_float32(values: Any, size: int) -> Any:
    limits = np.empty(size, np.float32)
    limits[:] = np.inf
    return limits


def _highest_16(values: Any, size: int) -> Any:
    limits = np.empty(size, np.int16)
    limits[:] = 0x7FFF
    return limits


def _highest_8(values: Any, size: int) -> Any:
    limits = np.empty(size, np.int8)
    limits[:] = 0x7F
    return limits


highest_limits = _by_form(_highest_float32, _highest_16, _highest_8)
"""Call as ``highest_limits(values, size)``: new raw limits, within which is the highest number or none."""


def _limits_themselves(values: Any, limits: Any) -> Any:
    return limits


def _limits_converted(values: Any, limits: Any) -> Any:
    found = highest_limits(values, limits.shape[0])
    for label in range(limits.shape[0]):
        if label > 0 and limits[label] == limits[label - 1]:  # mostly all are the same
            found[label] = found[label - 1]
        else:
            found[label] = raw_limit(values, limits[label])
    return found


raw_limits = _by_form(_limits_themselves, _limits_converted, _limits_converted)
"""Call as ``raw_limits(values, limits)``: the raw limit of each; of float32 the array itself."""
