"""Traces by OpenTelemetry.

The server's span is made here and not by opentelemetry-instrumentation-asgi, of which there are only betas:
it names spans by paths, of which there is no end, and not by routes, and each of its releases asks for one of
the SDK. FastAPI makes one by itself in its newest releases, where a host has set a provider for the whole
process, which is not done here.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Scope
from structlog.contextvars import bound_contextvars

from postproc import __version__
from postproc.errors import PostprocError
from postproc.service.tracing import Answered, Fail, Trace, Tracing, Value

_END_SECONDS = 3.0
_METHODS = frozenset(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"))
_CARRIER = TraceContextTextMapPropagator()
_EXPORTERS = "opentelemetry_traces_exporter"  # the group of entry points that exporters register in
_OTLP = {"": "otlp_proto_http", "http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}


class OpenTelemetry(Tracing):
    """Spans of one process.

    Parameters
    ----------
    provider : TracerProvider
        Where they go.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("postproc", __version__)

    @contextmanager
    def request(self, request: Answered, scope: Scope) -> Iterator[None]:
        """Give the span of a request, which belongs to that of its client where it names one."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"  # clients may send any word
        attributes = {
            "http.request.method": method,
            "url.scheme": scope["scheme"],
            "url.path": scope["path"],
            "network.protocol.version": scope["http_version"],
            "postproc.request_id": request.id,
        }
        client = _CARRIER.extract(headers, Context())
        # A status says what failed, and not an error, all of which are answered.
        with (
            self._tracer.start_as_current_span(
                "HTTP" if method == "_OTHER" else method,
                client,
                SpanKind.SERVER,
                attributes,
                record_exception=False,
            ) as span,
            bound_contextvars(trace_id=trace.format_trace_id(span.get_span_context().trace_id)),
        ):
            try:
                yield
            finally:
                self._answered(span, request, method)

    def _answered(self, span: trace.Span, request: Answered, method: str) -> None:
        route, state = getattr(request.scope.get("route"), "path", None), request.scope["state"]
        if route is not None and method != "_OTHER":
            span.update_name(f"{method} {route}")
            span.set_attribute("http.route", route)
        if request.status is not None:
            span.set_attribute("http.response.status_code", request.status)
            if request.status >= 500:
                span.set_attribute("error.type", str(request.status))
                span.set_status(Status(StatusCode.ERROR))
        for name, key in (("tenant", "postproc.tenant"), ("task", "postproc.task")):
            if state.get(name) is not None:
                span.set_attribute(key, state[name])

    @contextmanager
    def span(
        self, name: str, parent: Trace | None = None, links: Sequence[Trace] = (), **attributes: Value
    ) -> Iterator[Fail]:
        """Give a span of the current one, or of `parent`: none for an empty one."""
        if parent is not None and not parent:
            yield _pass
            return
        context = None if parent is None else _context(parent)
        with self._tracer.start_as_current_span(
            name, context, attributes=_named(attributes), links=_links(links)
        ) as span:
            yield lambda reason: span.set_status(Status(StatusCode.ERROR, reason))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Give a span of the current one; none where there is none."""
        if not trace.get_current_span().get_span_context().is_valid:
            yield
            return
        with self._tracer.start_as_current_span(name):
            yield

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
        """Tell a span that has ended."""
        if not parent:
            return
        given: dict[str, Any] = {"attributes": _named(attributes), "links": _links(links)}
        span = self._tracer.start_span(name, _context(parent), start_time=_wall(started), **given)
        if error is not None:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(_wall(ended))

    def current(self) -> Trace:
        """Return the current span."""
        carrier: dict[str, str] = {}
        _CARRIER.inject(carrier)
        return carrier

    def close(self) -> None:
        """Send what has not been sent yet; a collector that is away is not waited for."""
        last = threading.Thread(target=self._provider.shutdown, name="postproc-spans", daemon=True)
        last.start()
        last.join(_END_SECONDS)


def from_environment(service: str) -> OpenTelemetry:
    """Return spans as the variables ``OTEL_*`` configure them.

    Raises
    ------
    PostprocError
        If they name an exporter that is not installed, or one of them cannot be read.
    """
    try:
        return OpenTelemetry(_provider(service))
    except (ValueError, TypeError) as error:
        raise PostprocError(f"the variables OTEL_* cannot be used: {error}") from error


def _provider(service: str) -> TracerProvider:
    resource = Resource.create({SERVICE_VERSION: __version__})  # with those of the environment
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: service}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)  # `close` does it, in bounded time
    for name in (os.environ.get("OTEL_TRACES_EXPORTER") or "otlp").split(","):
        provider.add_span_processor(BatchSpanProcessor(_exporter(name.strip())))
    return provider


def _exporter(name: str) -> Any:
    if name == "otlp":
        variables = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"
        protocol = next(filter(None, map(os.environ.get, variables)), "")
        name = _OTLP.get(protocol, protocol)
    known = {entry.name: entry for entry in entry_points(group=_EXPORTERS)}
    if name not in known:
        raise PostprocError(
            "OTEL_TRACES_EXPORTER or OTEL_EXPORTER_OTLP_PROTOCOL: expected an exporter that is installed, "
            f"one of {', '.join(sorted(known))}, got {name!r}"
        )
    return known[name].load()()


def _context(parent: Trace) -> Context:
    return _CARRIER.extract(parent, Context())


def _links(traces: Sequence[Trace]) -> list[Link]:
    spans = (trace.get_current_span(_context(item)).get_span_context() for item in traces)
    return [Link(span) for span in spans if span.is_valid]


def _named(attributes: dict[str, Value]) -> dict[str, Value]:
    return {f"postproc.{name}": value for name, value in attributes.items()}


def _wall(moment: float) -> int:
    return time.time_ns() - round((time.monotonic() - moment) * 1e9)


def _pass(_: str) -> None:
    """Mark nothing."""
