"""Spans that tests look at."""

from __future__ import annotations

import threading
from typing import Any

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
