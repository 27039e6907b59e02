"""The signs of life of a front end, by which others know that its tasks are in good hands."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from postproc.service.metrics import Metrics
from postproc.service.store.leases import LeasedTasks, Seen
from postproc.service.store.outages import reason_of

if TYPE_CHECKING:
    from postproc.service.engine.interface import InferenceEngine

logger = logging.getLogger(__name__)

_LONGEST_PAUSE = 2.0


class Heart:
    """Tells the database that this front end lives, and the engine what it hears of the others.

    Parameters
    ----------
    tasks : LeasedTasks
        Of this front end, which has told once that it lives.
    seconds : float
        How long one that says nothing counts as alive.
    engine : InferenceEngine
        Takes what tenants hold and have had elsewhere into account, and resumes what was resumed elsewhere.
    metrics : Metrics
        Shows what it sees, and counts signs that the database did not take.

    Attributes
    ----------
    pause : float
        Seconds between two signs.
    is_waiting : bool
        Whether tasks wait for someone to take them over.
    """

    def __init__(self, tasks: LeasedTasks, seconds: float, engine: InferenceEngine, metrics: Metrics) -> None:
        self._tasks, self._seconds, self._engine, self._metrics = tasks, seconds, engine, metrics
        self.pause = min(seconds / 4, _LONGEST_PAUSE)
        self._is_over = threading.Event()
        self._last = self._since = time.monotonic()
        self._is_unheard = False
        self._seen = Seen()
        self.is_waiting = True  # unknown yet
        metrics.watch(
            postproc_front_ends=lambda: self._seen.front_ends,
            postproc_leases_waiting=lambda: self._seen.waiting,
            postproc_heartbeat_age_seconds=lambda: time.monotonic() - self._last,
        )
        works = {"heart": self._beat, "ear": self._look}  # which takes many times as long
        self._threads = [
            threading.Thread(target=self._repeat, args=(work,), name=f"postproc-{name}", daemon=True)
            for name, work in works.items()
        ]

    @property
    def is_steady(self) -> bool:
        """Whether it has told in time for so long that whoever has not is dead.

        Where the database was away, all leases are over at its return, and their holders need a moment.
        """
        now = time.monotonic()
        return now - self._last <= self._seconds <= now - self._since

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End them."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, work: Callable[[], None]) -> None:
        is_failing = False
        while not self._is_over.wait(self.pause):
            try:
                work()
            except Exception as error:  # the next one may be heard
                if not is_failing:
                    logger.warning("the database does not hear this front end: %s", reason_of(error))
                is_failing = True
            else:
                is_failing = False

    def _beat(self) -> None:
        began = time.monotonic()  # the lease lives from then on at least
        try:
            self._tasks.beat()
        except Exception:
            self._metrics.count("postproc_heartbeat_failures")
            self._is_unheard = True
            raise
        now = time.monotonic()
        if self._is_unheard or now - self._last > self._seconds:
            self._since = now
        self._is_unheard, self._last = False, began

    def _look(self) -> None:
        seen = self._tasks.look(self._engine.had())
        self._seen, self.is_waiting = seen, seen.waiting > 0
        self._engine.share(seen.held, seen.had)
        for network_id in seen.resumed:
            self._engine.resume(network_id)
