"""Traces of requests: what the service calls, which does nothing unless OpenTelemetry is configured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeAlias

from starlette.types import Scope

Trace: TypeAlias = Mapping[str, str]
"""A span that others may belong to, in any process: headers of W3C's Trace Context; empty for none."""

Fail: TypeAlias = Callable[[str], None]
"""Marks a span as failed, and says why."""

Value: TypeAlias = str | int | float

_NOTHING: AbstractContextManager[Any] = nullcontext()
_UNMARKED: AbstractContextManager[Fail] = nullcontext(lambda reason: None)


def is_sampled(trace: Trace) -> bool:
    """Tell whether a span is recorded: the last bit of its flags."""
    return trace.get("traceparent", "0")[-1] in "13579bdf"


class Answered(Protocol):
    """A request, as the gate of all requests has it."""

    id: str
    scope: dict[str, Any]
    status: int | None


class Tracing:
    """No traces: `postproc.service.spans.OpenTelemetry` makes some."""

    def request(self, request: Answered, scope: Scope) -> AbstractContextManager[None]:
        """Give the span of a request, as it came; its end has the route and the status."""
        return _NOTHING

    def span(
        self, name: str, parent: Trace | None = None, links: Sequence[Trace] = (), **attributes: Value
    ) -> AbstractContextManager[Fail]:
        """Give a span of the current one, or of `parent`: none for an empty one."""
        return _UNMARKED

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Give a span of the current one; none where there is none."""
        return _NOTHING

    def past(
        self,
        name: str,
        parent: Trace,
        started: float,
        ended: float,
        *,
        links: Sequence[Trace] = (),
        error: str | None = None,
        **attributes: Value,
    ) -> None:
        """Tell a span that has ended; times are of `time.monotonic`."""

    def current(self) -> Trace:
        """Return the current span."""
        return {}

    def close(self) -> None:
        """Send what has not been sent yet, in some seconds at most."""
