"""Kernels that only kernels call, made ready for a test to call."""

from __future__ import annotations

from typing import Any

import numba


def from_python(kernel: Any) -> Any:
    """Return a function that Python can call, which calls a kernel that it cannot."""

    @numba.njit(error_model="numpy")  # type: ignore[untyped-decorator]
    def call(*arguments: Any) -> Any:
        return kernel(*arguments)

    return call
