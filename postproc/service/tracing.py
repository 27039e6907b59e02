"""Traces of requests: what the service calls, which does nothing unless OpenTelemetry is configured."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeAlias

from starlette.types import Scope

from postproc.installing import install

logger = logging.getLogger(__name__)

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


def tracing_of_environment(service: str = "postproc") -> Tracing:
    """Return what the variables ``OTEL_*`` ask for: no traces where there are none.

    Parameters
    ----------
    service : str
        Name of this process, unless ``OTEL_SERVICE_NAME`` has one.

    Raises
    ------
    PostprocError
        If they name an exporter that is not installed.
    """
    if not _is_configured(os.environ):
        return Tracing()
    try:
        from postproc.service.spans import from_environment
    except ImportError as error:
        logger.warning("OTEL_* asks for traces, which need an extra: %s (%s)", install("tracing"), error)
        return Tracing()
    return from_environment(service)


def _is_configured(environment: Mapping[str, str]) -> bool:
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    if exporter:
        return exporter != "none"
    endpoints = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    return any(environment.get(name) for name in endpoints)
