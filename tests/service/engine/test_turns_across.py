"""Turns of tenants across front ends, whose queues tell each other what tenants have had; time is made up."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from postproc.service.engine.job_queue import JobQueue
from postproc.service.engine.jobs import Job, Ticket

BEAT = 2.0  # seconds between two signs of life


class Front:
    """A front end whose tenants always have jobs, which take as long as it is said of them."""

    def __init__(self, calls: int, floods: Mapping[str, float]) -> None:
        self.queue = JobQueue(calls)
        self.free = calls
        self.floods = floods
        self.seconds: Counter[str] = Counter()
        self.last: dict[str, float] = {}
        self.longest: Counter[str] = Counter()  # between two calls of a tenant
        self.told: dict[str, float] = {}

    def fill(self, now: float) -> None:
        for tenant in self.floods:
            while self.queue.count(tenant) < 8:
                self.queue.add(Job(0, None, tenant, 4, Ticket(lambda *_: None, tenant, 1), submitted=now))

    def begin(self, now: float) -> tuple[float, list[Job]] | None:
        self.fill(now)
        found = self.queue.next(now, lambda tenant: True) if self.free else None
        if found is None:
            return None
        jobs = self.queue.take(*found, now)
        self.free -= 1
        tenant = jobs[0].tenant
        self.longest[tenant] = max(self.longest[tenant], now - self.last.get(tenant, 0.0))
        self.last[tenant] = now
        return now + self.floods[tenant], jobs

    def end(self, jobs: list[Job], now: float) -> None:
        self.queue.done(jobs, now)
        self.free += 1
        if now > 5 * BEAT:
            self.seconds[jobs[0].tenant] += now - jobs[0].started


def simulated(fronts: Sequence[Front], seconds: float, beats: bool = True) -> Counter[str]:
    """Run front ends side by side for so long, and return the seconds that tenants had of all their calls.

    What they had before the first five signs of life does not count.
    """
    count, told = itertools.count(), [dict[str, float]() for _ in fronts]
    events: list[tuple[float, int, int, list[Job] | None]] = []
    for row in range(len(fronts)):
        heapq.heappush(events, (BEAT * row / len(fronts), next(count), row, None))
    seen = [[dict[str, float]() for _ in fronts] for _ in fronts]
    while events[0][0] < seconds + 5 * BEAT:
        now, _, row, jobs = heapq.heappop(events)
        front = fronts[row]
        if jobs is not None:
            front.end(jobs, now)
        else:
            heapq.heappush(events, (now + BEAT, next(count), row, None))
            told[row] = front.queue.had(now)
            more: Counter[str] = Counter()
            for other in range(len(fronts)):
                if other != row:
                    before, seen[row][other] = seen[row][other], told[other]
                    for tenant, had in told[other].items():
                        more[tenant] += had - before.get(tenant, 0.0)
            if beats:
                front.queue.share(more)
        while (begun := front.begin(now)) is not None:
            heapq.heappush(events, (begun[0], next(count), row, begun[1]))
    return sum((front.seconds for front in fronts), Counter())


A_BOTH = [{"a": 0.1, "b": 0.1}, {"a": 0.1}]
SHARES = {  # floods of front ends: seconds of a call, by tenant; and whom equal shares are due to
    "two": A_BOTH,
    "long calls of one": [{"a": 0.1, "b": 1.0}, {"a": 0.1}],
    "three, one of them each": [{"a": 0.1, "b": 0.3}, {"a": 0.1, "c": 0.1}, {"a": 0.1, "d": 0.2}],
    "three, two of them": [{"a": 0.1, "b": 0.3}, {"a": 0.1, "b": 0.1}, {"a": 0.1}],
    "five, one of them each": [{"a": 0.1, tenant: 0.2} for tenant in "bcdef"],
}


@pytest.mark.parametrize(
    ("name", "calls"),
    [*((name, 2) for name in SHARES), ("two", 1), ("two", 8), ("five, one of them each", 8)],
)
def test_tenants_have_equal_shares_of_all_front_ends(name: str, calls: int) -> None:
    fronts = [Front(calls, flood) for flood in SHARES[name]]
    shares = simulated(fronts, 40.0)
    assert max(shares.values()) < 1.07 * min(shares.values()), shares
    assert sum(shares.values()) > 0.97 * 40 * calls * len(fronts)


def test_front_ends_that_tell_each_other_nothing_give_more_to_who_speaks_to_more() -> None:
    shares = simulated([Front(2, flood) for flood in A_BOTH], 40.0, beats=False)
    assert shares["a"] > 2.9 * shares["b"]


def test_tenant_never_waits_for_longer_than_some_seconds_for_what_it_has_elsewhere() -> None:
    for floods in (A_BOTH, [*A_BOTH, {"a": 0.1}, {"a": 0.1}]):
        fronts = [Front(2, flood) for flood in floods]
        shares = simulated(fronts, 40.0)
        assert fronts[0].longest["a"] < 5.5
        assert shares["b"] > 0.95 * 40 * 2  # all of its front end but for that


def test_long_calls_come_as_near_to_equal_as_that_allows() -> None:
    shares = simulated([Front(2, flood) for flood in ({"a": 1.0, "b": 1.0}, {"a": 1.0})], 120.0)
    assert max(shares.values()) < 1.25 * min(shares.values())


class Queue(JobQueue):
    """A queue of one call at a time, whose tenants are served in the order in which they come."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0

    def send(self, *tenants: str) -> None:
        for tenant in tenants:
            self.add(Job(0, None, tenant, 1, Ticket(lambda *_: None, tenant, 1), submitted=self.now))

    def run(self, count: int) -> str:
        order = ""
        for _ in range(count):
            found = self.next(self.now, lambda tenant: True)
            assert found is not None
            jobs = self.take(*found, self.now)
            self.now += 1
            self.done(jobs, self.now)
            order += jobs[0].tenant
        return order


def test_tenant_known_elsewhere_is_served_at_once_and_then_waits_for_what_it_had() -> None:
    queue = Queue()
    queue.send(*"b" * 20)
    queue.share({"a": 3.0})
    queue.send(*"aaaa")
    assert queue.run(11) == "babbbababab"
    queue.share({"a": 1000.0})  # of which it owes five
    queue.send(*"aaa")
    assert queue.run(9) == "bbbbbabab"


def test_what_was_had_elsewhere_before_counts_for_nothing() -> None:
    queue = Queue()
    queue.share({"a": 1000.0})  # while nobody waits for anybody
    queue.send(*"aabb")
    assert queue.run(4) == "abab"
    queue.send(*"b" * 12)
    queue.share({"a": 1000.0})
    queue.run(6)  # what others had in its absence
    queue.send(*"aaa")
    assert queue.run(6) == "ababab"


def test_one_of_several_calls_is_not_kept_for_a_tenant_that_has_its_calls_elsewhere() -> None:
    front = Front(2, {"a": 1.0, "b": 1.0})
    begun = [front.begin(0.0) for _ in range(3)]
    assert begun[2] is None
    front.queue.share({"a": 4.0})
    for item in begun[:2]:
        assert item is not None
        front.end(item[1], 1.0)
    jobs = [item[1][0].tenant for _ in range(2) if (item := front.begin(1.0)) is not None]
    assert jobs == ["b", "b"]


def test_sums_hold_what_runs_and_end_a_minute_after_a_tenant_came() -> None:
    queue = Queue()
    queue.send("a")
    found = queue.next(queue.now, lambda tenant: True)
    assert found is not None
    jobs = queue.take(*found, queue.now)
    assert queue.had(queue.now + 2) == {"a": 2.0}
    queue.done(jobs, queue.now + 3)
    assert queue.had(queue.now + 59) == {"a": 3.0}
    assert queue.had(queue.now + 61) == {}


def test_sums_of_a_tenant_whose_jobs_wait_for_minutes_go_on() -> None:
    queue = Queue()
    queue.send(*"a" * 100)
    sums = []
    for _ in range(90):
        queue.run(1)
        sums.append(queue.had(queue.now)["a"])
    assert sums == list(range(1, 91))
