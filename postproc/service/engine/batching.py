"""Requests that wait for a network, and threads that take those that can share a call."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence

from postproc.service.engine.job_queue import JobQueue
from postproc.service.engine.jobs import Job, Ticket
from postproc.service.errors import QueueFullError
from postproc.service.sharing import Shares
from postproc.service.work import FAILED, STOPPED

logger = logging.getLogger(__name__)

_HISTORY = 30.0  # seconds of which the throughput is taken
_LONGEST_RETRY = 60.0
_DUE = 8  # places beyond all others
_PAUSE = 0.05  # seconds between two looks at whether a tenant's jobs may run


class Batcher:
    """A bounded queue and the threads that empty it.

    The oldest job of the tenant whose turn it is (`JobQueue`) is next, together with up to `most` of the same
    key. While no job of another key waits, that call waits for others to join until that job is `wait`
    seconds old.

    Parameters
    ----------
    run : callable
        Does the jobs of a batch and tells their outcomes; what it raises is logged and told by `fail`. It
        returns those that have to wait for another turn, each for a call of its own.
    fail : callable
        Tells jobs that end without having run, and why.
    length, max_bytes : int
        Most jobs that wait, and most memory of those that wait or run; tenants share both.
    wait : float
        Seconds, see above.
    workers : int
        Threads.
    timeout : float
        Seconds after which a job ends in error, whether it waits or runs.
    may_run : callable
        Tells whether the jobs of a tenant may run now, or have to wait.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Job]], Sequence[Job] | None],
        fail: Callable[[Sequence[Job], str], None],
        *,
        length: int,
        max_bytes: int,
        wait: float,
        workers: int,
        timeout: float,
        may_run: Callable[[str], bool] = lambda tenant: True,
    ) -> None:
        self._run = run
        self._fail = fail
        self._wait = wait
        self._timeout = timeout
        self._may_run = may_run
        self._condition = threading.Condition()
        self._queue = JobQueue(workers)
        self._places = Shares(length)  # of jobs that wait or will be submitted
        self._due = Shares(_DUE)  # places of jobs that come from other front ends, and find none else
        self._bytes = Shares(max_bytes)  # of those, and of jobs that run
        self._finished: deque[tuple[float, int]] = deque(maxlen=1024)  # when, and how many jobs
        self._is_open = True
        threads = [self._work] * workers + [self._expire]
        self._threads = [
            threading.Thread(target=target, name=f"postproc-batch-{row}", daemon=True)
            for row, target in enumerate(threads)
        ]

    @property
    def places(self) -> int:
        """Places taken."""
        return self._places.used + self._due.used

    @property
    def tenants(self) -> int:
        """How many tenants have jobs that wait."""
        with self._condition:
            return len(self._queue.tenants)

    @property
    def bytes(self) -> int:
        """Memory of what waits or runs."""
        return self._bytes.used

    def had(self) -> dict[str, float]:
        """Return the seconds of calls that tenants have had; see `JobQueue.had`."""
        with self._condition:
            return self._queue.had(time.monotonic())

    def share(self, held: Mapping[str, int], had: Mapping[str, float]) -> None:
        """Count what tenants have in other front ends: jobs when it comes to places, calls to turns."""
        self._places.elsewhere = held
        with self._condition:
            self._queue.share(had)

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def reserve(self, tenant: str, size: int, *, is_due: bool = False) -> Ticket:
        """Take a place for a job of a tenant whose inputs have `size` bytes.

        One that `is_due`, since another front end took its task long ago, has some places and their memory
        beyond those that newer ones take.

        Raises
        ------
        QueueFullError
            If there is none for this tenant, or too little memory.
        """
        with self._condition:
            cause = "queue" if self._is_open else "stopping"
            if self._is_open and self._places.take(tenant):
                # A job that is larger than all the memory runs when nothing else does.
                if self._bytes.take(tenant, size):
                    return Ticket(self._give_back, tenant, size)
                self._places.give_back(tenant)
                cause = "memory"
            if self._is_open and is_due and self._due.take(tenant):
                self._bytes.hold(tenant, size)
                return Ticket(self._give_back_due, tenant, size)
            raise QueueFullError(self._retry_after(tenant), cause)

    def submit(self, job: Job) -> None:
        """Queue a job."""
        with self._condition:
            if self._is_open:
                self._queue.add(job)
                self._condition.notify_all()
                return
        self._end([job], STOPPED)

    def limit(self, key: Hashable) -> None:
        """Let jobs of a key run one by one that wait."""
        with self._condition:
            self._queue.limit(key)

    def cancel(self, is_meant: Callable[[Job], bool], error: str) -> None:
        """End waiting jobs in error."""
        with self._condition:
            jobs = self._queue.pop(is_meant)
        self._end(jobs, error)

    def stop(self, drain: float) -> None:
        """Run what waits for at most `drain` seconds; what is not done then ends in error.

        A thread that is still in a network's call is left behind, and what it finds is not told.
        """
        deadline = time.monotonic() + drain
        with self._condition:
            self._is_open = False
            self._condition.notify_all()
            while (self._queue or self._queue.running) and time.monotonic() < deadline:
                self._condition.wait(deadline - time.monotonic())
            left = self._queue.pop(lambda job: True) + list(self._queue.running)
        self._end(left, STOPPED)
        deadline = max(deadline, time.monotonic() + 0.1)
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    def claim(self, jobs: Sequence[Job]) -> list[Job]:
        """Return those whose outcome has not been told yet, and mark them as told."""
        with self._condition:
            claimed = [job for job in jobs if not job.is_told]
            for job in claimed:
                job.is_told = True
        return claimed

    def _work(self) -> None:
        while (jobs := self._take()) is not None:
            for job in jobs:
                job.ticket.leave_queue()
            again: Sequence[Job] = ()
            try:
                again = self._run(jobs) or ()
            except Exception:
                logger.exception("a batch of %d failed", len(jobs))
                self._tell(jobs, FAILED)
            finally:
                with self._condition:
                    now = time.monotonic()
                    self._queue.done(jobs, now)
                    ended = [job for job in jobs if job not in again]
                    self._finished.append((now, len(ended)))
                    for job in again:
                        job.most = 1
                        self._queue.add(job)
                    self._condition.notify_all()
                for job in ended:
                    job.ticket.release()

    def _take(self) -> list[Job] | None:
        """Wait for a batch; None at the end."""
        with self._condition:
            while True:
                if not self._queue:
                    if not self._is_open:
                        return None
                    self._condition.wait()
                    continue
                now = time.monotonic()
                found = self._queue.next(now, self._may_run if self._is_open else lambda tenant: True)
                if found is None:
                    self._condition.wait(_PAUSE)
                    continue
                first, most = found
                patience = first.submitted + self._wait - now
                is_ready = (
                    self._queue.count(first.key) >= most or len(self._queue.keys) > 1 or not self._is_open
                )
                if not is_ready and patience > 0:
                    self._condition.wait(patience)
                    continue
                return self._queue.take(first, most, now)

    def _expire(self) -> None:
        """End jobs that take too long, also while all workers are busy.

        The call of one that runs goes on, and keeps its thread and its memory; what it finds is not told.
        """
        pause = min(1.0, self._timeout / 4)
        while True:
            with self._condition:
                if not self._is_open:
                    return
                self._condition.wait_for(lambda: not self._is_open, pause)
                waiting = self._queue.pop(self._is_late)
                running = [job for job in self._queue.running if self._is_late(job) and not job.is_told]
            self._end(waiting, f"the task waited longer than {self._timeout:g} s for its turn; send it again")
            for job in running:
                self._tell([job], self._too_long(job))

    def _end(self, jobs: Sequence[Job], error: str) -> None:
        if jobs:
            self._tell(jobs, error)
            for job in jobs:
                job.ticket.release()

    def _tell(self, jobs: Sequence[Job], error: str) -> None:
        try:
            self._fail(jobs, error)
        except Exception:
            logger.exception("the end of %d tasks could not be told", len(jobs))

    def _is_late(self, job: Job) -> bool:
        return time.monotonic() - job.submitted > self._timeout

    def _too_long(self, job: Job) -> str:
        return (
            f"the task waited {job.started - job.submitted:.1f} s for its turn, and its network did not end "
            f"in what was left of {self._timeout:g} s; send it again, or have --task-timeout raised"
        )

    def _give_back(self, tenant: str, places: int, size: int) -> None:
        self._places.give_back(tenant, places)
        self._bytes.give_back(tenant, size)

    def _give_back_due(self, tenant: str, places: int, size: int) -> None:
        self._due.give_back(tenant, places)
        self._bytes.give_back(tenant, size)

    def _retry_after(self, tenant: str) -> float:
        """Estimate when what a tenant has in the queue is done, in seconds; the lock is held."""
        now = time.monotonic()
        while self._finished and self._finished[0][0] < now - _HISTORY:
            self._finished.popleft()
        if not self._finished:
            return 1.0
        span = max(now - self._finished[0][0], 0.1)
        rate = sum(count for _, count in self._finished) / span / max(len(self._queue.tenants), 1)
        return min(max(self._places.held(tenant) / rate, 1.0), _LONGEST_RETRY)
