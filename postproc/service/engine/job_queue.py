"""Jobs that wait and jobs that run, and what calls of networks their tenants have had."""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

from postproc.service.engine.jobs import Job

_RECENT = 60.0  # seconds in which a tenant's last job came, so that it may send another at any time
_MOST_AMONG_OTHERS = 4  # jobs of a call while there are such tenants: a single job waits for its end
_MOST_OWED = 5.0  # seconds that a tenant waits for what it had elsewhere, while others have all calls here


@dataclass(eq=False)
class _Account:
    """What a tenant has had, on a scale that all tenants with jobs here share.

    Parameters
    ----------
    seconds : float
        Of calls, here and in other front ends.
    latest : float
        Where its next turn comes in any case, whatever it had elsewhere.
    owed : float
        What of the seconds it had elsewhere, and puts it behind others here.
    turn : int
        Its last one.
    """

    seconds: float
    latest: float
    owed: float = 0.0
    turn: int = 0

    @property
    def place(self) -> float:
        """Where its next turn comes."""
        return min(self.seconds, self.latest)


class JobQueue:
    """Gives turns to the tenant that has had the fewest seconds of calls; the caller holds a lock.

    A tenant that comes back begins with no less than any that has jobs here: what it did not use before gives
    it no credit. That is start-time fair queueing (Goyal, Vin and Cheng, 1996). What it has in other front
    ends counts as well (Wang and Merchant, "Proportional-share scheduling for distributed storage systems",
    2007), but for what would have it wait for longer than some seconds. Times are `time.monotonic`.

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
        self._most_owed = _MOST_OWED * calls
        self.running: dict[Job, float] = {}
        self._queues: dict[tuple[str, Hashable], deque[Job]] = {}
        self._accounts: dict[str, _Account] = {}  # of tenants that have jobs here or had more than those
        self._ended: defaultdict[str, float] = defaultdict(float)  # seconds of calls that are done
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
        """Let a job wait, behind those of its tenant and key that were submitted before."""
        tenants = self.tenants
        if job.tenant not in tenants:
            self._account(job.tenant, self._least(tenants, 0.0))
        self._came[job.tenant] = max(job.submitted, self._came.get(job.tenant, job.submitted))
        queue = self._queues.setdefault((job.tenant, job.key), deque())
        place = len(queue)
        while place and queue[place - 1].submitted > job.submitted:
            place -= 1
        queue.insert(place, job)

    def next(self, now: float, may_run: Callable[[str], bool]) -> tuple[Job, int] | None:
        """Return the job whose turn it is, and how many its call takes; None if no tenant's may run now."""
        calls: defaultdict[str, float] = defaultdict(float)
        running: defaultdict[str, float] = defaultdict(float)
        for job, part in self.running.items():
            calls[job.tenant] += part
            running[job.tenant] += part * (now - job.started)
        self._came = {tenant: came for tenant, came in self._came.items() if now - came < _RECENT}
        is_shared = len(self._came) > 1
        waiting = {tenant for tenant, _ in self._queues}
        # One that owes has its calls elsewhere: none here is left to it while others want all.
        least = self._least(self.tenants, 0.0)
        rivals = {tenant for tenant in self._came if not self._owes(tenant, least)}
        allowed = {
            tenant
            for tenant in waiting
            if calls[tenant] < self._calls - (self._calls > 1 and bool(rivals - {tenant})) and may_run(tenant)
        }
        had = {tenant: self._accounts[tenant] for tenant in allowed}
        first = min(
            (queue[0] for (tenant, _), queue in self._queues.items() if tenant in allowed),
            key=lambda job: (
                had[job.tenant].place + running[job.tenant],
                had[job.tenant].turn,
                job.submitted,
            ),
            default=None,
        )
        if first is None:
            return None
        return first, min(first.most, _MOST_AMONG_OTHERS) if is_shared else first.most

    def share(self, elsewhere: Mapping[str, float]) -> None:
        """Count seconds of calls that tenants have had in other front ends since this was told last."""
        tenants = self.tenants
        if not tenants:
            return  # nobody waits for anybody
        least = self._least(tenants, 0.0)
        for tenant, seconds in elsewhere.items():
            account = self._account(tenant, least)
            more = max(0.0, min(seconds, least + self._most_owed - account.seconds))
            account.seconds += more
            account.owed = min(account.owed + more, account.seconds - least)

    def had(self, now: float) -> dict[str, float]:
        """Return the seconds of calls that tenants have had here, of those with jobs, or within a minute."""
        tenants = self.tenants
        had = {
            tenant: seconds
            for tenant, seconds in self._ended.items()
            if tenant in tenants or now - self._came.get(tenant, now - _RECENT) < _RECENT
        }
        self._ended = defaultdict(float, had)
        for job, part in self.running.items():
            had[job.tenant] = had.get(job.tenant, 0.0) + part * (now - job.started)
        return had

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
        least = self._least(self.tenants, 0.0)
        for tenant in {job.tenant for job in jobs}:
            account = self._accounts[tenant]
            account.latest = max(account.place, least) + self._most_owed
            account.turn = next(self._count)
        return jobs

    def done(self, jobs: Sequence[Job], now: float) -> None:
        """Note the end of a call, and what its tenants had of it."""
        for job in jobs:
            seconds = self.running.pop(job) * (now - job.started)
            account = self._accounts[job.tenant]
            account.seconds += seconds
            account.latest += seconds
            self._ended[job.tenant] += seconds
        tenants = self.tenants
        least = self._least(tenants, float("inf"))
        self._accounts = {
            tenant: account
            for tenant, account in self._accounts.items()
            if tenant in tenants or max(account.seconds, account.latest) > least
        }

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

    def _least(self, tenants: Collection[str], default: float) -> float:
        return min((self._accounts[tenant].seconds for tenant in tenants), default=default)

    def _account(self, tenant: str, least: float) -> _Account:
        """Return the account of a tenant, which begins with no less than others have."""
        account = self._accounts.setdefault(tenant, _Account(least, least))
        account.seconds, account.latest = max(account.seconds, least), max(account.latest, least)
        return account

    def _owes(self, tenant: str, least: float) -> bool:
        account = self._accounts.get(tenant)
        return account is not None and min(account.owed, account.seconds - least) > 0
