"""Kernels that were compiled when this package's wheel was built: machine code for each instruction set.

It is used where the processor has the instructions and the sources are those that it was made of. Otherwise,
and where somebody asks for it, numba compiles them on their first call: ``POSTPROC_JIT=1``, numba's own
``NUMBA_DISABLE_JIT`` and ``NUMBA_BOUNDSCHECK``. ``POSTPROC_CPU`` names an instruction set in place of the
best that the processor has: results are the same.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar

from ._sources import source_digest

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger(__name__)

LEVELS = ("x86-64-v4", "x86-64-v3", "x86-64-v2", "generic")
"""Instruction sets, best first: a wheel brings those of its architecture."""


class Compiled(NamedTuple):
    """What was found; where `module` is None, numba compiles."""

    module: Any
    level: str
    reason: str
    """Why numba compiles, or empty."""


def module_name(level: str) -> str:
    """Name of the extension module for an instruction set."""
    return f"_kernels_{level.replace('-', '_')}"


@functools.cache
def compiled() -> Compiled:
    """Find the machine code for this processor, once in a process."""
    if asked := _asked_for_numba():
        return Compiled(None, "", asked)
    wanted = os.environ.get("POSTPROC_CPU", "")
    if wanted not in ("", *LEVELS):
        return _unusable(f"POSTPROC_CPU is {wanted!r}, which is none of {', '.join(LEVELS)}")
    reason = "this installation has none"
    for level in (wanted,) if wanted else LEVELS:
        name = module_name(level)
        try:
            module: Any = importlib.import_module(f"{__package__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__package__}.{name}":
                return _unusable(f"{name} does not load: {error}")
            continue
        except Exception as error:
            return _unusable(f"{name} does not load: {error}")
        if not module.is_supported():
            reason = f"this processor has not all instructions of {level}"
            continue
        try:
            digest = source_digest()
        except OSError as error:
            return _unusable(f"the kernels' sources cannot be compared: {error}")
        if digest not in (None, module.digest):
            return _unusable("it was made of other sources than those that are here")
        return Compiled(module, level, "")
    return _unusable(f"POSTPROC_CPU is {wanted!r}: {reason}") if wanted else Compiled(None, "", reason)


def _asked_for_numba() -> str:
    config = getattr(sys.modules.get("numba"), "config", None)
    if os.environ.get("POSTPROC_JIT", "").strip().lower() not in ("", "0", "false", "no", "off"):
        return "POSTPROC_JIT is set"
    for name in ("NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK"):
        # It may have been set in Python as well, or in a file of numba's.
        if _as_numba_reads(name) or getattr(config, name.removeprefix("NUMBA_"), None):
            return f"{name} is set"
    return ""


def _as_numba_reads(name: str) -> int:
    try:
        return int(os.environ.get(name, "0"))
    except ValueError:
        return 0  # which numba warns of


def _unusable(reason: str) -> Compiled:
    logger.warning("compiled kernels are not used, numba compiles them: %s", reason)
    return Compiled(None, "", reason)


def taken(function: Callable[P, R]) -> Callable[P, R]:
    """Return the machine code of a function of this package."""
    name = f"{function.__module__.removeprefix(f'{__package__}.')}.{function.__qualname__}"
    code: Callable[P, R] = compiled().module.kernels[name]
    return code


def for_kernels_only(function: Callable[P, R]) -> Callable[P, R]:
    """Return what Python gets of a function that only kernels call."""

    def refuse(*args: P.args, **kws: P.kwargs) -> R:
        raise TypeError(
            f"{function.__qualname__} is for kernels only: call it from a function that numba compiles"
        )

    return refuse
