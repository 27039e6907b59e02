"""The decorators of all kernels: machine code that the wheel brought, or what numba compiles.

Numba is imported only where it compiles: it is most of the time that a process takes to start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ._compiled import compiled, for_kernels_only, taken

P = ParamSpec("P")
R = TypeVar("R")

IS_COMPILED = compiled().module is not None
"""Whether kernels are machine code already: then functions that only kernels call do not exist in Python."""


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Take the function's machine code, or compile it on its first call, or load it from the cache."""
    return _made(function, taken)


def inner(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function that only kernels call: without the code that unpacks Python's arguments.

    That code is a tenth of all compilation. Called from Python, the function raises TypeError.
    """
    return _made(function, for_kernels_only, is_inner=True)


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Compile like `inner`, but into its callers: for what the hot loops call with many arrays.

    LLVM leaves a larger function apart, and each array of a call is seven numbers on the stack: 30 ns for
    a row of scores (measured).
    """
    return _made(function, for_kernels_only, is_inner=True, is_inlined=True)


def borrowing(function: Callable[P, R]) -> Callable[P, R]:
    """Compile like `inlined`, for what makes and returns no arrays, but only looks at those that others hold.

    numba counts the references to an array that a function takes, and to each part of one, in two atomic
    operations of 5 ns: half of the time of a loop over candidates (measured). It refuses to compile this
    where memory is taken. What it calls must not return arrays either: nobody would give them back.
    """
    return _made(function, for_kernels_only, is_inner=True, is_inlined=True, is_borrowing=True)


def pasted(function: Callable[P, R]) -> Callable[P, R]:
    """Put a function's code into the kernels that call it, before types are inferred.

    For what only hands on to other kernels: LLVM optimises with a kernel, once more, all that it calls, so
    that a level between two others costs 1 to 2 s of compilation (measured).
    """
    return _made(function, for_kernels_only, is_pasted=True)


def _made(
    function: Callable[P, R], without_numba: Callable[[Callable[P, R]], Callable[P, R]], **options: bool
) -> Callable[P, R]:
    # Functions of others, as tests have them, were not there when the wheel was built.
    if IS_COMPILED and function.__module__.startswith(f"{__package__}."):
        return without_numba(function)
    try:
        from ._numba import compiled_on_call
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
        reason = compiled().reason or "a kernel that is not of this package"
        text = f"numba is not installed, and compiles the kernels here ({reason}): pip install numba"
        raise ModuleNotFoundError(text, name="numba") from error
    return compiled_on_call(function, **options)


def _is_compiling() -> bool:
    if IS_COMPILED:
        return False
    from numba.core import config

    return not config.DISABLE_JIT


IS_COMPILING = _is_compiling()
"""Whether numba compiles; else kernels are compiled already, or are Python's, to follow them step by step."""


def intrinsic(function: Callable[P, R]) -> Callable[P, R]:
    """Replace a function, where numba compiles, by what `_intrinsics` has of its name for LLVM."""
    if not IS_COMPILING:
        return function
    from . import _intrinsics

    in_llvm: Callable[P, R] = getattr(_intrinsics, function.__name__)
    return in_llvm
