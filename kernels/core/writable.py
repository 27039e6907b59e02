"""Arrays that a kernel is given to write to."""

from __future__ import annotations

from typing import Any

from numba import config
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic


@intrinsic
def _writable(typing_context: Any, array: Any) -> Any:
    signature = array.copy(readonly=False)(array)

    def give(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return impl_ret_borrowed(context, builder, signature.return_type, arguments[0])

    return signature, give


def _as_it_is(array: Any) -> Any:
    return array


# Every array that Python gives to a kernel counts as read-only: see `_jit`. This takes that back for memory
# that was made for the kernel to write to: NumPy's zeros cost nothing where nothing is written.
writable = _as_it_is if config.DISABLE_JIT else _writable
