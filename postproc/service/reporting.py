"""Outcomes on their way to the database, kept until it takes them."""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from postproc.service.errors import ApiError
from postproc.service.metrics import Metrics
from postproc.service.store.outages import is_outage, reason_of
from postproc.service.tables import ERROR, SUCCESS, now
from postproc.service.work import FAILED, Outcome

logger = logging.getLogger(__name__)

LEFT_OUT = "its result could not be kept while the database was away; send it again"
REFUSED = "the database refused to store what came of this task; the service's log says why"
NOT_FINITE = "the network's result holds numbers that are not finite, which JSON cannot hold"

LATE = 5.0  # seconds after which the store counts as behind, also where it fails at nothing

_MOST_TOGETHER = 256  # outcomes of a transaction
_MOST_BYTES_TOGETHER = 32 << 20
_MOST_KEPT = 4096  # outcomes; beyond them no task is taken
_OVERHEAD = 1024  # bytes of an outcome beside its texts
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0  # seconds between two attempts
_PATIENCE = 5.0  # seconds that networks wait for room while the store works


@dataclass(frozen=True)
class Kept:
    """An outcome as it is written.

    Parameters
    ----------
    task_id : int
        Of its task.
    data : str or None
        The result as JSON text.
    error : str or None
        Why there is none.
    date : str
        When the task ended.
    since : float
        The same, `time.monotonic`.
    """

    task_id: int
    data: str | None
    error: str | None
    date: str = field(default_factory=now)
    since: float = field(default_factory=time.monotonic)

    @property
    def status(self) -> str:
        """How its task ended."""
        return SUCCESS if self.error is None else ERROR

    @property
    def size(self) -> int:
        """Memory that it takes, in bytes."""
        return _OVERHEAD + len(self.data or "")


Write = Callable[[Sequence[tuple[int, str | None, str | None]]], object]
"""Writes outcomes in one transaction: the id of each task, its data as JSON text, its error."""


class Reporter:
    """Keeps outcomes until they are written, those of several batches together where they wait.

    A network need not wait for the disk, and one transaction serves many tasks. While the store does not
    answer the same is tried again and again, with pauses that grow to two seconds. What it refuses for its
    own sake ends in an error, and holds no others.

    Parameters
    ----------
    write : callable
        Writes outcomes, all or none; those of tasks that have one already change nothing.
    metrics : Metrics
        Counts them.
    max_bytes : int
        Most memory of the results that are kept. Beyond it a result gives way to an error, at once where the
        store fails, else after some seconds, in which the network waits. One result has room in any case.
    """

    def __init__(self, write: Write, metrics: Metrics, max_bytes: int) -> None:
        self._write = write
        self._metrics = metrics
        self._max_bytes = max_bytes
        self._condition = threading.Condition()
        self._kept: dict[int, Kept] = {}  # in their order
        self._coming: set[int] = set()  # of those that are being put
        self._bytes = 0
        self._failing_since: float | None = None
        self._most = self._left_out = 0  # waited together, and had no room, since it fails
        self._deadline: float | None = None  # of the end, once it is told to stop
        self._thread = threading.Thread(target=self._work, name="postproc-report", daemon=True)
        metrics.watch_outcomes(lambda: self.count, lambda: self._bytes, lambda: self.seconds)

    @property
    def count(self) -> int:
        """Outcomes that wait to be written."""
        return len(self._kept)

    @property
    def seconds(self) -> float:
        """How long the oldest of them waits."""
        with self._condition:
            oldest = next(iter(self._kept.values()), None)
        return 0.0 if oldest is None else time.monotonic() - oldest.since

    @property
    def is_behind(self) -> bool:
        """Whether the store fails, or takes long."""
        return self._failing_since is not None or self.seconds > LATE

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, outcomes: Sequence[Outcome]) -> None:
        """Keep outcomes. Waits for some seconds at most, where results have no room and the store works."""
        deadline = time.monotonic() + _PATIENCE
        with self._condition:
            self._coming.update(outcome.task_id for outcome in outcomes)
        for outcome in outcomes:
            self._keep(_written(outcome), deadline)

    def kept(self, task_ids: Iterable[int]) -> Mapping[int, Kept]:
        """Return the outcomes of these tasks that are not written yet.

        To be asked before the rows are read: what is written in between is in the rows then.
        """
        with self._condition:
            return {task_id: self._kept[task_id] for task_id in task_ids if task_id in self._kept}

    def known(self, task_ids: Iterable[int]) -> set[int]:
        """Return those of these tasks whose outcomes are being put or wait to be written."""
        with self._condition:
            return {task_id for task_id in task_ids if task_id in self._coming or task_id in self._kept}

    def admit(self) -> None:
        """Refuse a task whose outcome might have no room.

        Raises
        ------
        ApiError
            A 503 that says when to come again.
        """
        with self._condition:
            is_full = len(self._kept) >= _MOST_KEPT or self._bytes >= self._max_bytes
        if is_full:
            raise ApiError(
                503,
                "too many results wait to be written to the database; send this again later",
                headers={"Retry-After": str(math.ceil(_LONGEST_PAUSE))},
            )

    def stop(self, timeout: float) -> None:
        """Write what is left, in at most `timeout` seconds; what cannot be written by then is left."""
        with self._condition:
            self._deadline = time.monotonic() + timeout
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout)
        if self.count:
            logger.error("the outcomes of %d tasks could not be written before the end", self.count)

    def _keep(self, kept: Kept, deadline: float) -> None:
        with self._condition:
            if kept.data is not None:
                self._condition.wait_for(
                    lambda: self._has_room(kept) or self._failing_since is not None,
                    deadline - time.monotonic(),
                )
                if not self._has_room(kept):
                    kept = replace(kept, data=None, error=LEFT_OUT)
                    self._left_out += 1
            self._coming.discard(kept.task_id)
            if kept.task_id not in self._kept:
                self._kept[kept.task_id] = kept
                self._bytes += kept.size
                self._most = max(self._most, len(self._kept))
            self._condition.notify_all()

    def _has_room(self, kept: Kept) -> bool:
        return not self._kept or self._bytes + kept.size <= self._max_bytes

    def _work(self) -> None:
        pause = _FIRST_PAUSE
        while batch := self._next():
            try:
                self._store(batch)
            except Exception as error:
                self._failed(error)
                if self._rest(pause):
                    return
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                self._caught_up()
                pause = _FIRST_PAUSE

    def _next(self) -> list[Kept]:
        """Wait for outcomes, and return those that come first; none at the end."""
        with self._condition:
            self._condition.wait_for(lambda: self._kept or self._deadline is not None)
            if self._deadline is not None and time.monotonic() > self._deadline:
                return []
            batch: list[Kept] = []
            size = 0
            for kept in self._kept.values():
                size += kept.size
                if batch and (len(batch) == _MOST_TOGETHER or size > _MOST_BYTES_TOGETHER):
                    break
                batch.append(kept)
        return batch

    def _rest(self, pause: float) -> bool:
        """Wait for the next attempt, less where the end is near; return whether it has come."""
        with self._condition:
            if self._deadline is None:
                self._condition.wait_for(lambda: self._deadline is not None, pause)
                return False
            left = self._deadline - time.monotonic()
        time.sleep(max(0.0, min(pause, left)))
        return left <= 0

    def _store(self, batch: Sequence[Kept]) -> None:
        """Write outcomes; raises where the store does not answer, and then some may be written."""
        try:
            self._write_all(batch)
        except Exception as error:
            if is_outage(error):
                raise
            for kept in batch:
                self._store_one(kept)

    def _store_one(self, kept: Kept) -> None:
        try:
            self._write_all([kept])
        except Exception as error:
            if is_outage(error):
                raise
            # That this is written shows that the store works, and the outcome is at fault.
            self._write_all([replace(kept, data=None, error=REFUSED)])
            logger.error("the outcome of task %d was refused: %s", kept.task_id, reason_of(error))

    def _write_all(self, batch: Sequence[Kept]) -> None:
        with self._metrics.stage("store"):
            self._write([(kept.task_id, kept.data, kept.error) for kept in batch])
        with self._condition:
            for kept in batch:
                self._bytes -= self._kept.pop(kept.task_id).size
            self._condition.notify_all()
        failed = sum(kept.error is not None for kept in batch)
        self._metrics.ended(len(batch) - failed, failed)

    def _failed(self, error: Exception) -> None:
        with self._condition:
            is_first = self._failing_since is None
            if is_first:
                self._failing_since = time.monotonic()
                self._most, self._left_out = len(self._kept), 0
            self._condition.notify_all()
        if is_first:
            logger.warning(
                "the database takes no outcomes; %d wait and are tried again: %s",
                self.count,
                reason_of(error),
            )

    def _caught_up(self) -> None:
        with self._condition:
            if self._failing_since is None:
                return
            seconds = time.monotonic() - self._failing_since
            self._failing_since = None
            numbers = seconds, self._most, len(self._kept), self._left_out
        logger.warning(
            "the database takes outcomes again, after %.1f s: of %d that waited, %d are left to be written; "
            "%d results had no room",
            *numbers,
        )


def _written(outcome: Outcome) -> Kept:
    if outcome.error is not None:
        return Kept(outcome.task_id, None, outcome.error)
    try:
        text = json.dumps(outcome.data, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return Kept(outcome.task_id, None, NOT_FINITE)
    except Exception:  # who puts it has no other place to tell it
        logger.exception("the result of task %d cannot be written as JSON", outcome.task_id)
        return Kept(outcome.task_id, None, FAILED)
    return Kept(outcome.task_id, text, None)
