"""Threads that share the images of a batch."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from itertools import pairwise
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from postproc.pipeline import interrupts

Part = TypeVar("Part")

# How many forks lie between the first process and this one. Process ids serve another process in time.
_generation = 0


def _count_fork() -> None:
    global _generation
    _generation += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


class Workers:
    """Threads for kernels that release the GIL: started on first use, and again after a fork.

    They end when the `Workers` are collected. Not a ThreadPoolExecutor: where a signal handler raises inside
    it, its locks stay held for ever (measured: every later call hangs).

    Parameters
    ----------
    count : int
        How many threads share a batch; with one none is started.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        # By generation, and without a lock: a fork in the middle of another thread's call would leave the
        # child with a lock that nobody releases.
        self._pools: dict[int, _Pool] = {}

    def run(
        self, function: Callable[[int, int], Part], size: int, join: Callable[[list[Part]], Part]
    ) -> Part:
        """Call ``function(start, stop)`` on ranges that make up ``range(size)``, and join the results.

        The caller's thread takes the first range, and each that no other has begun. An error of one range is
        raised when the others have ended: none reads the caller's arrays after the call.
        """
        if size <= 1 or self._count <= 1:
            return function(0, size)
        count = min(self._count, size)
        bounds = [size * index // count for index in range(count + 1)]
        first, *others = pairwise(bounds)
        jobs = [_Job(function, start, stop) for start, stop in others]
        try:
            pool = self._pools.get(_generation)
            if pool is None:
                pool = self._pools.setdefault(_generation, _Pool(self._count - 1))
            pool.submit(jobs)
            parts = [function(*first), *[job.result() for job in jobs]]
        except BaseException:
            for job in jobs:
                job.cancel()
            raise
        return join(parts)

    def __reduce__(self) -> tuple[Any, ...]:
        return Workers, (self._count,)


class _Job(Generic[Part]):
    """A range of a batch, for a worker or, if none has begun it, for the caller.

    A signal handler may raise in the caller's thread after any step: each can be repeated.
    """

    def __init__(self, function: Callable[[int, int], Part], start: int, stop: int) -> None:
        self._work: tuple[Callable[[int, int], Part], int, int] | None = (function, start, stop)
        self._owner: dict[None, str] = {}
        self._running = threading.Lock()
        self._running.acquire()
        self._result: list[Part] = []
        self._error: BaseException | None = None

    def serve(self) -> None:
        """Do the work in a worker's thread."""
        work = self._work
        if work is None or self._owner.setdefault(None, "worker") != "worker":
            return
        function, start, stop = work
        try:
            self._result.append(function(start, stop))
        except BaseException as error:
            self._error = error
        finally:
            self._work = None
            self._running.release()

    def result(self) -> Part:
        """Wait for the worker, or do the work here."""
        work = self._work
        if work is not None and self._owner.setdefault(None, "caller") == "caller":
            self._work = None  # the job may lie in the queue for a while, and would hold the arrays
            function, start, stop = work
            return function(start, stop)
        with self._running:
            pass
        if self._error is not None:
            raise self._error
        return self._result[0]

    def cancel(self) -> None:
        """Wait for the worker if there is one, and let none begin."""
        if self._owner.setdefault(None, "caller") == "worker":
            with self._running:
                pass
        self._work = None


class _Pool:
    def __init__(self, count: int) -> None:
        self._count = count
        self._unstarted = list(range(count))
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()

    def submit(self, jobs: list[_Job[Part]]) -> None:
        """Offer the jobs to the threads, if any can be had."""
        if self._unstarted:
            self._start()
        if len(self._unstarted) < self._count:  # else nobody would ever take them from the queue
            for job in jobs:
                self._jobs.put(job)

    def _start(self) -> None:
        """Start the threads that are missing.

        As daemons: the end of a process waits for their jobs (`interrupts`), and not for idle threads.
        """
        try:
            while True:
                number = self._unstarted.pop()
                try:
                    threading.Thread(
                        target=_serve, args=(self._jobs,), name=f"postproc_{number}", daemon=True
                    ).start()
                except BaseException:
                    self._unstarted.append(number)
                    raise
        except IndexError:
            return  # all are started, by this thread or by another
        except RuntimeError:
            return  # the process ends, or the system allows no further thread

    def __del__(self) -> None:
        self._jobs.put(None)


def _serve(jobs: SimpleQueue[_Job[Any] | None]) -> None:
    while (job := jobs.get()) is not None:
        job.serve()
        del job  # an idle thread would hold the arrays of its last job
    jobs.put(None)  # for the next thread


interrupts.guard(_Job.serve.__code__)
