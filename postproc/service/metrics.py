"""What is measured, for Prometheus: each name once, with what it means, as docs/operations.md shows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from postproc.service.errors import CAUSES
from postproc.service.tracing import Tracing

STAGES = ("fetch", "decode", "prepare", "wait", "network", "post", "store")

_SECONDS = (
    *(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05),
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
)
_SIZES = (1, 2, 4, 8, 16, 32, 64)
_ENDINGS = ("success", "error")


@dataclass(frozen=True)
class Metric:
    """What a metric is.

    Parameters
    ----------
    kind : str
        ``counter``, ``gauge`` or ``histogram``. A counter's name is given without ``_total``.
    text : str
        What it measures.
    labels : mapping of str to sequence of str
        Its labels, and the values of each: rates exist before the first event then. None where only the
        events tell them.
    buckets : sequence of float
        Of a histogram.
    """

    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    buckets: Sequence[float] = _SECONDS


METRICS = {
    "postproc_http_request_seconds": Metric(
        "histogram", "HTTP requests, by route, method and status.", {"route": (), "method": (), "status": ()}
    ),
    "postproc_http_requests_under_way": Metric("gauge", "Requests that are being answered, without probes."),
    "postproc_refused": Metric(
        "counter",
        "Requests that got a 503, by what was short or away: a place in the queue, memory, places of "
        "requests under way, connections, places of uploads, room for outcomes, the database, the store of "
        "files, the cluster, or the service itself, which is being stopped.",
        {"cause": CAUSES},
    ),
    "postproc_stage_seconds": Metric(
        "histogram",
        "Time of a stage: fetch, decode, prepare of an image; wait of a request; network, post (the "
        "post-processing) of a call; store of outcomes that are written together.",
        {"stage": STAGES},
    ),
    "postproc_queue_length": Metric("gauge", "Requests that wait, or have a place to."),
    "postproc_queue_bytes": Metric("gauge", "Memory of the inputs that wait or run."),
    "postproc_queue_tenants": Metric("gauge", "Tenants whose requests wait."),
    "postproc_batch_size": Metric("histogram", "Requests of a network call.", buckets=_SIZES),
    "postproc_task_seconds": Metric("histogram", "Time from the acknowledgement of a task to its outcome."),
    "postproc_tasks": Metric(
        "counter", "Tasks whose outcome is written, by what it is.", {"outcome": _ENDINGS}
    ),
    "postproc_tasks_pending": Metric("gauge", "Tasks of this process that have no outcome written."),
    "postproc_sessions": Metric("gauge", "Networks that are loaded; 0 with --ray, where replicas load them."),
    "postproc_session_bytes": Metric("gauge", "Memory of the loaded networks."),
    "postproc_session_loads": Metric("counter", "Networks loaded, by outcome.", {"outcome": _ENDINGS}),
    "postproc_session_evictions": Metric("counter", "Networks unloaded for lack of memory."),
    "postproc_calls_ended": Metric(
        "counter", "Calls of networks that were ended, by cause.", {"cause": ("hung", "crashed")}
    ),
    "postproc_networks_held": Metric(
        "gauge", "Networks that are held back since their calls hung or crashed."
    ),
    "postproc_outcomes_waiting": Metric("gauge", "Outcomes of tasks that wait to be written."),
    "postproc_outcomes_waiting_bytes": Metric("gauge", "Memory of these outcomes."),
    "postproc_store_behind_seconds": Metric("gauge", "How long the oldest of them waits for the database."),
    "postproc_database_connections": Metric("gauge", "Connections to the database that are in use."),
    # Of front ends that share a database and a store; nothing happens to them in a single process.
    "postproc_front_ends": Metric(
        "gauge", "Front ends that live, as the database knew at the last sign of life."
    ),
    "postproc_heartbeat_age_seconds": Metric(
        "gauge", "Time since the database heard that this front end lives."
    ),
    "postproc_heartbeat_failures": Metric("counter", "Signs of life that the database did not take."),
    "postproc_leases_waiting": Metric(
        "gauge", "Tasks that nobody runs, of front ends that died or handed them over; each sees them all."
    ),
    "postproc_tasks_taken_over": Metric("counter", "Tasks that this front end took over from others."),
    "postproc_files_away": Metric("gauge", "1 while the store of network files does not answer, else 0."),
    "postproc_file_fetches": Metric(
        "counter", "Networks whose files were fetched from the store, by outcome.", {"outcome": _ENDINGS}
    ),
    "postproc_file_fetch_bytes": Metric("counter", "Bytes of the files that were fetched."),
    "postproc_file_evictions": Metric("counter", "Networks whose copies were removed for lack of room."),
    # Of networks on Ray.
    "postproc_cluster_away": Metric("gauge", "1 while the Ray cluster takes no calls, else 0."),
    "postproc_calls_retried": Metric("counter", "Calls that were tried again since their replica was lost."),
    "postproc_calls_lost": Metric("counter", "Calls that no replica ran; their tasks are handed over."),
}

REPLICA_METRICS = {
    "postproc_replica_networks": Metric("gauge", "Networks that are loaded."),
    "postproc_replica_network_bytes": Metric("gauge", "Memory of the loaded networks."),
    "postproc_replica_network_seconds": Metric(
        "histogram",
        "Time of a call in its network.",
        buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
    ),
    "postproc_replica_calls_ended": Metric(
        "counter", "Calls that were ended, by cause.", {"cause": ("hung", "crashed")}
    ),
    "postproc_replica_file_fetches": Metric(
        "counter", "Networks whose files were fetched from the store, by outcome.", {"outcome": _ENDINGS}
    ),
    "postproc_replica_file_fetch_bytes": Metric("counter", "Bytes of the files that were fetched."),
    "postproc_replica_file_evictions": Metric(
        "counter", "Networks whose copies were removed from a node for lack of room."
    ),
}
"""What replicas tell Ray's metrics, which add labels of their own: application, deployment, replica."""


class Metrics:
    """The metrics of one service, in a registry of their own; from many threads at once.

    Parameters
    ----------
    tracing : Tracing, optional
        Has a span of each stage, and is at hand where something is measured.

    Attributes
    ----------
    registry : CollectorRegistry
        For `prometheus_client.generate_latest`.
    """

    def __init__(self, tracing: Tracing | None = None) -> None:
        self.tracing = tracing or Tracing()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._made: dict[str, Any] = {name: self._make(name, metric) for name, metric in METRICS.items()}

    def _make(self, name: str, metric: Metric) -> Counter | Gauge | Histogram:
        labels = list(metric.labels)
        if metric.kind == "gauge":
            return Gauge(name, metric.text, registry=self.registry)
        made: Counter | Histogram
        if metric.kind == "counter":
            made = Counter(name, metric.text, labels, registry=self.registry)
        else:
            made = Histogram(name, metric.text, labels, buckets=metric.buckets, registry=self.registry)
        for values in product(*metric.labels.values()) if labels else ():
            made.labels(*values)
        return made

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage, one of `STAGES`."""
        started = time.perf_counter()
        try:
            with self.tracing.stage(name):
                yield
        finally:
            self.took(name, time.perf_counter() - started)

    def took(self, stage: str, seconds: float) -> None:
        """Count the time of a stage that was measured elsewhere."""
        self._made["postproc_stage_seconds"].labels(stage).observe(seconds)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Count events: `name` is a counter's of `METRICS`."""
        counter = self._made[name]
        (counter.labels(**labels) if labels else counter).inc(amount)

    def observe(self, name: str, value: float) -> None:
        """Add a value to a histogram of `METRICS` that has no labels."""
        self._made[name].observe(value)

    def watch(self, **read: Callable[[], float]) -> None:
        """Read gauges, by their names, when metrics are asked for."""
        for name, function in read.items():
            self._made[name].set_function(function)

    def ended(self, succeeded: int, failed: int) -> None:
        """Count tasks that ended."""
        self.count("postproc_tasks", succeeded, outcome="success")
        self.count("postproc_tasks", failed, outcome="error")

    def loaded(self, loads: int, evictions: int, failed: bool) -> None:
        """Count networks that were loaded and unloaded for a call, and whether its own could not be."""
        self.count("postproc_session_loads", loads, outcome="success")
        self.count("postproc_session_loads", failed, outcome="error")
        self.count("postproc_session_evictions", evictions)

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
        self._made["postproc_http_request_seconds"].labels(route, method, str(status)).observe(seconds)
