"""How types of kernels are written: one text for numba, for C (kernels.c) and for people.

An array is its element's type and its dimensions: ``f2`` is a C-contiguous matrix of float32. A number is its
type and a dot: ``q.`` is an int64. A tuple stands in brackets. Types are those of Python's `struct`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numba.core import types
from numba.core.types.containers import BaseTuple

ELEMENTS: dict[str, Any] = {
    "?": types.bool_,
    "b": types.int8,
    "B": types.uint8,
    "h": types.int16,
    "H": types.uint16,
    "i": types.int32,
    "I": types.uint32,
    "q": types.int64,
    "Q": types.uint64,
    "f": types.float32,
    "d": types.float64,
}
_CODES = {kind: code for code, kind in ELEMENTS.items()}


def write(kinds: Iterable[Any]) -> str:
    """Write numba's types.

    Raises
    ------
    ValueError
        If C does not read such a type.
    """
    return "".join(map(_write_one, kinds))


def _write_one(kind: Any) -> str:
    if isinstance(kind, BaseTuple):
        return f"({write(kind)})"
    if isinstance(kind, types.Array) and kind.layout == "C" and kind.aligned and kind.dtype in _CODES:
        return f"{_CODES[kind.dtype]}{kind.ndim}"
    if kind == types.none:
        return ""
    if kind in _CODES:
        return f"{_CODES[kind]}."
    raise ValueError(f"kernels.c does not read a {kind}")


def read(text: str) -> tuple[Any, ...]:
    """Read types of arguments: each array as read-only, as `postproc.kernels._numba` has them all."""
    found: list[Any] = []
    outer: list[list[Any]] = []
    position = 0
    while position < len(text):
        code = text[position]
        position += 1
        if code == "(":
            outer.append(found)
            found = []
        elif code == ")":
            made = types.BaseTuple.from_types(tuple(found))
            found = outer.pop()
            found.append(made)
        else:
            kind, size = ELEMENTS[code], text[position]
            found.append(kind if size == "." else types.Array(kind, int(size), "C", readonly=True))
            position += 1
    return tuple(found)


def slots(text: str) -> int:
    """Count the 64-bit numbers that C makes of arguments or results."""
    pairs = text.replace("(", "").replace(")", "")
    return sum(1 if size == "." else 5 + 2 * int(size) for size in pairs[1::2])
