"""Spans that tests look at."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="the extra tracing is not installed")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider

from postproc.service.spans import OpenTelemetry


class Spans(SpanProcessor):
    """Keeps the spans that ended, and counts those that are open."""

    def __init__(self) -> None:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(self)
        self.tracing = OpenTelemetry(provider)
        self.ended: list[ReadableSpan] = []
        self.open = 0
        self._lock = threading.Lock()

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        with self._lock:
            self.open += 1

    def on_end(self, span: ReadableSpan) -> None:
        with self._lock:
            self.open -= 1
            self.ended.append(span)

    def of(self, trace_id: str) -> dict[str, ReadableSpan]:
        return {span.name: span for span in list(self.ended) if trace_of(span) == trace_id}


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


class _Collector(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        found = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
        for group in found.resource_spans:
            resource = {item.key: item.value.string_value for item in group.resource.attributes}
            for scope in group.scope_spans:
                self.server.received.extend((resource, span) for span in scope.spans)  # type: ignore[attr-defined]
        self.send_response(200 if self.path == "/v1/traces" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def collector() -> Iterator[tuple[str, list[tuple[dict[str, str], Any]]]]:
    """Give the address of a collector, and what it receives: attributes of the process, and a span."""
    server = HTTPServer(("127.0.0.1", 0), _Collector)
    received: list[tuple[dict[str, str], Any]] = []
    server.received = received  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
