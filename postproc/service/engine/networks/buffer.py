"""Memory that two processes share: what one lays down, the other sees without a copy."""

from __future__ import annotations

import math
import mmap
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Layout: TypeAlias = "dict[str, tuple[str, tuple[int, ...], int]]"
"""Of each array: its dtype, its shape, and the byte where it begins."""

_ALIGNMENT = 64
_KEPT = 64 << 20  # bytes; more is given back after its use


class SharedBuffer:
    """A file in memory that both sides map. One of them lays arrays down, one set at a time.

    Parameters
    ----------
    place : int or str, optional
        The file of the other side, by its number or its path; by default a new one.

    Attributes
    ----------
    place : int or str
        The same, for the other side: a number has to be inherited.
    """

    def __init__(self, place: int | str | None = None) -> None:
        self.place: int | str
        if place is not None:
            self._file = os.open(place, os.O_RDWR) if isinstance(place, str) else place
            self.place = place
        elif sys.platform == "linux":
            self._file = self.place = os.memfd_create("postproc-inputs", os.MFD_CLOEXEC)
        else:
            self._file, self.place = tempfile.mkstemp(prefix="postproc-inputs-")
        self._map: mmap.mmap | None = None
        self._size = 0  # of the file, as the side knows that lays down

    def put(self, parts: Mapping[str, Sequence[NDArray[Any]]]) -> Layout:
        """Lay down arrays, each joined of parts along the first axis, and return where they lie."""
        layout: Layout = {}
        end = 0
        for name, arrays in parts.items():
            end = -(-end // _ALIGNMENT) * _ALIGNMENT
            shape = (sum(map(len, arrays)), *arrays[0].shape[1:])
            layout[name] = arrays[0].dtype.str, shape, end
            end += sum(array.nbytes for array in arrays)
        if end > self._size:
            os.ftruncate(self._file, end)
            self._size = end
        for name, array in self.arrays(layout).items():
            np.concatenate(parts[name], out=array, casting="no")
        return layout

    def arrays(self, layout: Layout) -> dict[str, NDArray[Any]]:
        """Return what was laid down; it is gone when the next is."""
        sizes = {
            name: np.dtype(dtype).itemsize * math.prod(shape) for name, (dtype, shape, _) in layout.items()
        }
        end = max((start + sizes[name] for name, (_, _, start) in layout.items()), default=0)
        if self._map is None or len(self._map) < end:
            self._map = mmap.mmap(self._file, max(end, 1))  # one that still has views goes with them
        view = memoryview(self._map)
        return {
            name: np.frombuffer(view[start : start + sizes[name]], dtype).reshape(shape)
            for name, (dtype, shape, start) in layout.items()
        }

    def give_back(self) -> None:
        """Give back what is much, once no other side uses it: its pages, while the address stays."""
        if self._size > _KEPT:
            with suppress(OSError):  # Windows cuts no file that is mapped
                os.ftruncate(self._file, _KEPT)
                self._size = _KEPT

    def close(self) -> None:
        """Close the file, and remove it where it has a name."""
        self._map = None
        with suppress(OSError):
            os.close(self._file)
            if isinstance(self.place, str):
                os.unlink(self.place)
