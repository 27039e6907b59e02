"""Requests that wait for a network, and threads that take those that can share a call."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence

from postproc.service.errors import QueueFullError
from postproc.service.jobs import Job, Ticket
from postproc.service.work import FAILED, STOPPED

logger = logging.getLogger(__name__)

_HISTORY = 30.0  # seconds of which the throughput is taken
_LONGEST_RETRY = 60.0


class Batcher:
    """A bounded queue and the threads that empty it.

    The oldest job is next, together with up to `most` of the same key. While no job of another key waits,
    that call waits for others to join until its oldest job is `wait` seconds old.

    Parameters
    ----------
    run : callable
        Does the jobs of a batch and tells their outcomes; what it raises is logged and told by `fail`.
    fail : callable
        Tells jobs that end without having run, and why.
    length, max_bytes : int
        Most jobs that wait, and most memory of those that wait or run.
    wait : float
        Seconds, see above.
    workers : int
        Threads.
    timeout : float
        Seconds after which a job ends in error, whether it waits or runs.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Job]], None],
        fail: Callable[[Sequence[Job], str], None],
        *,
        length: int,
        max_bytes: int,
        wait: float,
        workers: int,
        timeout: float,
    ) -> None:
        self._run = run
        self._fail = fail
        self._length = length
        self._max_bytes = max_bytes
        self._wait = wait
        self._timeout = timeout
        self._condition = threading.Condition()
        self._queues: dict[Hashable, deque[Job]] = {}
        self._places = self._bytes = 0  # of tickets: jobs that wait or will be submitted
        self._running: set[Job] = set()
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
        return self._places

    @property
    def bytes(self) -> int:
        """Memory of what waits or runs."""
        return self._bytes

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def reserve(self, size: int) -> Ticket:
        """Take a place for a job whose inputs have `size` bytes.

        Raises
        ------
        QueueFullError
            If there is none, or too little memory.
        """
        with self._condition:
            # A job that is larger than all the memory runs when nothing else does.
            no_memory = self._bytes > 0 and self._bytes + size > self._max_bytes
            if not self._is_open or self._places >= self._length or no_memory:
                raise QueueFullError(self._retry_after())
            self._places += 1
            self._bytes += size
        return Ticket(self._give_back, size)

    def submit(self, job: Job) -> None:
        """Queue a job."""
        with self._condition:
            if self._is_open:
                self._queues.setdefault(job.key, deque()).append(job)
                self._condition.notify_all()
                return
        self._end([job], STOPPED)

    def cancel(self, is_meant: Callable[[Job], bool], error: str) -> None:
        """End waiting jobs in error."""
        with self._condition:
            jobs = self._pop(is_meant)
        self._end(jobs, error)

    def stop(self, drain: float) -> None:
        """Run what waits for at most `drain` seconds; what is not done then ends in error.

        A thread that is still in a network's call is left behind, and what it finds is not told.
        """
        deadline = time.monotonic() + drain
        with self._condition:
            self._is_open = False
            self._condition.notify_all()
            while (self._queues or self._running) and time.monotonic() < deadline:
                self._condition.wait(deadline - time.monotonic())
            left = self._pop(lambda job: True) + list(self._running)
        self._end(left, STOPPED)
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()) + 0.1)

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
            try:
                self._run(jobs)
            except Exception:
                logger.exception("a batch of %d failed", len(jobs))
                self._tell(jobs, FAILED)
            finally:
                with self._condition:
                    self._running.difference_update(jobs)
                    self._finished.append((time.monotonic(), len(jobs)))
                    self._condition.notify_all()
                for job in jobs:
                    job.ticket.release()

    def _take(self) -> list[Job] | None:
        """Wait for a batch; None at the end."""
        with self._condition:
            while True:
                if not self._queues:
                    if not self._is_open:
                        return None
                    self._condition.wait()
                    continue
                queue = min(self._queues.values(), key=lambda queue: queue[0].submitted)
                oldest = queue[0]
                patience = oldest.submitted + self._wait - time.monotonic()
                is_ready = len(queue) >= oldest.most or len(self._queues) > 1 or not self._is_open
                if not is_ready and patience > 0:
                    self._condition.wait(patience)
                    continue
                jobs = [queue.popleft() for _ in range(min(oldest.most, len(queue)))]
                if not queue:
                    del self._queues[oldest.key]
                self._running.update(jobs)
                now = time.monotonic()
                for job in jobs:
                    job.started = now
                return jobs

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
                waiting = self._pop(self._is_late)
                running = [job for job in self._running if self._is_late(job) and not job.is_told]
            self._end(waiting, f"the task waited longer than {self._timeout:g} s for its turn; send it again")
            for job in running:
                self._tell([job], self._too_long(job))

    def _pop(self, is_meant: Callable[[Job], bool]) -> list[Job]:
        """Take jobs out of the queues; the lock is held."""
        taken: list[Job] = []
        for key, queue in list(self._queues.items()):
            kept: deque[Job] = deque()
            for job in queue:
                (taken if is_meant(job) else kept).append(job)
            if kept:
                self._queues[key] = kept
            else:
                del self._queues[key]
        return taken

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

    def _give_back(self, places: int, size: int) -> None:
        with self._condition:
            self._places -= places
            self._bytes -= size

    def _retry_after(self) -> float:
        """Estimate when the queue is empty, in seconds; the lock is held."""
        now = time.monotonic()
        while self._finished and self._finished[0][0] < now - _HISTORY:
            self._finished.popleft()
        if not self._finished:
            return 1.0
        span = max(now - self._finished[0][0], 0.1)
        rate = sum(count for _, count in self._finished) / span
        return min(max(self._places / rate, 1.0), _LONGEST_RETRY)
