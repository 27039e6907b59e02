"""Which kernels are in use: machine code that the wheel brought, or what numba compiles; and why."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from postproc import kernels
from postproc.doctor.findings import Finding, Status
from postproc.kernels import _compiled

_NUMBA = "numba compiles them on their first call, or loads what it has compiled before"


def kernels_in_use() -> Iterator[Finding]:
    """Tell which kernels this process has, and why."""
    module, level, reason = _compiled.compiled()
    if module is not None:
        yield Finding("in use", f"machine code for {level}, of the wheel: nothing is compiled here")
        yield Finding("made by", str(module.made_by))
        yield Finding("file", str(module.__file__))
    elif reason.endswith(" is set") or not _has_machine_code():
        yield Finding("in use", f"{_NUMBA}: {reason}")
    else:
        advice = "install the wheel again, with --force-reinstall, or set POSTPROC_JIT=1 for numba's"
        yield Finding("in use", f"{_NUMBA}: {reason}", Status.WARNING, advice)


def _has_machine_code() -> bool:
    return any(path for folder in kernels.__path__ for path in Path(folder).glob("_kernels_*"))


def levels() -> list[str]:
    """Give the instruction sets of this processor that there is machine code for, best first."""
    found = []
    for level in _compiled.LEVELS:
        try:
            module = importlib.import_module(f"{kernels.__name__}.{_compiled.module_name(level)}")
        except ImportError:  # another architecture's
            continue
        if module.is_supported():
            found.append(level)
    return found
