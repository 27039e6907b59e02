"""Messages about a document: what was found, what was expected, where, and what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any, TypeAlias, TypeVar

from pydantic import ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from postproc.errors import SchemaError, SchemaProblem
from postproc.schema.limits import LONGEST_NAME, MOST_PROBLEMS

Location: TypeAlias = "tuple[int | str, ...]"

T = TypeVar("T")

_RULE = "schema_rule"
_MOST_KNOWN = 32  # more than any object has fields
_LONGEST_COMPARED = 64


def describe(value: object, longest: int = 60) -> str:
    """Write a value as JSON, or its type where it is not JSON, in at most ``longest`` characters.

    Takes as long as what is written, not as the value is large.
    """
    if isinstance(value, str):
        value = value[: longest + 1]
    text = ""
    try:
        for part in json.JSONEncoder(ensure_ascii=False).iterencode(value):
            text += part[: longest + 1]
            if len(text) > longest:
                break
    except (TypeError, ValueError, RecursionError):
        is_long = isinstance(value, int)  # Python writes no integers of thousands of digits
        text = "an integer of too many digits" if is_long else f"a value of type {type(value).__name__}"
    return printable(text if len(text) <= longest else f"{text[: longest - 3]}...")


def printable(text: str) -> str:
    """Write halves of surrogate pairs, which cannot be printed, as JSON's escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def counted(count: int, noun: str) -> str:
    """Write a count and its noun: "1 number", "3 numbers"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def path_of(location: Location) -> str:
    """Write a location as a JSON path: ``post_processings[0].detection.nms_threshold``.

    It ends before the first name that is too long to be written.
    """
    steps: list[str] = []
    for step in location:
        if isinstance(step, int):
            steps.append(f"[{step}]")
        elif len(step) > LONGEST_NAME:
            break
        elif re.fullmatch(r"\w+", step):
            steps.append(f".{step}" if steps else step)
        else:
            steps.append(f"[{printable(json.dumps(step, ensure_ascii=False))}]")
    return "".join(steps)


def closest(name: str, known: Iterable[str]) -> str:
    """Say which known name was probably meant, or list the first of them."""
    names = list(islice(known, _MOST_KNOWN + 1))
    listed = names[:_MOST_KNOWN]
    import difflib  # here, since few processes make such a mistake

    # It takes the product of the lengths.
    comparable = [name for name in listed if len(name) <= _LONGEST_COMPARED]
    if len(name) <= _LONGEST_COMPARED:
        for match in difflib.get_close_matches(name, comparable, n=1, cutoff=0.8):
            return f"did you mean {match!r}?"
    shown = [item if len(item) <= _LONGEST_COMPARED else f"{item[:_LONGEST_COMPARED]}..." for item in listed]
    return f"known: {', '.join([*shown, '...'] if len(names) > len(listed) else shown)}"


def first_of(problems: Iterable[T], make: Callable[[str], T]) -> list[T]:
    """Return the first problems; where there are more, ``make`` makes the last entry, which says so."""
    listed = list(islice(problems, MOST_PROBLEMS + 2))
    if len(listed) > MOST_PROBLEMS + 1:  # the last may be such an entry already
        listed[MOST_PROBLEMS:] = [make("further problems are not listed")]
    return listed


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
    """Turn pydantic's error into a `SchemaError` with its first problems."""
    listed = (
        SchemaProblem(path_of(details["loc"]), details["msg"])
        for details in error.errors(include_url=False, include_context=False)
    )
    return SchemaError(*first_of(listed, partial(SchemaProblem, "")))
