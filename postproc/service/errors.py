"""What goes wrong in a request, for the person who sent it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


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
    """

    def __init__(
        self, status: int, message: str, field: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.field = field
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Return the JSON body: ``error`` as the vendor's client tests it, ``detail`` as its docs show it."""
        error = {"message": self.message}
        if self.field is not None:
            error["field"] = self.field
        return {"error": error, "detail": self.message}


class InputError(ApiError):
    """What was sent cannot be used: a 400 that names the field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(400, f"{field}: {message}", field)


class QueueFull(ApiError):
    """More requests wait than the service holds: a 503 that says when to come again."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(
            503,
            "too many requests are waiting; send this one again later",
            headers={"Retry-After": str(max(1, round(retry_after)))},
        )
