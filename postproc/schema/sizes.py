"""Checks of size that come before any other: of texts, lists and whole documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError, ValidatorFunctionWrapHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, core_schema

from postproc.errors import SchemaError
from postproc.schema.limits import LONGEST_NAME, MOST_BYTES, MOST_DIGITS, MOST_NESTING, MOST_PROBLEMS
from postproc.schema.problems import describe, explained, problem, rule_error

TOO_DEEP = f"the document is nested too deeply: expected at most {MOST_NESTING} levels"

_OF_ONE_CHARACTER = (float, int)  # at least
_FIRST_TOO_LONG = 10**MOST_DIGITS


class AtMost:
    """Limits the length of the annotated list: longer ones are refused before their items are looked at."""

    # No dataclass, of which each takes 0.5 ms of an import.
    def __init__(self, most: int, noun: str = "items") -> None:
        self.most = most
        self.noun = noun

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "maxItems": self.most}

    def _check(self, value: object) -> object:
        if isinstance(value, (list, tuple)) and len(value) > self.most:
            raise rule_error(f"expected at most {self.most:,} {self.noun}, got {len(value):,}")
        return value


class Longest:
    """Limits the length of the annotated text, or of the integer in its place."""

    def __init__(self, longest: int) -> None:
        self.longest = longest

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "maxLength": self.longest}

    def _check(self, value: object) -> object:
        if message := text_problem(value, self.longest):
            raise rule_error(message)
        return value


def text_problem(value: object, longest: int | None = None) -> str:
    """Say why a text is too long, or it or an integer cannot be written as JSON and read again; else ""."""
    if isinstance(value, str):
        if longest is not None and len(value) > longest:
            return f"expected at most {longest:,} characters, got {len(value):,}: {describe(value)}"
        if not is_unicode(value):
            return f"expected Unicode text, got half of a surrogate pair in {describe(value)}"
    elif isinstance(value, int) and not -_FIRST_TOO_LONG < value < _FIRST_TOO_LONG:
        return f"expected an integer of at most {MOST_DIGITS} digits, got a longer one"
    return ""


def name_problem(name: str) -> str:
    """Say why a text cannot be the name of a field, or ""."""
    message = text_problem(name, LONGEST_NAME)
    return f"of a field's name: {message}" if message else ""


def is_unicode(text: str) -> bool:
    """Tell whether a text has no half of a surrogate pair, which cannot be written as UTF-8."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def by_item(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    """Validate a list: as a whole, and item by item only to tell what is wrong, up to the first problems.

    pydantic alone would hold a message for each of a million wrong items.
    """
    items = tuple(value) if isinstance(value, list) else value
    try:
        return handler(items)
    except ValidationError:
        if not isinstance(items, tuple) or not items:
            raise
    problems: list[InitErrorDetails] = []
    for row, item in enumerate(items):
        problems += _problems_of_item(row, item, handler)
        unchecked = len(items) - row - 1
        if len(problems) >= MOST_PROBLEMS and unchecked:
            problems.append(problem(f"the last {unchecked:,} of {len(items):,} items are not checked", items))
            break
    raise ValidationError.from_exception_data("list", problems)


def _problems_of_item(
    row: int, item: object, handler: ValidatorFunctionWrapHandler
) -> Iterator[InitErrorDetails]:
    try:
        handler((item,))
    except ValidationError as error:
        for details in explained(error, {}):
            yield {**details, "loc": (row, *details["loc"][1:])}


def check_size(document: dict[Any, Any]) -> None:
    """Check a document that comes as a dict as its JSON text would be checked.

    Raises
    ------
    SchemaError
        If its text would be too long, or it is nested too deeply; a dict that contains itself is.
    """
    _characters_left(document, MOST_BYTES, 1)


def _characters_left(value: object, left: int, level: int) -> int:
    """Return what a value's text, at its shortest, leaves of so many characters."""
    if isinstance(value, str):
        left -= len(value) + 1  # its container has counted one
    elif isinstance(value, (dict, list, tuple)):
        if level > MOST_NESTING:
            raise SchemaError(TOO_DEEP)
        left -= 2 * len(value)  # a comma or a colon, and a digit at least
        for item in value:
            if not isinstance(item, _OF_ONE_CHARACTER):
                left = _characters_left(item, left, level + 1)
        if isinstance(value, dict):
            for item in value.values():
                left -= 1
                if not isinstance(item, _OF_ONE_CHARACTER):
                    left = _characters_left(item, left, level + 1)
    if left < 0:
        raise SchemaError(f"expected at most {MOST_BYTES:,} characters of JSON, got more")
    return left
