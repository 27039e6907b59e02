"""What is measured, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

STAGES = ("fetch", "decode", "prepare", "wait", "network", "post", "store")

_SECONDS = (
    *(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05),
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
)
_SIZES = (1, 2, 4, 8, 16, 32, 64)

_GAUGES = {
    "postproc_queue_length": "Requests that wait.",
    "postproc_queue_bytes": "Memory of the inputs that wait or run.",
    "postproc_outcomes_waiting": "Outcomes of tasks that wait to be written.",
    "postproc_outcomes_waiting_bytes": "Memory of these outcomes.",
    "postproc_store_behind_seconds": "How long the oldest of them waits.",
    "postproc_sessions": "Networks that are loaded.",
    "postproc_session_bytes": "Memory of the loaded networks.",
    "postproc_networks_held": "Networks that are held back since their calls hung or crashed.",
}


class Metrics:
    """The metrics of one service, in a registry of their own; from many threads at once.

    Attributes
    ----------
    registry : CollectorRegistry
        For `prometheus_client.generate_latest`.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        stages = Histogram(
            "postproc_stage_seconds",
            "Time of a stage: fetch, decode, prepare, wait of a request; network, post, store of a batch.",
            ["stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._stages = {stage: stages.labels(stage) for stage in STAGES}
        self._batch = Histogram(
            "postproc_batch_size", "Requests of a network call.", buckets=_SIZES, registry=self.registry
        )
        self._tasks = Counter(
            "postproc_tasks", "Tasks that ended, by outcome.", ["outcome"], registry=self.registry
        )
        self._refused = Counter(
            "postproc_refused", "Requests refused since the queue was full.", registry=self.registry
        )
        self._loads = Counter(
            "postproc_session_loads", "Networks loaded, by outcome.", ["outcome"], registry=self.registry
        )
        self._evictions = Counter(
            "postproc_session_evictions", "Networks unloaded for lack of memory.", registry=self.registry
        )
        self._struck = Counter(
            "postproc_calls_ended",
            "Calls of networks that were ended, by cause: hung or crashed.",
            ["cause"],
            registry=self.registry,
        )
        self._requests = Histogram(
            "postproc_http_request_seconds",
            "HTTP requests, by route, method and status.",
            ["route", "method", "status"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._gauges = {name: Gauge(name, text, registry=self.registry) for name, text in _GAUGES.items()}
        for outcome in ("success", "error"):  # so that rates exist before the first of them
            self._tasks.labels(outcome)
        for cause in ("hung", "crashed"):
            self._struck.labels(cause)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage, one of `STAGES`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.took(name, time.perf_counter() - started)

    def took(self, stage: str, seconds: float) -> None:
        """Count the time of a stage that was measured elsewhere."""
        self._stages[stage].observe(seconds)

    def batch(self, size: int) -> None:
        """Count a network call of some requests."""
        self._batch.observe(size)

    def ended(self, succeeded: int, failed: int) -> None:
        """Count tasks that ended."""
        self._tasks.labels("success").inc(succeeded)
        self._tasks.labels("error").inc(failed)

    def refused(self) -> None:
        """Count a request that found the queue full."""
        self._refused.inc()

    def watch(self, **read: Callable[[], float]) -> None:
        """Read gauges, by their names, when metrics are asked for."""
        for name, function in read.items():
            self._gauges[name].set_function(function)

    def loaded(self, loads: int, evictions: int, failed: bool) -> None:
        """Count networks that were loaded and unloaded for a call, and whether its own could not be."""
        self._loads.labels("success").inc(loads)
        self._loads.labels("error").inc(failed)
        self._evictions.inc(evictions)

    def struck(self, cause: str) -> None:
        """Count a call that hung or crashed."""
        self._struck.labels(cause).inc()

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an HTTP request.

        Parameters
        ----------
        route : str
            The pattern, ``/v0.7/networks/{id}``, and never the path, whose numbers have no end.
        method : str
            ``GET``, ...
        status : int
            Of the answer.
        seconds : float
            From the first byte to the last.
        """
        self._requests.labels(route, method, str(status)).observe(seconds)
