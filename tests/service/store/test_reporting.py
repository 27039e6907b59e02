"""Reporter: outcomes are kept until the store takes them, and what it refuses holds no others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from postproc.service.errors import ApiError
from postproc.service.metrics import Metrics
from postproc.service.sharing import Shares
from postproc.service.store import reporting
from postproc.service.store.reporting import LEFT_OUT, REFUSED, Reporter
from postproc.service.work import STOPPED, Outcome
from tests.service.waiting import wait_until

Row = tuple[int, "str | None", "str | None"]

AWAY = OperationalError("UPDATE task", {"data": "secret"}, Exception("the disk is full"))
LARGE = "x" * 5000


class Store:
    """Takes outcomes, unless it is told to fail; some it refuses."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.rows: dict[int, tuple[str | None, str | None]] = {}
        self.attempts = 0
        self.error: Exception | None = None
        self.refused: dict[int, Exception] = {}
        self.go = threading.Event()
        self.go.set()

    def write(self, outcomes: Sequence[Row]) -> None:
        self.attempts += 1
        assert self.go.wait(10)
        if self.error is not None:
            raise self.error
        for task_id, _, error in outcomes:
            if task_id in self.refused and error != REFUSED:
                raise self.refused[task_id]
        self.batches.append([task_id for task_id, _, _ in outcomes])
        for task_id, data, error in outcomes:
            assert task_id not in self.rows
            self.rows[task_id] = data, error


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(reporting, "_FIRST_PAUSE", 0.005)
    monkeypatch.setattr(reporting, "_LONGEST_PAUSE", 0.02)
    return Store()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def reporter(store: Store, metrics: Metrics, request: pytest.FixtureRequest) -> Iterator[Reporter]:
    reporter = Reporter(store.write, metrics, getattr(request, "param", 1 << 20))
    reporter.start()
    yield reporter
    store.error = None
    store.go.set()
    reporter.stop(5)
    assert not reporter._thread.is_alive()
    assert (reporter.count, reporter.bytes, reporter._coming) == (0, 0, set())
    assert not reporter._memory._held
    assert not reporter._places._held


def done(*task_ids: int) -> list[Outcome]:
    return [Outcome(task_id, f'{{"n":{task_id}}}', None) for task_id in task_ids]


def hold(reporter: Reporter, store: Store, error: Exception = AWAY) -> None:
    """Let the store fail, and wait until it is known."""
    store.error = error
    reporter.put(done(0))
    wait_until(lambda: reporter.is_behind)


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0


def test_outcomes_are_written_as_they_are_and_counted(
    reporter: Reporter, store: Store, metrics: Metrics
) -> None:
    reporter.put([Outcome(1, '{"a":["\\u00e9",1.5]}', None), Outcome(2, None, "why")])
    wait_until(lambda: len(store.rows) == 2)
    assert store.rows == {1: ('{"a":["\\u00e9",1.5]}', None), 2: (None, "why")}
    wait_until(lambda: value(metrics, "postproc_tasks_total", outcome="error") == 1)
    assert value(metrics, "postproc_tasks_total", outcome="success") == 1
    assert value(metrics, "postproc_stage_seconds_count", stage="store") >= 1


@pytest.mark.parametrize(("shows", "errors"), [(True, 2), (False, 1)])
def test_tasks_that_are_handed_over_are_not_counted_as_ended(
    shows: bool, errors: int, store: Store, metrics: Metrics
) -> None:
    reporter = Reporter(store.write, metrics, 1 << 20, shows=shows)
    reporter.start()
    reporter.put([Outcome(1, None, STOPPED), Outcome(2, None, "why"), *done(3)])
    reporter.stop(5)
    assert sorted(store.rows) == [1, 2, 3]
    assert value(metrics, "postproc_tasks_total", outcome="error") == errors
    assert value(metrics, "postproc_tasks_total", outcome="success") == 1


@pytest.mark.parametrize("error", [AWAY, OSError(28, "No space left"), RuntimeError("nobody knows")])
def test_outcomes_outlive_any_number_of_attempts_in_their_order(
    reporter: Reporter, store: Store, metrics: Metrics, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    hold(reporter, store, error)
    for task_id in range(1, 600):
        reporter.put(done(task_id))
    wait_until(lambda: store.attempts > 20)
    assert value(metrics, "postproc_outcomes_waiting") == 600
    assert value(metrics, "postproc_outcomes_waiting_bytes") > 600
    assert value(metrics, "postproc_store_behind_seconds") > 0
    assert [kept.data for kept in reporter.kept([5, 10**6]).values()] == ['{"n":5}']
    store.error = None
    wait_until(lambda: len(store.rows) == 600)
    assert [task_id for batch in store.batches for task_id in batch] == list(range(600))
    assert len(store.batches) <= 4
    wait_until(lambda: not reporter.is_behind)
    assert value(metrics, "postproc_outcomes_waiting") == reporter.seconds == 0
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]  # not one an attempt
    assert "takes no outcomes; 1 wait" in caplog.text
    assert "takes outcomes again" in caplog.text
    assert "of 600 that waited, 3" in caplog.text
    assert "Traceback" not in caplog.text
    assert "secret" not in caplog.text


def test_outcome_that_is_refused_ends_in_error_and_the_others_are_written(
    reporter: Reporter, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.refused = {3: ValueError("a NUL"), 5: UnicodeError("half a pair")}
    store.go.clear()
    reporter.put(done(0))
    reporter.put(done(*range(1, 8)))
    store.go.set()
    wait_until(lambda: len(store.rows) == 8)
    assert {task_id for task_id, row in store.rows.items() if row == (None, REFUSED)} == {3, 5}
    assert store.rows[4] == ('{"n":4}', None)
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "task 3 was refused: ValueError: a NUL" in caplog.text
    assert not reporter.is_behind


def test_outcome_is_not_refused_for_an_outage_that_begins_meanwhile(reporter: Reporter, store: Store) -> None:
    hold(reporter, store, RuntimeError("neither it nor an error in its stead"))
    wait_until(lambda: store.attempts > 12)
    store.error = None
    wait_until(lambda: store.rows == {0: ('{"n":0}', None)})


@pytest.mark.parametrize("reporter", [20_000], indirect=True)
def test_results_beyond_the_memory_give_way_to_an_error_while_the_store_fails(
    reporter: Reporter, store: Store, metrics: Metrics
) -> None:
    hold(reporter, store)
    started = time.monotonic()
    reporter.put([Outcome(task_id, LARGE, None) for task_id in range(1, 9)])
    assert time.monotonic() - started < reporting._PATIENCE
    assert value(metrics, "postproc_outcomes_waiting_bytes") < 20_000 + 8 * reporting._OVERHEAD
    assert reporter.kept([8])[8].error == LEFT_OUT
    reporter.put([Outcome(task_id, LARGE, None) for task_id in range(9, 20)])
    with pytest.raises(ApiError, match="results wait to be written") as raised:
        reporter.admit("")
    assert raised.value.status == 503
    assert int(raised.value.headers["Retry-After"]) >= 1
    store.error = None
    wait_until(lambda: len(store.rows) == 20)
    reporter.admit("")
    assert [task_id for task_id, (data, _) in store.rows.items() if data] == [0, 1, 2, 3]
    assert store.rows[4] == store.rows[19] == (None, LEFT_OUT)


@pytest.mark.parametrize("reporter", [20_000], indirect=True)
def test_results_wait_for_room_while_the_store_works(reporter: Reporter, store: Store) -> None:
    store.go.clear()
    thread = threading.Thread(
        target=reporter.put, args=([Outcome(task_id, LARGE, None) for task_id in range(30)],)
    )
    thread.start()
    wait_until(lambda: reporter.count == 3)
    assert reporter.known(range(40)) == set(range(30))
    reporter.put([Outcome(99, None, "an error has room")])
    store.go.set()
    thread.join(10)
    assert not thread.is_alive()
    wait_until(lambda: len(store.rows) == 31)
    assert all(error is None for task_id, (_, error) in store.rows.items() if task_id != 99)


@pytest.mark.parametrize("reporter", [20_000], indirect=True)
def test_networks_do_not_wait_for_ever_for_a_store_that_hangs(
    reporter: Reporter, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "_PATIENCE", 0.1)
    monkeypatch.setattr(reporting, "LATE", 0.1)
    store.go.clear()
    reporter.put([Outcome(task_id, LARGE, None) for task_id in range(30)])
    assert reporter.count == 30
    assert reporter.is_behind
    store.go.set()
    wait_until(lambda: len(store.rows) == 30)


@pytest.mark.parametrize("reporter", [20_000], indirect=True)
def test_networks_wait_once_for_a_tenant_until_it_has_room_again(
    reporter: Reporter, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "_PATIENCE", 0.05)
    store.go.clear()
    reporter.put([Outcome(task_id, LARGE, None, "a") for task_id in range(4)])
    monkeypatch.setattr(reporting, "_PATIENCE", 1000.0)
    thread = threading.Thread(
        target=lambda: [reporter.put([Outcome(task_id, LARGE, None, "a")]) for task_id in range(4, 20)]
    )
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert [kept.error for kept in reporter.kept(range(20)).values()] == [None] * 3 + [LEFT_OUT] * 17
    with pytest.raises(ApiError):
        reporter.admit("a")
    reporter.admit("b")
    store.go.set()
    wait_until(lambda: reporter.count == 0)
    reporter.admit("a")
    reporter.put([Outcome(task_id, LARGE, None, "a") for task_id in range(20, 40)])  # waits as before
    wait_until(lambda: len(store.rows) == 40)
    assert all(store.rows[task_id] == (LARGE, None) for task_id in range(20, 40))


@pytest.mark.parametrize("reporter", [60_000], indirect=True)
def test_large_results_of_a_tenant_leave_room_for_those_of_others(reporter: Reporter, store: Store) -> None:
    hold(reporter, store)
    reporter.put([Outcome(task_id, LARGE, None, "a") for task_id in range(1, 31)])
    kept = reporter.kept(range(1, 31))
    assert {outcome.error for outcome in kept.values()} == {None, LEFT_OUT}
    reporter.put([Outcome(31, '{"n":31}', None, "b")])
    assert reporter.kept([31])[31].data == '{"n":31}'
    with pytest.raises(ApiError):
        reporter.admit("a")
    reporter.admit("b")


def test_many_outcomes_of_a_tenant_leave_places_for_those_of_others(reporter: Reporter, store: Store) -> None:
    reporter._places = Shares(90)
    hold(reporter, store)
    reporter.put([Outcome(task_id, None, "small", "a") for task_id in range(1, 85)])
    with pytest.raises(ApiError):
        reporter.admit("a")
    reporter.admit("b")


def test_tenants_are_written_in_turns(
    reporter: Reporter, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "_MOST_BYTES_TOGETHER", 20_000)
    hold(reporter, store)
    reporter.put([Outcome(task_id, LARGE, None, "a") for task_id in range(1, 8)])
    reporter.put([Outcome(8, "x" * 50_000, None, "b"), Outcome(9, LARGE, None, "b")])
    reporter.put([Outcome(task_id, "{}", None, "c") for task_id in range(10, 14)])
    attempts = store.attempts
    wait_until(lambda: store.attempts > attempts + 1)
    store.error = None
    wait_until(lambda: len(store.rows) == 14)
    first, second = store.batches[:2]
    assert {10, 11, 12, 13} <= set(first)  # small ones are not behind all that are large
    assert second[0] == 8  # what found no room in a batch has the first turn of the next
    for ids in (range(1, 8), (8, 9)):  # those of a tenant in their order
        order = [task_id for batch in store.batches for task_id in batch if task_id in ids]
        assert order == sorted(order)


def test_memory_of_a_text_counts_as_python_holds_it(reporter: Reporter, store: Store) -> None:
    store.go.clear()
    reporter.put([Outcome(1, "\u20ac" * 1000, None)])
    assert reporter.bytes > 2000 + reporting._OVERHEAD
    store.go.set()


@pytest.mark.parametrize("reporter", [10], indirect=True)
def test_single_result_has_room_however_large(reporter: Reporter, store: Store) -> None:
    for task_id in range(3):
        reporter.put([Outcome(task_id, LARGE, None)])
    wait_until(lambda: len(store.rows) == 3)
    assert all(error is None for _, error in store.rows.values())


def test_no_task_is_taken_while_too_many_outcomes_wait(reporter: Reporter, store: Store) -> None:
    reporter._places = Shares(3)
    hold(reporter, store)
    reporter.admit("")
    reporter.put([Outcome(task_id, None, "small") for task_id in (1, 2)])
    with pytest.raises(ApiError):
        reporter.admit("")


def test_batches_are_bounded_in_bytes(
    reporter: Reporter, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "_MOST_BYTES_TOGETHER", 15_000)
    hold(reporter, store)
    reporter.put([Outcome(task_id, LARGE, None) for task_id in range(1, 6)])
    reporter.put([Outcome(6, "x" * 50_000, None)])
    store.error = None
    wait_until(lambda: len(store.rows) == 7)
    assert store.batches == [[0, 1, 2], [3, 4], [5], [6]]


def test_stop_writes_what_is_left(reporter: Reporter, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "_FIRST_PAUSE", 60.0)  # the end does not wait for it
    monkeypatch.setattr(reporting, "_LONGEST_PAUSE", 60.0)
    hold(reporter, store)
    store.error = None
    reporter.stop(5)
    assert store.rows == {0: ('{"n":0}', None)}


@pytest.mark.parametrize("hangs", [False, True])
def test_stop_ends_in_time_where_the_store_does_not_come_back(
    store: Store, metrics: Metrics, hangs: bool, caplog: pytest.LogCaptureFixture
) -> None:
    reporter = Reporter(store.write, metrics, 1 << 20)
    reporter.start()
    hold(reporter, store)
    if hangs:
        store.go.clear()
        attempts = store.attempts
        wait_until(lambda: store.attempts > attempts)
    started = time.monotonic()
    reporter.stop(0.2)
    assert time.monotonic() - started < 5
    assert "the outcomes of 1 tasks could not be written before the end" in caplog.text
    store.go.set()
    reporter._thread.join(5)
    assert not reporter._thread.is_alive()
    assert store.rows == {}


def test_many_threads_lose_no_outcome(reporter: Reporter, store: Store) -> None:
    def put(start: int) -> None:
        for task_id in range(start, start + 100):
            reporter.put(done(task_id))

    def toggle(error: Any) -> Callable[[], None]:
        def work() -> None:
            for _ in range(20):
                store.error = error
                time.sleep(0.002)
                store.error = None
                time.sleep(0.002)

        return work

    threads = [threading.Thread(target=put, args=(row * 100,)) for row in range(8)]
    threads.append(threading.Thread(target=toggle(AWAY)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    wait_until(lambda: len(store.rows) == 800)
    assert all(error is None for _, error in store.rows.values())
