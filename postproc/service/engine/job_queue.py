"""Jobs that wait and jobs that run, and what calls of networks their tenants have had."""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Sequence

from postproc.service.engine.jobs import Job

_RECENT = 60.0  # seconds in which a tenant's last job came, so that it may send another at any time
_MOST_AMONG_OTHERS = 4  # jobs of a call while there are such tenants: a single job waits for its end


class JobQueue:
    """Gives turns to the tenant that has had the fewest seconds of calls; the caller holds a lock.

    A tenant that comes back begins with no less than any that has jobs here: what it did not use before gives
    it no credit. That is start-time fair queueing (Goyal, Vin and Cheng, 1996). Times are `time.monotonic`.

    Parameters
    ----------
    calls : int
        Most calls at once. One of them is left to others while jobs of two tenants came within a minute.

    Attributes
    ----------
    running : dict of Job to float
        Jobs that were taken and are not done, and which part of their call is theirs.
    """

    def __init__(self, calls: int = 1) -> None:
        self._calls = calls
        self.running: dict[Job, float] = {}
        self._queues: dict[tuple[str, Hashable], deque[Job]] = {}
        # Of calls, by tenants that have jobs here or had more than those.
        self._seconds: dict[str, float] = {}
        self._turns: dict[str, int] = {}  # the last one of each of them
        self._came: dict[str, float] = {}  # when the last job of a tenant did
        self._count = itertools.count(1)

    def __bool__(self) -> bool:
        return bool(self._queues)

    @property
    def tenants(self) -> set[str]:
        """Tenants that have jobs here."""
        return {tenant for tenant, _ in self._queues} | {job.tenant for job in self.running}

    @property
    def keys(self) -> set[Hashable]:
        """Keys of the jobs that wait."""
        return {key for _, key in self._queues}

    def add(self, job: Job) -> None:
        """Let a job wait, behind those of its tenant and key."""
        tenants = self.tenants
        if job.tenant not in tenants:
            least = min((self._seconds[tenant] for tenant in tenants), default=0.0)
            self._seconds[job.tenant] = max(self._seconds.get(job.tenant, 0.0), least)
        self._came[job.tenant] = job.submitted
        self._queues.setdefault((job.tenant, job.key), deque()).append(job)

    def next(self, now: float, may_run: Callable[[str], bool]) -> tuple[Job, int] | None:
        """Return the job whose turn it is, and how many its call takes; None if no tenant's may run now."""
        had = dict(self._seconds)
        for job, part in self.running.items():
            had[job.tenant] += part * (now - job.started)
        self._came = {tenant: came for tenant, came in self._came.items() if now - came < _RECENT}
        is_shared = len(self._came) > 1
        most = self._calls - 1 if is_shared and self._calls > 1 else self._calls
        calls: defaultdict[str, float] = defaultdict(float)
        for job, part in self.running.items():
            calls[job.tenant] += part
        waiting = {tenant for tenant, _ in self._queues}
        allowed = {tenant for tenant in waiting if calls[tenant] < most and may_run(tenant)}
        first = min(
            (queue[0] for (tenant, _), queue in self._queues.items() if tenant in allowed),
            key=lambda job: (had[job.tenant], self._turns.get(job.tenant, 0), job.submitted),
            default=None,
        )
        if first is None:
            return None
        return first, min(first.most, _MOST_AMONG_OTHERS) if is_shared else first.most

    def limit(self, key: Hashable) -> None:
        """Let jobs of a key run one by one that wait."""
        for (_, other), queue in self._queues.items():
            if other == key:
                for job in queue:
                    job.most = 1

    def count(self, key: Hashable) -> int:
        """Return how many jobs of a key wait."""
        return sum(len(queue) for (_, other), queue in self._queues.items() if other == key)

    def take(self, first: Job, most: int, now: float) -> list[Job]:
        """Take the jobs of a call: those of its tenant and key, then others of the key, the oldest first."""
        own = first.tenant, first.key
        jobs: list[Job] = []
        while len(jobs) < most and (alike := [place for place in self._queues if place[1] == first.key]):
            place = own if own in alike else min(alike, key=lambda place: self._queues[place][0].submitted)
            jobs.append(self._queues[place].popleft())
            if not self._queues[place]:
                del self._queues[place]
        for job in jobs:
            job.started = now
            self.running[job] = 1 / len(jobs)
            self._turns[job.tenant] = next(self._count)
        return jobs

    def done(self, jobs: Sequence[Job], now: float) -> None:
        """Note the end of a call, and what its tenants had of it."""
        for job in jobs:
            self._seconds[job.tenant] += self.running.pop(job) * (now - job.started)
        tenants = self.tenants
        least = min((self._seconds[tenant] for tenant in tenants), default=float("inf"))
        for tenant in [name for name, had in self._seconds.items() if had <= least and name not in tenants]:
            del self._seconds[tenant]
            self._turns.pop(tenant, None)

    def pop(self, is_meant: Callable[[Job], bool]) -> list[Job]:
        """Take jobs that wait out of it, which will not run."""
        taken: list[Job] = []
        for place, queue in list(self._queues.items()):
            kept: deque[Job] = deque()
            for job in queue:
                (taken if is_meant(job) else kept).append(job)
            if kept:
                self._queues[place] = kept
            else:
                del self._queues[place]
        return taken
