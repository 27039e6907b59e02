"""The same numbers in arrays of every form that a caller may have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]


class WithArray:
    """Like a CPU tensor of a framework that knows ``__array__``."""

    def __init__(self, array: Array) -> None:
        self._array = array

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        return self._array if dtype is None else self._array.astype(dtype)


class WithDlpack:
    """Like a CPU tensor of a framework that knows ``__dlpack__`` only."""

    def __init__(self, array: Array) -> None:
        self._array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()


class Labelled(np.ndarray):
    """A subclass of arrays, as other libraries have."""


def reversed_in_memory(array: Array) -> Array:
    backwards: Array = np.ascontiguousarray(array[..., ::-1])[..., ::-1]
    return backwards


def every_second(array: Array) -> Array:
    spaced: Array = np.repeat(array, 2, axis=-1)[..., ::2]
    return spaced


def unaligned(array: Array) -> Array:
    buffer = np.empty(array.nbytes + 1, np.uint8)
    shifted: Array = buffer[1:].view(array.dtype).reshape(array.shape)
    shifted[...] = array
    return shifted


def read_only(array: Array) -> Array:
    frozen = array.copy()
    frozen.flags.writeable = False
    return frozen


FORMS: dict[str, Callable[[Array], Any]] = {
    "Fortran order": np.asfortranarray,
    "reversed": reversed_in_memory,
    "every second": every_second,
    "unaligned": unaligned,
    "read-only": read_only,
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "float64": lambda array: array.astype(np.float64) if array.dtype == np.float32 else array,
    "nested lists": lambda array: array.tolist(),
    "subclass": lambda array: array.view(Labelled),
    "masked": np.ma.masked_array,
    "__array__": WithArray,
    "__dlpack__": WithDlpack,
}


def changed(tensors: Mapping[str, Array], form: Callable[[Array], Any]) -> dict[str, Any]:
    """Bring all tensors into a form."""
    return {name: form(tensor) for name, tensor in tensors.items()}
