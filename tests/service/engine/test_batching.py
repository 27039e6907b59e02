"""Batcher: which jobs share a call, in what order, and what becomes of those that cannot run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from postproc.service.engine.batching import Batcher
from postproc.service.engine.jobs import Job
from postproc.service.errors import QueueFullError
from postproc.service.work import FAILED, STOPPED
from tests.service.waiting import wait_until


class Calls:
    """Keeps the batches it is given, and holds each back until it is let go."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[int]]] = []
        self.told: list[int] = []
        self.failed: dict[int, str] = {}
        self.go = threading.Event()
        self.go.set()
        self.started = threading.Semaphore(0)
        self.error: Exception | None = None
        self.batcher: Batcher

    def run(self, jobs: Sequence[Job]) -> None:
        self.started.release()
        assert self.go.wait(10)
        if self.error is not None:
            raise self.error
        self.batches.append((str(jobs[0].key), [job.task_id for job in jobs]))
        self.told += [job.task_id for job in self.batcher.claim(jobs)]

    def fail(self, jobs: Sequence[Job], error: str) -> None:
        for job in self.batcher.claim(jobs):
            assert job.task_id not in self.failed
            self.failed[job.task_id] = error

    def submit(self, task_id: int, key: str = "a", most: int = 4, size: int = 1, tenant: str = "one") -> Job:
        job = Job(task_id, None, key, most, self.batcher.reserve(tenant, size))
        self.batcher.submit(job)
        return job


@pytest.fixture
def calls(request: pytest.FixtureRequest) -> Iterator[Calls]:
    calls = Calls()
    options = {"length": 100, "max_bytes": 1000, "wait": 0.0, "workers": 1, "timeout": 60.0}
    calls.batcher = Batcher(calls.run, calls.fail, **{**options, **getattr(request, "param", {})})
    calls.batcher.start()
    yield calls
    calls.go.set()
    calls.batcher.stop(5)
    for thread in calls.batcher._threads:
        thread.join(5)
        assert not thread.is_alive()
    assert (calls.batcher.places, calls.batcher.bytes) == (0, 0)


def hold(calls: Calls) -> Job:
    """Keep the worker busy with job 0."""
    calls.go.clear()
    job = calls.submit(0, "first")
    assert calls.started.acquire(timeout=5)
    return job


def test_waiting_jobs_of_a_key_share_a_call_up_to_the_most(calls: Calls) -> None:
    hold(calls)
    for task_id in range(1, 8):
        calls.submit(task_id)
    calls.go.set()
    wait_until(lambda: len(calls.batches) == 3)
    assert calls.batches == [("first", [0]), ("a", [1, 2, 3, 4]), ("a", [5, 6, 7])]


def test_who_has_had_much_elsewhere_has_one_turn_and_waits_for_others(calls: Calls) -> None:
    hold(calls)
    for task_id, tenant in enumerate(["much", "little"] * 4, 1):
        calls.submit(task_id, f"key {task_id}", tenant=tenant)
    calls.batcher.share({}, {"much": 3.0})
    calls.go.set()
    wait_until(lambda: len(calls.batches) == 9)
    assert [task_id for _, (task_id,) in calls.batches] == [0, 1, 2, 4, 6, 8, 3, 5, 7]


def test_oldest_job_decides_which_key_is_next(calls: Calls) -> None:
    hold(calls)
    for task_id, key in enumerate("abaabc", 1):
        calls.submit(task_id, key)
    calls.submit(7, "c", most=1)
    calls.go.set()
    wait_until(lambda: sum(len(jobs) for _, jobs in calls.batches) == 8)
    assert calls.batches[1:] == [("a", [1, 3, 4]), ("b", [2, 5]), ("c", [6, 7])]


@pytest.mark.parametrize("calls", [{"wait": 0.6}], indirect=True)
def test_call_waits_for_others_to_join(calls: Calls) -> None:
    started = time.monotonic()
    calls.submit(1)
    time.sleep(0.03)
    calls.submit(2)
    wait_until(lambda: calls.batches)
    assert calls.batches == [("a", [1, 2])]
    assert time.monotonic() - started >= 0.6


@pytest.mark.parametrize("calls", [{"wait": 60.0}], indirect=True)
def test_call_does_not_wait_when_full_or_when_another_key_waits(calls: Calls) -> None:
    for task_id in range(4):
        calls.submit(task_id)
    wait_until(lambda: len(calls.batches) == 1)
    calls.submit(4)
    calls.submit(5, "b")
    wait_until(lambda: len(calls.batches) == 2)
    assert calls.batches == [("a", [0, 1, 2, 3]), ("a", [4])]


@pytest.mark.parametrize("calls", [{"workers": 2}], indirect=True)
def test_two_workers_run_at_once(calls: Calls) -> None:
    calls.go.clear()
    for task_id in range(2):
        calls.submit(task_id, most=1)
        assert calls.started.acquire(timeout=5)
    calls.go.set()
    wait_until(lambda: len(calls.batches) == 2)


@pytest.mark.parametrize("calls", [{"length": 2}], indirect=True)
def test_full_queue_refuses_until_a_place_is_given_back(calls: Calls) -> None:
    hold(calls)  # it runs, and takes no place
    ticket = calls.batcher.reserve("one", 1)
    calls.submit(1)
    with pytest.raises(QueueFullError) as raised:
        calls.batcher.reserve("one", 1)
    assert raised.value.status == 503
    assert int(raised.value.headers["Retry-After"]) >= 1
    ticket.release()
    ticket.release()
    calls.submit(2)
    with pytest.raises(QueueFullError):
        calls.batcher.reserve("one", 1)


@pytest.mark.parametrize("calls", [{"max_bytes": 100}], indirect=True)
def test_memory_of_waiting_and_running_jobs_is_bounded(calls: Calls) -> None:
    calls.go.clear()
    calls.submit(1, size=60)
    assert calls.started.acquire(timeout=5)
    with pytest.raises(QueueFullError):
        calls.batcher.reserve("one", 41)
    calls.batcher.reserve("one", 28).release()  # which leaves some to others
    assert calls.batcher.bytes == 60
    calls.go.set()
    wait_until(lambda: calls.batcher.bytes == 0)
    calls.submit(2, size=5000)  # alone, or it could never run
    wait_until(lambda: len(calls.batches) == 2)


def test_retry_after_follows_the_throughput(calls: Calls) -> None:
    batcher = calls.batcher
    assert batcher._retry_after("one") == 1
    now = time.monotonic()
    batcher._finished.extend([(now - 60, 1000), (now - 10, 10), (now, 10)])
    tickets = [batcher.reserve("one", 1) for _ in range(50)]
    assert batcher._retry_after("one") == pytest.approx(25, rel=0.1)  # two a second
    assert batcher._retry_after("other") == 1
    batcher._finished[0] = (now - 10, 0)
    assert batcher._retry_after("one") == pytest.approx(50, rel=0.1)
    batcher._finished[1] = (now, 1)
    assert batcher._retry_after("one") == 60
    for ticket in tickets:
        ticket.release()


@pytest.mark.parametrize("calls", [{"timeout": 0.2}], indirect=True)
def test_job_that_waits_too_long_ends_in_error_while_workers_are_busy(calls: Calls) -> None:
    hold(calls).submitted += 60  # it has time
    calls.submit(1)
    late = calls.submit(2, "b")
    late.submitted += 60  # the only one that has time
    wait_until(lambda: 1 in calls.failed)
    assert "waited longer than 0.2 s" in calls.failed[1]
    calls.batcher._timeout = 60.0
    late.submitted = time.monotonic()
    calls.go.set()
    wait_until(lambda: len(calls.batches) == 2)
    assert [jobs for _, jobs in calls.batches] == [[0], [2]]
    assert list(calls.failed) == [1]


@pytest.mark.parametrize("calls", [{"timeout": 0.2}], indirect=True)
def test_job_that_runs_too_long_ends_in_error_and_what_it_finds_is_not_told(calls: Calls) -> None:
    hold(calls)
    wait_until(lambda: 0 in calls.failed)
    assert "did not end in what was left of 0.2 s" in calls.failed[0]
    assert calls.batcher.bytes == 1  # its inputs are in use yet
    calls.go.set()
    wait_until(lambda: calls.batches == [("first", [0])])
    calls.submit(1)  # the thread is alive
    wait_until(lambda: calls.told == [1])
    assert list(calls.failed) == [0]


def test_batch_that_raises_ends_its_jobs_and_not_the_thread(
    calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    calls.error = ZeroDivisionError("by accident")
    calls.submit(1)
    wait_until(lambda: calls.failed == {1: FAILED})
    assert "by accident" in caplog.text
    calls.error = None
    calls.submit(2)
    wait_until(lambda: calls.batches == [("a", [2])])


def test_fail_that_raises_does_not_end_the_thread(
    calls: Calls, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls.error = ZeroDivisionError()

    def fail(jobs: Sequence[Job], error: str) -> None:
        raise OSError("no disk")

    monkeypatch.setattr(calls.batcher, "_fail", fail)
    calls.submit(1)
    wait_until(lambda: "could not be told" in caplog.text)
    calls.error = None
    calls.submit(2)
    wait_until(lambda: calls.batches == [("a", [2])])


def test_cancelled_jobs_end_in_error_and_the_others_run(calls: Calls) -> None:
    hold(calls)
    for task_id in range(1, 5):
        calls.submit(task_id)
    calls.batcher.cancel(lambda job: job.task_id % 2 == 0, "deleted")
    assert calls.failed == {2: "deleted", 4: "deleted"}
    calls.go.set()
    wait_until(lambda: len(calls.batches) == 2)
    assert calls.batches[1] == ("a", [1, 3])


@pytest.mark.parametrize("calls", [{"wait": 30.0}], indirect=True)
def test_stop_runs_what_waits(calls: Calls) -> None:
    calls.submit(1)
    calls.submit(2, most=1, key="b")
    calls.batcher.stop(5)
    assert sorted(calls.batches) == [("a", [1]), ("b", [2])]
    assert calls.failed == {}
    with pytest.raises(QueueFullError):
        calls.batcher.reserve("one", 1)


def test_stop_ends_in_time_and_tells_each_job_once(calls: Calls) -> None:
    hold(calls)
    calls.submit(1)
    reserved = calls.batcher.reserve("one", 1)
    started = time.monotonic()
    calls.batcher.stop(0.2)
    assert time.monotonic() - started < 8  # its call would end after 10
    assert calls.failed == {1: STOPPED, 0: STOPPED}
    calls.batcher.submit(Job(2, None, "a", 4, reserved))
    assert calls.failed[2] == STOPPED
    calls.go.set()  # the call ends at last, and tells nothing more
    calls.batcher._threads[0].join(5)
    assert calls.batches == [("first", [0])]
    assert calls.told == []


@pytest.mark.parametrize("calls", [{"workers": 20}], indirect=True)
def test_stop_ends_in_time_however_many_calls_run(calls: Calls) -> None:
    calls.go.clear()
    for row in range(20):
        calls.submit(row, str(row))
        assert calls.started.acquire(timeout=5)
    began = time.monotonic()
    calls.batcher.stop(0.4)
    assert time.monotonic() - began < 6  # one after the other: 8
    assert len(calls.failed) == 20


def test_many_threads_lose_no_job(calls: Calls) -> None:
    def submit(start: int) -> None:
        for task_id in range(start, start + 50):
            while True:
                try:
                    calls.submit(task_id, "abc"[task_id % 3])
                    break
                except QueueFullError:
                    time.sleep(0.001)

    threads = [threading.Thread(target=submit, args=(row * 50,)) for row in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    wait_until(lambda: sum(len(jobs) for _, jobs in calls.batches) == 400)
    assert sorted(task_id for _, jobs in calls.batches for task_id in jobs) == list(range(400))
    assert all(len({"abc"[task_id % 3] for task_id in jobs}) == 1 for _, jobs in calls.batches)
