"""Arrays that a kernel is given to write to."""

from __future__ import annotations

from typing import Any

from .._jit import intrinsic


@intrinsic
def writable(array: Any) -> Any:
    """Return an array of Python's as one to write to.

    Every array that Python gives to a kernel counts as read-only: see `_numba`. This takes that back for
    memory that was made for the kernel to write to: NumPy's zeros cost nothing where nothing is written.
    """
    return array
