"""Outcomes on their way to whoever keeps them, in a thread of its own."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence

from postproc.service.metrics import Metrics
from postproc.service.work import Outcome

logger = logging.getLogger(__name__)

_MOST_WAITING = 64  # batches; beyond them the networks wait for the store
_MOST_TOGETHER = 256  # outcomes
_PAUSES = (0.1, 0.5, 2.0)  # seconds, before each further attempt


class Reporter:
    """Hands outcomes on, those of several batches together where they wait.

    A network need not wait for the disk, and one transaction serves many tasks. What fails is tried again
    three times, then logged.

    Parameters
    ----------
    on_done : callable
        Takes outcomes.
    metrics : Metrics
        Counts them.
    """

    def __init__(self, on_done: Callable[[Sequence[Outcome]], None], metrics: Metrics) -> None:
        self._on_done = on_done
        self._metrics = metrics
        self._queue: queue.Queue[Sequence[Outcome] | None] = queue.Queue(_MOST_WAITING)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="postproc-report", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, outcomes: Sequence[Outcome]) -> None:
        """Hand outcomes over; waits where too many are on their way."""
        if outcomes:
            self._queue.put(outcomes)

    def stop(self, timeout: float) -> None:
        """Hand on what is left, in at most `timeout` seconds."""
        self._stopping.set()
        deadline = time.monotonic() + timeout
        try:
            self._queue.put(None, timeout=timeout)
        except queue.Full:
            logger.error("outcomes could not be stored in time")
            return
        if self._thread.is_alive():
            self._thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        is_open = True
        while is_open:
            first = self._queue.get()
            outcomes, is_open = list(first or ()), first is not None
            while is_open and len(outcomes) < _MOST_TOGETHER:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                outcomes.extend(more or ())
                is_open = more is not None
            if outcomes:
                self._store(outcomes)

    def _store(self, outcomes: Sequence[Outcome]) -> None:
        for pause in (*_PAUSES, None):
            try:
                with self._metrics.stage("store"):
                    self._on_done(outcomes)
            except Exception:
                logger.exception("%d outcomes could not be stored", len(outcomes))
                if pause is not None:
                    self._stopping.wait(pause)
            else:
                failed = sum(outcome.error is not None for outcome in outcomes)
                self._metrics.ended(len(outcomes) - failed, failed)
                return
