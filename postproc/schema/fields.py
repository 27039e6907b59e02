"""The types that the fields of the documents are made of: strict, finite, immutable, limited in size."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import (
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from postproc.schema.free_json import copy_json
from postproc.schema.limits import LONGEST_NAME, LONGEST_TEXT, MOST_LABELS
from postproc.schema.problems import describe, expecting, rule_error
from postproc.schema.sizes import AtMost, Longest, by_item

T = TypeVar("T")

_LARGEST_INT32 = 2**31 - 1
_LARGEST_FLOAT32 = 3.4028234663852886e38


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Number = Annotated[float, expecting("a finite number")]
Float32 = Annotated[float, Field(ge=-_LARGEST_FLOAT32, le=_LARGEST_FLOAT32), expecting("what float32 holds")]
PositiveNumber = Annotated[float, Field(gt=0), expecting("a finite number above 0")]
UnitNumber = Annotated[float, Field(ge=0, le=1), expecting("a number from 0 to 1")]
PixelValue = Annotated[float, Field(ge=0, le=255), expecting("a number from 0 to 255")]
PositiveInteger = Annotated[
    int, Field(gt=0, le=_LARGEST_INT32), expecting(f"an integer from 1 to {_LARGEST_INT32}")
]
Index = Annotated[int, Field(ge=0, le=_LARGEST_INT32), expecting(f"an integer from 0 to {_LARGEST_INT32}")]
LabelId = Annotated[int, Field(ge=-(2**63), le=2**63 - 1), expecting("an integer of at most 64 bits")]
Flag = Annotated[bool, expecting("true or false")]
Text = Annotated[str, expecting("text"), Longest(LONGEST_TEXT)]
ShortText = Annotated[str, expecting("text"), Longest(LONGEST_NAME)]
Name = Annotated[str, Field(min_length=1), expecting("text that is not empty"), Longest(LONGEST_NAME)]
Identifier = Annotated[int | Name, expecting("an integer or text that is not empty"), Longest(LONGEST_NAME)]

# Each use of these two adds its `AtMost`.
Listed = Annotated[tuple[T, ...], Field(fail_fast=True), WrapValidator(by_item)]
NonEmpty = Annotated[tuple[T, ...], Field(min_length=1, fail_fast=True), WrapValidator(by_item)]
Pair = Annotated[tuple[T, T], BeforeValidator(_as_tuple)]
Quadruple = Annotated[tuple[T, T, T, T], BeforeValidator(_as_tuple)]

# Free JSON, copied so that the caller's later changes do not reach the document.
FreeJson = Annotated[Any, BeforeValidator(copy_json)]
FreeObject = Annotated[dict[str, Any], BeforeValidator(copy_json)]


def _itself(value: object) -> object:
    return value


class OrOne:
    """Lets one item stand in the place of a list of them: of equal ones, as many as are needed."""

    def __init__(self, many: Any, expected: str) -> None:
        self.many = many
        self.expected = expected

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        as_it_is = core_schema.plain_serializer_function_ser_schema(_itself)
        many = handler.generate_schema(self.many)
        return core_schema.no_info_wrap_validator_function(self._check, many, serialization=as_it_is)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        many = handler(schema)
        return {"anyOf": [many["items"], many]}

    def _check(self, value: object, handler: ValidatorFunctionWrapHandler) -> object:
        if isinstance(value, (list, tuple)):
            return handler(value)
        try:
            (one,) = handler((value,))
        except ValidationError:
            raise rule_error(f"expected {self.expected}, got {describe(value)}") from None
        return one


PerLabel = Annotated[Listed[UnitNumber], AtMost(MOST_LABELS, "thresholds")]
Thresholds = Annotated[
    float | tuple[float, ...], OrOne(PerLabel, "a number from 0 to 1, or a list of them, one per label")
]
