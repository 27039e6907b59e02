"""What goes wrong in a request, for the person who sent it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from postproc.errors import SchemaError, SchemaProblem


class Status(NamedTuple):
    """What a status of the service's answers means, and what its client does about it."""

    meaning: str
    remedy: str


STATUSES = {
    400: Status("What was sent is wrong; the body names the field.", "Mend what the body names."),
    401: Status("No valid key in X-API-KEY.", "Send one; ``postproc keys add NAME`` makes one."),
    403: Status("This is public, and cannot be changed.", "Make an object of your own."),
    404: Status(
        "There is no such object, or it is another tenant's.",
        "Look at the id and at whose key it is; a task goes an hour after its end (``--task-seconds``).",
    ),
    405: Status("The path does not take this method.", "``Allow`` names those that it takes."),
    408: Status("The body came too slowly.", "Send it again, at 1 KiB/s or more."),
    409: Status("Not as things are now.", "The message says what comes first."),
    413: Status("The body is too large.", "Send less, or raise ``--max-body`` or ``--max-model``."),
    415: Status("The body has another content type.", "The message names those that the path takes."),
    500: Status("The service failed.", "Its log says why, under the request's id, ``X-Request-ID``."),
    503: Status(
        "Too many requests wait: send this one again after the time in Retry-After.",
        "Do so; it also comes while the service stops, or its database does not answer.",
    ),
    507: Status("The disk of the service is full.", "Make room, then send it again."),
}
"""Every status of an error that the service answers."""

CAUSES = (
    *("queue", "memory", "requests", "connections", "uploads", "outcomes"),
    *("database", "files", "cluster", "stopping"),
)
"""What is short or away where a request is refused, a 503."""


class ApiError(Exception):
    """An answer of 4xx or 5xx.

    Parameters
    ----------
    status : int
        HTTP status, one of `STATUSES`.
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


class RefusedError(ApiError):
    """A 503 that says when to come again.

    Parameters
    ----------
    message : str
        What is short, or away.
    cause : str
        One of `CAUSES`, by which it is counted.
    retry_after : float
        Seconds.
    """

    def __init__(self, message: str, cause: str, retry_after: float = 1.0) -> None:
        super().__init__(503, message, headers={"Retry-After": str(max(1, round(retry_after)))})
        self.cause = cause


class QueueFullError(RefusedError):
    """More requests wait than the service holds."""

    def __init__(self, retry_after: float = 1.0, cause: str = "queue") -> None:
        super().__init__("too many requests are waiting; send this one again later", cause, retry_after)


def wrong_document(error: SchemaError, prefix: str = "") -> ApiError:
    """Make a 400 that names every path of a document that breaks rules."""
    problems = [SchemaProblem(_joined(prefix, problem.path), problem.message) for problem in error.errors]
    return ApiError(400, "\n".join(map(str, problems)), problems[0].path or None, problems=problems)


def not_found(what: str, identifier: object) -> ApiError:
    """Make a 404: the same for what never was, what is gone, and what is another tenant's."""
    return ApiError(404, f"there is no {what} {identifier}")


def _joined(prefix: str, path: str) -> str:
    return f"{prefix}{'' if not path or path.startswith('[') or not prefix else '.'}{path}"
