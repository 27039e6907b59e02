"""JSON text from wherever it lies, and its values: duplicate keys are an error."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from postproc.errors import SchemaError, SchemaProblem
from postproc.schema.limits import MOST_BYTES, MOST_DIGITS
from postproc.schema.problems import Location, describe, first_of, path_of, printable, repeated

# No waiting for the other end of a pipe, and no line ends changed where systems do so.
_OPEN_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def read_source(source: str | bytes | os.PathLike[str]) -> tuple[str | bytes, str]:
    """Return JSON text and what to call it in a message; read the file if ``source`` is a path."""
    if isinstance(source, bytes) or (
        isinstance(source, str) and source.lstrip("\ufeff \t\r\n").startswith("{")
    ):
        return source, "the text"
    if not isinstance(source, (str, os.PathLike)):
        raise SchemaError(f"expected a dict, JSON text or the path of a JSON file, got {describe(source)}")
    path = os.fsdecode(source)
    try:
        return read_file(path), path
    except SchemaError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null character
        reason = error.strerror if isinstance(error, OSError) else error
        hint = "; JSON text would start with '{'" if isinstance(source, str) else ""
        found = describe(path, longest=1000)
        raise SchemaError(f"cannot read the file {found}: {printable(str(reason))}{hint}") from None


def read_file(path: str) -> bytes:
    """Read a file, of which no more is taken than a document may have.

    Raises
    ------
    SchemaError
        If it is larger, or a pipe or a device.
    OSError, ValueError
        If it cannot be read.
    """
    _check_file(path, os.stat(path))  # opening a pipe or a device can wait, or do things
    with open(os.open(path, os.O_RDONLY | _OPEN_AT_ONCE), "rb") as file:
        _check_file(path, os.fstat(file.fileno()))
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:  # it has grown, or tells no size, as those of /proc
        raise SchemaError(f"{describe(path, longest=1000)}: {_too_long(len(content))}")
    return content


def _check_file(path: str, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    name = describe(path, longest=1000)
    if not stat.S_ISREG(status.st_mode):
        raise SchemaError(f"cannot read the file {name}: expected a regular file, got a pipe or a device")
    if status.st_size > MOST_BYTES:
        raise SchemaError(f"{name}: {_too_long(status.st_size)}")


def _too_long(size: int) -> str:
    return f"expected at most {MOST_BYTES:,} bytes, got {size:,}"


def parse_json(text: str | bytes, name: str) -> Any:
    """Return the value of JSON text.

    NaN and infinities pass, as Python reads them: the fields refuse them and know their path.
    """
    if len(text) > MOST_BYTES:
        raise SchemaError(f"{printable(name)}: {_too_long(len(text))}")
    marked: list[_RepeatingObject | _LongInteger] = []
    try:
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text))
        value = json.loads(
            text.lstrip("\ufeff"),
            object_pairs_hook=partial(_object, marked=marked),
            parse_int=partial(_integer, marked=marked),
        )
    except ValueError as error:
        raise SchemaError(f"{printable(name)} is not JSON: {printable(str(error))}") from None
    if marked:
        raise SchemaError(*first_of(_faults(value, ()), partial(SchemaProblem, "")))
    return value


class _RepeatingObject(dict[str, Any]):
    """An object that gives a key more than once."""

    repeated_key: str


@dataclass(frozen=True, slots=True)
class _LongInteger:
    """An integer that Python may refuse to read, or take long for."""

    digits: int


def _object(pairs: list[tuple[str, Any]], marked: list[Any]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) == len(pairs):
        return document
    repeating = _RepeatingObject(document)
    row, _ = next(repeated([key for key, _ in pairs]))
    repeating.repeated_key = pairs[row][0]
    marked.append(repeating)
    return repeating


def _integer(text: str, marked: list[Any]) -> int | _LongInteger:
    digits = len(text) - text.startswith("-")
    if digits <= MOST_DIGITS:
        return int(text)
    long = _LongInteger(digits)
    marked.append(long)
    return long


def _faults(value: Any, location: Location) -> Iterator[SchemaProblem]:
    """Yield a problem for each marked value."""
    if isinstance(value, _RepeatingObject):
        message = f"the key {describe(value.repeated_key)} is given twice in this object; keep one"
        yield SchemaProblem(path_of(location), message)
    if isinstance(value, _LongInteger):
        message = f"expected an integer of at most {MOST_DIGITS} digits, got one of {value.digits:,}"
        yield SchemaProblem(path_of(location), message)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _faults(item, (*location, key))
    elif isinstance(value, list):
        for row, item in enumerate(value):
            yield from _faults(item, (*location, row))
