"""JSON text from wherever it lies, and its values: duplicate keys are an error."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from postproc.errors import SchemaError, SchemaProblem
from postproc.schema.problems import Location, describe, path_of, repeated


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
        return Path(path).read_bytes(), path
    except (OSError, ValueError) as error:  # ValueError: a null character
        reason = error.strerror if isinstance(error, OSError) else error
        hint = "; JSON text would start with '{'" if isinstance(source, str) else ""
        found = describe(path, longest=1000)
        raise SchemaError(f"cannot read the file {found}: {reason}{hint}") from None


def parse_json(text: str | bytes, name: str) -> Any:
    """Return the value of JSON text.

    NaN and infinities pass, as Python reads them: the fields refuse them and know their path.
    """
    repeating: list[_RepeatingObject] = []
    try:
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text))
        value = json.loads(text.lstrip("\ufeff"), object_pairs_hook=partial(_object, repeating=repeating))
    except ValueError as error:
        raise SchemaError(f"{name} is not JSON: {error}") from None
    if repeating:
        raise SchemaError(*_repeated_keys(value, ()))
    return value


class _RepeatingObject(dict[str, Any]):
    """An object that gives a key more than once."""

    repeated_key: str


def _object(pairs: list[tuple[str, Any]], repeating: list[_RepeatingObject]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) == len(pairs):
        return document
    marked = _RepeatingObject(document)
    row, _ = next(repeated([key for key, _ in pairs]))
    marked.repeated_key = pairs[row][0]
    repeating.append(marked)
    return marked


def _repeated_keys(value: Any, location: Location) -> Iterator[SchemaProblem]:
    if isinstance(value, _RepeatingObject):
        message = f"the key {describe(value.repeated_key)} is given twice in this object; keep one"
        yield SchemaProblem(path_of(location), message)
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _repeated_keys(item, (*location, key))
    elif isinstance(value, list):
        for row, item in enumerate(value):
            yield from _repeated_keys(item, (*location, row))
