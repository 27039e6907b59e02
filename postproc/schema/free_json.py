"""JSON that the schema says nothing about: copied, and limited in size."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pydantic import ValidationError
from pydantic_core import InitErrorDetails

from postproc.schema.limits import MOST_FREE_VALUES, MOST_NESTING, MOST_PROBLEMS
from postproc.schema.problems import Location, describe, problem
from postproc.schema.sizes import TOO_DEEP, name_problem, text_problem

_LEVEL = 2  # of the value of a field, the document's being 1


def copy_json(value: object) -> object:
    """Copy a JSON value.

    Raises
    ------
    ValidationError
        If it is no JSON value, or larger than `postproc.schema.limits` allows.
    """
    copying = _Copying()
    try:
        copied = copying.copy(value, ())
    except _TooMuchError:
        copied = None
    if copying.problems:
        raise ValidationError.from_exception_data("JSON", copying.problems)
    return copied


class _TooMuchError(Exception):
    """There is no use in looking further: the last problem says why."""


class _Copying:
    def __init__(self) -> None:
        self.problems: list[InitErrorDetails] = []
        self._values = 0

    def copy(self, value: object, location: Location) -> object:
        self._values += 1
        if self._values > MOST_FREE_VALUES:
            self.problems = [problem(f"expected at most {MOST_FREE_VALUES:,} values in all, got more", value)]
            raise _TooMuchError
        if isinstance(value, (dict, list, tuple)):
            if _LEVEL + len(location) > MOST_NESTING:
                self.problems = [problem(TOO_DEEP, value)]
                raise _TooMuchError
            if isinstance(value, dict):
                return dict(self._fields(value, location))
            return [self.copy(item, (*location, row)) for row, item in enumerate(value)]
        is_finite = isinstance(value, float) and math.isfinite(value)
        if not (value is None or isinstance(value, (str, int)) or is_finite):
            self._add(f"expected a JSON value, got {describe(value)}", value, location)
        elif message := text_problem(value):
            self._add(message, value, location)
        return value

    def _fields(self, value: dict[object, object], location: Location) -> Iterator[tuple[str, object]]:
        for key, item in value.items():
            if not isinstance(key, str):
                self._add("expected field names that are text", value, location)
            elif message := name_problem(key):
                self._add(message, value, location)
            else:
                yield key, self.copy(item, (*location, key))

    def _add(self, message: str, value: object, location: Location) -> None:
        if len(self.problems) == MOST_PROBLEMS:
            self.problems.append(problem("further problems are not listed", value))
            raise _TooMuchError
        self.problems.append(problem(message, value, location))
