"""What goes wrong in a request, for the person who sent it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from postproc.errors import SchemaError, SchemaProblem


class ApiError(Exception):
    """An answer of 4xx or 5xx.

    Parameters
    ----------
    status : int
        HTTP status.
    message : str
        What was found, what was expected, what to do.
    field : str, optional
        Path of what is wrong in the body, ``inputs[0].image.source``.
    headers : mapping of str to str, optional
        Further headers of the answer.
    problems : sequence of SchemaProblem
        All that is wrong, where it may be more than one field.
    """

    def __init__(
        self,
        status: int,
        message: str,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
        problems: Sequence[SchemaProblem] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.field = field
        self.headers = dict(headers or {})
        self.problems = tuple(problems)

    def body(self) -> dict[str, Any]:
        """Return the JSON body: ``error`` as the vendor's client tests it, ``detail`` as its docs show it."""
        error: dict[str, Any] = {"message": self.message}
        if self.field is not None:
            error["field"] = self.field
        if self.problems:
            error["fields"] = [
                {"field": problem.path, "message": problem.message} for problem in self.problems
            ]
        return {"error": error, "detail": self.message}


class InputError(ApiError):
    """What was sent cannot be used: a 400 that names the field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(400, f"{field}: {message}", field)


class QueueFullError(ApiError):
    """More requests wait than the service holds: a 503 that says when to come again."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(
            503,
            "too many requests are waiting; send this one again later",
            headers={"Retry-After": str(max(1, round(retry_after)))},
        )


def wrong_document(error: SchemaError, prefix: str = "") -> ApiError:
    """Make a 400 that names every path of a document that breaks rules."""
    problems = [SchemaProblem(_joined(prefix, problem.path), problem.message) for problem in error.errors]
    return ApiError(400, "\n".join(map(str, problems)), problems[0].path or None, problems=problems)


def not_found(what: str, identifier: object) -> ApiError:
    """Make a 404: the same for what never was, what is gone, and what is another tenant's."""
    return ApiError(404, f"there is no {what} {identifier}")


def _joined(prefix: str, path: str) -> str:
    return f"{prefix}{'' if not path or path.startswith('[') or not prefix else '.'}{path}"
