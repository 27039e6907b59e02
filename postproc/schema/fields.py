"""The types that the fields of the documents are made of: strict, finite, immutable."""

from __future__ import annotations

import math
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_core import InitErrorDetails

from postproc.schema.problems import Location, describe, expecting, problem

T = TypeVar("T")

_LARGEST_INT32 = 2**31 - 1


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Number = Annotated[float, expecting("a finite number")]
PositiveNumber = Annotated[float, Field(gt=0), expecting("a finite number above 0")]
UnitNumber = Annotated[float, Field(ge=0, le=1), expecting("a number from 0 to 1")]
PixelValue = Annotated[float, Field(ge=0, le=255), expecting("a number from 0 to 255")]
PositiveInteger = Annotated[
    int, Field(gt=0, le=_LARGEST_INT32), expecting(f"an integer from 1 to {_LARGEST_INT32}")
]
Index = Annotated[int, Field(ge=0, le=_LARGEST_INT32), expecting(f"an integer from 0 to {_LARGEST_INT32}")]
LabelId = Annotated[int, Field(ge=-(2**63), le=2**63 - 1), expecting("an integer of at most 64 bits")]
Flag = Annotated[bool, expecting("true or false")]
Text = Annotated[str, expecting("text")]
Name = Annotated[str, Field(min_length=1), expecting("text that is not empty")]
Identifier = Annotated[int | Name, expecting("an integer or text that is not empty")]

Listed = Annotated[tuple[T, ...], BeforeValidator(_as_tuple)]
NonEmpty = Annotated[tuple[T, ...], Field(min_length=1), BeforeValidator(_as_tuple)]
Pair = Annotated[tuple[T, T], BeforeValidator(_as_tuple)]
Quadruple = Annotated[tuple[T, T, T, T], BeforeValidator(_as_tuple)]


def _copy_json(value: object) -> object:
    problems: list[InitErrorDetails] = []
    copied = _walk_json(value, (), problems)
    if problems:
        raise ValidationError.from_exception_data("JSON", problems)
    return copied


def _walk_json(value: object, location: Location, problems: list[InitErrorDetails]) -> object:
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            problems.append(problem("expected field names that are text", value, location))
        return {key: _walk_json(item, (*location, str(key)), problems) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_walk_json(item, (*location, row), problems) for row, item in enumerate(value)]
    is_finite = isinstance(value, float) and math.isfinite(value)
    if not (value is None or isinstance(value, (str, int)) or is_finite):
        problems.append(problem(f"expected a JSON value, got {describe(value)}", value, location))
    return value


# Free JSON, copied so that the caller's later changes do not reach the document.
FreeJson = Annotated[Any, BeforeValidator(_copy_json)]
