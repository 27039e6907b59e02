"""JobQueue: whose job is next, and which others share its call."""

from __future__ import annotations

import pytest

from postproc.service.engine.job_queue import JobQueue
from postproc.service.engine.jobs import Job, Ticket


class Worker:
    """Runs calls that take a second each, or as long as their key says; time passes in them only."""

    def __init__(self, most: int = 16, calls: int = 1) -> None:
        self.queue = JobQueue(calls)
        self.held: set[str] = set()
        self.now = 100.0
        self.most = most
        self.seconds: dict[str, float] = {}

    def add(self, tenant: str, count: int = 1, key: str | None = None) -> None:
        for _ in range(count):
            ticket = Ticket(lambda *_: None, tenant, 1)
            self.queue.add(Job(0, None, key or tenant, self.most, ticket, submitted=self.now))

    def begin(self) -> list[Job]:
        found = self.queue.next(self.now, lambda tenant: tenant not in self.held)
        assert found is not None
        first, most = found
        return self.queue.take(first, most, self.now)

    def end(self, jobs: list[Job]) -> None:
        self.now = max(self.now, jobs[0].started + self.seconds.get(str(jobs[0].key), 1.0))
        self.queue.done(jobs, self.now)

    def run(self) -> str:
        """Do a call, and return the tenants of its jobs."""
        jobs = self.begin()
        self.end(jobs)
        return "".join(job.tenant for job in jobs)


def test_single_job_waits_for_the_call_that_runs_and_no_other() -> None:
    worker = Worker()
    worker.add("f", 160)
    for _ in range(10):
        running = worker.begin()
        assert {job.tenant for job in running} == {"f"}
        worker.now += 0.5
        worker.add("s")
        worker.end(running)
        assert worker.run() == "s"


def test_tenants_that_both_wait_take_turns() -> None:
    worker = Worker(most=1)
    worker.add("a", 4)
    worker.add("b", 4)
    assert "".join(worker.run() for _ in range(8)) == "abababab"
    assert not worker.queue
    assert not worker.queue._accounts


def test_turns_are_of_seconds_and_not_of_calls() -> None:
    worker = Worker(most=1)
    worker.seconds = {"slow": 10.0}
    worker.add("slow", 10)
    worker.add("quick", 100)
    order = [worker.run() for _ in range(44)]
    assert order.count("slow") == 4
    assert order[-10:] == ["quick"] * 10


def test_tenant_that_was_away_has_no_credit_and_keeps_what_it_owes() -> None:
    worker = Worker(most=1)
    worker.add("a", 100)
    worker.add("b")
    for _ in range(50):
        worker.run()
    worker.add("b", 50)
    assert "".join(worker.run() for _ in range(20)).count("b") == 10
    worker = Worker(most=1)
    worker.seconds = {"c": 10.0}
    worker.add("a", 100)
    worker.add("c")
    while "c" in worker.queue.tenants:
        worker.run()
    worker.add("c")  # at once
    assert "".join(worker.run() for _ in range(8)) == "a" * 8


def test_call_that_runs_counts_while_it_does() -> None:
    worker = Worker(most=1)
    worker.add("a", 10)
    worker.add("b", 10)
    first = worker.begin()  # and does not end: a network that hangs
    worker.now += 1
    assert first[0].tenant == "a"
    assert [worker.run() for _ in range(2)] == ["b", "b"]


@pytest.mark.parametrize(("pause", "sizes"), [(57, [4, 4, 4]), (61, [16, 16, 8])])
def test_calls_are_short_while_another_tenant_may_send_one(pause: float, sizes: list[int]) -> None:
    worker = Worker()
    worker.add("s")
    worker.run()
    worker.now += pause - 4
    worker.add("f", 40)
    worker.now += 3
    assert [len(worker.run()) for _ in range(3)] == sizes


def test_jobs_of_a_key_share_a_call_those_of_its_tenant_first() -> None:
    worker = Worker()
    worker.add("a", 3, "public")
    worker.add("b", 1, "public")
    worker.add("b", 1, "own")
    worker.add("c", 1, "public")
    assert worker.run() == "aaab"
    assert worker.run() == "c"
    assert worker.run() == "b"


def test_older_job_goes_before_those_that_are_newer_and_came_first() -> None:
    worker = Worker(most=1)
    worker.add("a", 3)
    old = Job(7, None, "a", 1, Ticket(lambda *_: None, "a", 1), submitted=worker.now - 30)
    worker.queue.add(old)  # of a front end that died
    assert worker.begin() == [old]


def test_one_of_several_calls_is_left_to_others() -> None:
    worker = Worker(most=1, calls=2)
    worker.add("a", 4)
    first, second = worker.begin(), worker.begin()  # it is alone
    worker.end(first)
    worker.end(second)
    worker.add("b")
    assert worker.begin()[0].tenant == "b"
    assert worker.begin()[0].tenant == "a"
    worker.add("b")
    assert worker.queue.next(worker.now, lambda tenant: True) is None  # both run one


def test_jobs_of_a_tenant_that_may_not_run_let_others_pass() -> None:
    worker = Worker()
    worker.add("a")
    worker.add("b")
    worker.held = {"a"}
    assert worker.run() == "b"
    assert worker.queue.next(worker.now, lambda tenant: False) is None
    worker.held = set()
    assert worker.run() == "a"


def test_jobs_that_wait_may_be_limited_to_calls_of_their_own() -> None:
    worker = Worker()
    worker.add("a", 3, key="large")
    worker.add("a", 3, key="small")
    worker.queue.limit("large")
    assert sorted(worker.run() for _ in range(4)) == ["a", "a", "a", "aaa"]
