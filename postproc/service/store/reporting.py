"""Outcomes on their way to the database, kept until it takes them."""

from __future__ import annotations

import itertools
import logging
import math
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from postproc.service.errors import RefusedError
from postproc.service.metrics import Metrics
from postproc.service.sharing import Shares
from postproc.service.store.outages import is_outage, reason_of
from postproc.service.store.tables import ERROR, SUCCESS, now
from postproc.service.work import STOPPED, Outcome

logger = logging.getLogger(__name__)

LEFT_OUT = "its result could not be kept, since too many wait for the database; send it again later"
REFUSED = "the database refused to store what came of this task; the service's log says why"

LATE = 5.0  # seconds after which the store counts as behind, also where it fails at nothing

_MOST_TOGETHER = 256  # outcomes of a transaction
_MOST_BYTES_TOGETHER = 32 << 20
_MOST_KEPT = 4096  # outcomes; beyond them no task is taken
_OVERHEAD = 1024  # bytes of an outcome beside its result
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0  # seconds between two attempts
_PATIENCE = 5.0  # seconds that networks wait for room while the store works


@dataclass(frozen=True)
class Kept(Outcome):
    """An outcome as it is written.

    Parameters
    ----------
    date : str
        When the task ended.
    since : float
        The same, `time.monotonic`.
    """

    date: str = field(default_factory=now)
    since: float = field(default_factory=time.monotonic)

    @property
    def status(self) -> str:
        """How its task ended."""
        return SUCCESS if self.error is None else ERROR

    @cached_property  # Python keeps a second form of a text that is not ASCII, once it is asked for
    def size(self) -> int:
        """Memory that its result takes, in bytes."""
        return 0 if self.data is None else sys.getsizeof(self.data)


Write = Callable[[Sequence[tuple[int, str | None, str | None]]], object]
"""Writes outcomes in one transaction: the id of each task, its data as JSON text, its error."""


class Reporter:
    """Keeps outcomes until they are written, those of several batches together where they wait.

    A network need not wait for the disk, and one transaction serves many tasks, of tenants in turns. While
    the store does not answer the same is tried again and again, with pauses that grow to two seconds. What it
    refuses for its own sake ends in an error, and holds no others.

    Parameters
    ----------
    write : callable
        Writes outcomes, all or none; those of tasks that have one already change nothing.
    metrics : Metrics
        Counts them.
    max_bytes : int
        Most memory of the results that are kept, which tenants share. Beyond it a result gives way to an
        error, at once where the store fails, else after some seconds, in which the network waits: once, until
        the tenant has room again. One result has room in any case.
    shows : bool
        Whether `kept` tells of outcomes before they are written; not where another process may write first.
    """

    def __init__(self, write: Write, metrics: Metrics, max_bytes: int, *, shows: bool = True) -> None:
        self._shows = shows
        self._write = write
        self._metrics = metrics
        self._memory = Shares(max_bytes)
        self._places = Shares(_MOST_KEPT)
        self._condition = threading.Condition()
        self._kept: dict[int, Kept] = {}  # in their order
        self._coming: set[int] = set()  # of those that are being put
        self._turns: dict[str, int] = {}  # of tenants whose outcomes wait: when one was taken to be written
        self._count_turns = itertools.count(1)
        self._last: dict[str, int] = {}  # size of the last one of each tenant
        self._short: dict[str, int] = {}  # of tenants, the size of a result that found no room
        self._failing_since: float | None = None
        self._most = self._left_out = 0  # waited together, and had no room, since it fails
        self._deadline: float | None = None  # of the end, once it is told to stop
        self._thread = threading.Thread(target=self._work, name="postproc-report", daemon=True)
        metrics.watch(
            postproc_outcomes_waiting=lambda: self.count,
            postproc_outcomes_waiting_bytes=lambda: self.bytes,
            postproc_store_behind_seconds=lambda: self.seconds,
        )

    @property
    def count(self) -> int:
        """Outcomes that wait to be written."""
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """Memory that they take."""
        return self._memory.used + _OVERHEAD * self.count

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
            self._keep(Kept(**vars(outcome)), deadline)

    def has_room(self, tenant: str) -> bool:
        """Tell whether a result like the last one of a tenant would be kept without a wait, or in vain."""
        with self._condition:
            return self._failing_since is not None or self._memory.has_room(
                tenant, self._last.get(tenant, _OVERHEAD)
            )

    def kept(self, task_ids: Iterable[int]) -> Mapping[int, Kept]:
        """Return the outcomes of these tasks that are not written yet.

        To be asked before the rows are read: what is written in between is in the rows then.
        """
        if not self._shows:
            return {}
        with self._condition:
            return {task_id: self._kept[task_id] for task_id in task_ids if task_id in self._kept}

    def known(self, task_ids: Iterable[int]) -> set[int]:
        """Return those of these tasks whose outcomes are being put or wait to be written."""
        with self._condition:
            return {task_id for task_id in task_ids if task_id in self._coming or task_id in self._kept}

    def admit(self, tenant: str) -> None:
        """Refuse a task whose outcome might have no room in what its tenant may hold.

        Raises
        ------
        ApiError
            A 503 that says when to come again.
        """
        with self._condition:
            is_full = not self._places.has_room(tenant) or self._is_short(tenant)
        if is_full:
            raise RefusedError(
                "too many results wait to be written to the database; send this again later",
                "outcomes",
                math.ceil(_LONGEST_PAUSE),
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
            self._last[kept.tenant] = kept.size
            if kept.data is not None and not self._take(kept, deadline):
                self._short[kept.tenant] = kept.size
                kept = replace(kept, data=None, error=LEFT_OUT)
                self._left_out += 1
            self._coming.discard(kept.task_id)
            if kept.task_id in self._kept:
                self._memory.give_back(kept.tenant, kept.size)
            else:
                self._places.hold(kept.tenant)
                self._kept[kept.task_id] = kept
                self._most = max(self._most, len(self._kept))
            self._condition.notify_all()

    def _take(self, kept: Kept, deadline: float) -> bool:
        """Take memory for a result, and wait for it while the store works; the lock is held."""
        while not self._memory.take(kept.tenant, kept.size):
            left = deadline - time.monotonic()
            if left <= 0 or self._failing_since is not None or self._is_short(kept.tenant):
                return False
            self._condition.wait(left)
        return True

    def _is_short(self, tenant: str) -> bool:
        """Tell whether a result of a tenant found no room, and would find none now; the lock is held."""
        size = self._short.get(tenant)
        if size is None:
            return False
        if self._memory.has_room(tenant, size):
            del self._short[tenant]
            return False
        return True

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
        """Wait for outcomes, and return those whose turn it is; none at the end."""
        with self._condition:
            self._condition.wait_for(lambda: self._kept or self._deadline is not None)
            if self._deadline is not None and time.monotonic() > self._deadline:
                return []
            return self._choose()

    def _choose(self) -> list[Kept]:
        """Choose outcomes, of each tenant in their order, of tenants in turns; the lock is held."""
        queues: dict[str, deque[Kept]] = {}
        for kept in self._kept.values():
            queues.setdefault(kept.tenant, deque()).append(kept)
        self._turns = {tenant: self._turns.get(tenant, 0) for tenant in queues}
        batch: list[Kept] = []
        size = 0
        while queues and len(batch) < _MOST_TOGETHER:
            tenant = min(queues, key=self._turns.__getitem__)
            first = queues[tenant][0]
            size += first.size + _OVERHEAD
            if batch and size > _MOST_BYTES_TOGETHER:
                size -= first.size + _OVERHEAD
                del queues[tenant]  # its turn comes with the next batch, before all that have one in this
                continue
            batch.append(queues[tenant].popleft())
            self._turns[tenant] = next(self._count_turns)
            if not queues[tenant]:
                del queues[tenant]
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
                written = self._kept.pop(kept.task_id)
                self._places.give_back(written.tenant)
                self._memory.give_back(written.tenant, written.size)
            self._condition.notify_all()
        ended = time.monotonic()
        # What did not run is handed over where others may run it.
        counted = [kept for kept in batch if self._shows or kept.error != STOPPED]
        for kept in counted:
            self._metrics.tracing.past(
                "store", kept.trace, kept.since, ended, error=kept.error, task=kept.task_id
            )
        failed = sum(kept.error is not None for kept in counted)
        self._metrics.ended(len(counted) - failed, failed)

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
