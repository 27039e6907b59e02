"""The texts of a form as the values that they stood for: by the schema, so that a name "123" stays text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from postproc.errors import SchemaError
from postproc.schema.parsing import parse_json

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_FLAGS = {"True": True, "true": True, "False": False, "false": False}  # Python's spelling, and JSON's


def restore(value: Any, kind: Any) -> Any:
    """Return a value of a form as its schema has it.

    A text becomes a number, a flag, or (where JSON text is given) a list or an object if `kind` lets it be
    one; what does not fit stays as it is, for the schema to complain about.

    Parameters
    ----------
    value : str, list, dict or bytes
        From `postproc.service.http.forms.nested`.
    kind : type
        A pydantic model or an annotation of one of its fields; Any guesses.
    """
    kinds = list(_alternatives(kind))
    if isinstance(value, str):
        return _from_text(value, kinds)
    if isinstance(value, list):
        items = [item for found in kinds if (item := _item(found)) is not None] or [Any]
        return [restore(item, Union[tuple(items)]) for item in value]  # noqa: UP007 - of a tuple
    if isinstance(value, dict):
        return {key: restore(item, _field(key, kinds)) for key, item in value.items()}
    return value


def _from_text(text: str, kinds: list[Any]) -> Any:
    anything = Any in kinds
    if (anything or bool in kinds) and text in _FLAGS:
        return _FLAGS[text]
    if (anything or int in kinds or float in kinds) and _NUMBER.fullmatch(text):
        return (
            json.loads(text) if len(text) < 400 else text
        )  # Python reads integers of some thousand digits only
    has_parts = any(_item(kind) is not None or _is_object(kind) for kind in kinds)
    if has_parts and text.lstrip().startswith(("{", "[")):
        try:
            return parse_json(text, "the text")
        except (SchemaError, RecursionError):
            return text
    return text


def _alternatives(kind: Any) -> Iterator[Any]:
    """Yield the types that a union stands for, without what is written around them."""
    origin = get_origin(kind)
    if origin is Annotated:
        yield from _alternatives(get_args(kind)[0])
    elif origin in (Union, UnionType):
        for member in get_args(kind):
            yield from _alternatives(member)
    elif origin is Literal:
        yield from {type(member) for member in get_args(kind)}
    else:
        yield kind


def _item(kind: Any) -> Any:
    """Return the type of a list's items, or None if this is no list."""
    return get_args(kind)[0] if get_origin(kind) in (tuple, list) else None


def _is_object(kind: Any) -> bool:
    return kind is dict or get_origin(kind) is dict or _is_model(kind)


def _is_model(kind: Any) -> bool:
    # In Python 3.10 a type of generics, dict[str, Any], is an instance of type, too.
    return get_origin(kind) is None and isinstance(kind, type) and issubclass(kind, BaseModel)


def _field(name: str, kinds: list[Any]) -> Any:
    for kind in kinds:
        if _is_model(kind) and name in kind.model_fields:
            return kind.model_fields[name].annotation
        if get_origin(kind) is dict:
            return get_args(kind)[1]
    return Any if Any in kinds or dict in kinds else str
