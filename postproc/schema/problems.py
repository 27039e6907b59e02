"""Messages about a document: what was found, what was expected, where, and what to do."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from pydantic import ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from postproc.errors import SchemaError, SchemaProblem

Location: TypeAlias = "tuple[int | str, ...]"

_RULE = "schema_rule"


def describe(value: object, longest: int = 60) -> str:
    """Write a value as JSON, or its type where it is not JSON, in at most ``longest`` characters."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def counted(count: int, noun: str) -> str:
    """Write a count and its noun: "1 number", "3 numbers"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def path_of(location: Location) -> str:
    """Write a location as a JSON path: ``post_processings[0].detection.nms_threshold``."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif re.fullmatch(r"\w+", step):
            path += f".{step}" if path else step
        else:
            path += f"[{json.dumps(step, ensure_ascii=False)}]"
    return path


def closest(name: str, known: Iterable[str]) -> str:
    """Say which known name was probably meant, or list them all."""
    known = list(known)
    matches = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    return f"did you mean {matches[0]!r}?" if matches else f"known: {', '.join(known)}"


def repeated(values: Iterable[Hashable]) -> Iterator[tuple[int, int]]:
    """Yield the row of each value that came before, and the row where it first did."""
    first_rows: dict[Hashable, int] = {}
    for row, value in enumerate(values):
        first = first_rows.setdefault(value, row)
        if first != row:
            yield row, first


def rule_error(message: str) -> PydanticCustomError:
    """Make the error that a validator raises: ``message`` stays as it is, braces included."""
    return PydanticCustomError(_RULE, "{message}", {"message": message})


def problem(message: str, found: object, location: Location = ()) -> InitErrorDetails:
    """Make one entry of a `pydantic.ValidationError`."""
    return InitErrorDetails(type=rule_error(message), loc=location, input=found)


def expecting(what: str) -> WrapValidator:
    """Say "expected ``what``, got ..." for any value that the annotated type refuses.

    An int that stands for a float stays an int, so that a document dumps as it was read.
    """

    def check(value: object, handler: ValidatorFunctionWrapHandler) -> object:
        try:
            checked = handler(value)
        except ValidationError:
            raise rule_error(f"expected {what}, got {describe(value)}") from None
        return value if isinstance(value, int) else checked

    return WrapValidator(check)


def explained(error: ValidationError, fields: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    """Reword pydantic's own messages about an object that has these fields."""
    for details in error.errors(include_url=False):
        location, found = details["loc"], details["input"]
        if details["type"] == _RULE:
            message = details["ctx"]["message"]
        elif details["type"] == "too_short" and found:
            continue  # pydantic counts valid items only, and the invalid ones are reported already
        elif details["type"] == "extra_forbidden":
            message = f"unknown field; {closest(str(location[-1]), fields)}"
        else:
            message = _reword(details)
        yield problem(message, found, location)


def _reword(details: ErrorDetails) -> str:
    found, context = details["input"], details.get("ctx", {})
    match details["type"]:
        case "missing":
            return "required field is missing; add it"
        case "model_type" | "dict_type":
            expected = "an object"
        case "tuple_type":
            expected = "a list"
        case "too_short":
            expected = "a list that is not empty"
        case "literal_error":
            expected = context["expected"].replace("'", '"')
        case "invalid_key":
            return f"expected field names that are text, got {describe(details['loc'][-1])}"
        case _:
            return f"{details['msg']}, got {describe(found)}"
    return f"expected {expected}, got {describe(found)}"


def schema_error(error: ValidationError) -> SchemaError:
    """Turn pydantic's error into a `SchemaError` with all its problems."""
    return SchemaError(
        *(SchemaProblem(path_of(details["loc"]), details["msg"]) for details in error.errors())
    )
