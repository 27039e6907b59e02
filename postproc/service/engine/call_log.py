"""What the log and the traces have of calls of networks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog
from structlog.contextvars import bound_contextvars

from postproc.service.engine.jobs import Job
from postproc.service.engine.networks.calls import Answer
from postproc.service.metrics import Metrics
from postproc.service.tracing import Trace, Tracing, is_sampled

logger = structlog.stdlib.get_logger("postproc.service")


def tell_start(jobs: Sequence[Job], metrics: Metrics) -> None:
    """Tell that jobs have waited, and will share a call."""
    now = time.monotonic()
    for job in jobs:
        metrics.took("wait", now - job.submitted)
        metrics.tracing.past("wait", job.work.trace, job.submitted, now)
    metrics.observe("postproc_batch_size", len(jobs))


class ToldCall:
    """A call of a network: its span, and its answer once there is one."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.answer: Answer | None = None


@contextmanager
def told(jobs: Sequence[Job], tracing: Tracing) -> Iterator[ToldCall]:
    """Log a call, with the ids of its requests, and tell its span.

    The span is one of the first request's whose trace is recorded; it links to those of the others, each of
    which has one of the same time that links to it.
    """
    started = time.monotonic()
    network = jobs[0].work.network.id
    traces = [job.work.trace for job in jobs if job.work.trace] or [{}]
    first, *others = sorted(traces, key=is_sampled, reverse=True)
    trouble: str | None = None
    try:
        with tracing.span("call", first, others, network=network, requests=len(jobs)) as fail:
            call = ToldCall(tracing.current() if first else {})
            yield call
            if call.answer is not None and call.answer.trouble is not None:
                trouble = call.answer.trouble
                fail(call.answer.log or trouble)
    except Exception as error:
        trouble = str(error)
        raise
    finally:
        ended = time.monotonic()
        for other in others:
            tracing.past("call", other, started, ended, links=[call.trace], error=trouble, network=network)
        if call.answer is not None:
            _tell_parts(tracing, call, ended)
        logger.info(
            "call",
            network=network,
            tasks=[job.task_id for job in jobs],
            request_ids=[job.work.request_id for job in jobs],
            waited_ms=[round(1000 * (job.started - job.submitted), 2) for job in jobs],
            ms=round(1000 * (ended - started), 2),
            trouble=trouble,
        )


def log_failure(job: Job, reason: str) -> None:
    """Log why a task ends in error."""
    with bound_contextvars(request_id=job.work.request_id):
        logger.warning("task failed", task=job.task_id, reason=reason)


def _tell_parts(tracing: Tracing, call: ToldCall, ended: float) -> None:
    """Tell what the process of networks measured, as if each part ended where the next began."""
    assert call.answer is not None
    begun = ended - call.answer.post_seconds
    if call.answer.network_seconds:
        tracing.past("network", call.trace, begun - call.answer.network_seconds, begun)
    if call.answer.post_seconds:
        tracing.past("post", call.trace, begun, ended)
