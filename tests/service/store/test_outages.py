"""Rows and outages: what is tried again, what is refused, and which tasks are lost."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, update
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from postproc.service.metrics import Metrics
from postproc.service.settings import ServiceSettings
from postproc.service.store import tasks
from postproc.service.store.database import Database
from postproc.service.store.outages import is_outage, reason_of
from postproc.service.store.reporting import REFUSED, Reporter
from postproc.service.store.tables import ERROR, PENDING, SUCCESS, Task
from postproc.service.store.tasks import TaskStore
from postproc.service.work import LOST, Outcome
from tests.service.rows import TENANT
from tests.service.waiting import wait_until

LONG_AGO = "2001-01-01T00:00:00.000000Z"


def none_kept(_: Sequence[int]) -> set[int]:
    return set()


@contextmanager
def reporting(database: Database, store: TaskStore) -> Iterator[Reporter]:
    reporter = Reporter(store.finish, Metrics(), 1 << 24)
    reporter.start()
    yield reporter
    reporter.stop(10)
    assert reporter.count == 0


def statuses(store: TaskStore, identifiers: list[int]) -> list[str]:
    return [task.status for task in store.list(TENANT, identifiers, 0, len(identifiers), max_bytes=999)[1]]


# --- what is refused


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DiskFull", True),
        ("TooManyConnections", True),
        ("AdminShutdown", True),
        ("CannotConnectNow", True),
        ("ConnectionFailure", True),
        ("DeadlockDetected", True),
        ("LockNotAvailable", True),
        ("QueryCanceled", True),
        ("ReadOnlySqlTransaction", True),  # the server has become a standby
        ("ProgramLimitExceeded", False),  # of the same class of Python as a broken connection
        ("StringDataRightTruncation", False),
        ("UntranslatableCharacter", False),
        ("CheckViolation", False),
    ],
)
def test_errors_of_postgresql_are_told_apart(name: str, expected: bool) -> None:
    errors = pytest.importorskip("psycopg.errors")
    cause = getattr(errors, name)("why\nand where")
    kinds = {"OperationalError": OperationalError, "InternalError": InternalError}
    kind = next((kinds[base.__name__] for base in type(cause).__mro__ if base.__name__ in kinds), DBAPIError)
    error = kind("UPDATE", {"data": "secret"}, cause)
    assert is_outage(error) == expected
    assert reason_of(error) == f"{name}: why and where"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OperationalError("", {}, sqlite3.OperationalError("database or disk is full")), True),
        (OperationalError("", {}, sqlite3.OperationalError("database is locked")), True),
        (DBAPIError("", {}, sqlite3.DataError("string or blob too big")), False),
        (PoolTimeout(), True),
        (OSError(28, "No space left on device"), True),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), False),
        (ValueError(), False),
    ],
)
def test_other_errors_are_told_apart(error: Exception, expected: bool) -> None:
    assert is_outage(error) == expected


def test_text_that_no_database_takes_ends_its_task_and_holds_no_others(database: Database) -> None:
    store = TaskStore(database)
    first, second, third = identifiers = [store.add(TENANT) for _ in range(3)]
    with reporting(database, store) as reporter:
        reporter.put(
            [Outcome(first, "{}", None), Outcome(second, None, "\ud800"), Outcome(third, "{}", None)]
        )
        wait_until(lambda: PENDING not in statuses(store, identifiers))
    assert statuses(store, identifiers) == [SUCCESS, ERROR, SUCCESS]
    assert store.get(TENANT, second).error == REFUSED


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
def test_nul_that_postgresql_refuses_ends_its_task_alone(database: Database) -> None:
    store = TaskStore(database)
    first, second, third = identifiers = [store.add(TENANT) for _ in range(3)]
    with reporting(database, store) as reporter:
        reporter.put([Outcome(first, None, "a\0b"), Outcome(second, '{"text":"a\\u0000b"}', None)])
        reporter.put([Outcome(third, "{}", None)])
        wait_until(lambda: PENDING not in statuses(store, identifiers))
    assert statuses(store, identifiers) == [ERROR, SUCCESS, SUCCESS]
    assert store.get(TENANT, first).error == REFUSED


@pytest.mark.skipif(not hasattr(sqlite3.Connection, "setlimit"), reason="needs Python 3.11")
def test_result_too_large_for_sqlite_ends_its_task_alone(tmp_path: Path) -> None:
    database = Database(ServiceSettings(data=tmp_path))
    database.prepare("identity")
    limit = getattr(sqlite3, "SQLITE_LIMIT_LENGTH", 0)
    event.listen(database._engine, "checkout", lambda connection, *_: connection.setlimit(limit, 10_000))
    store = TaskStore(database)
    first, second = identifiers = [store.add(TENANT) for _ in range(2)]
    with reporting(database, store) as reporter:
        reporter.put([Outcome(first, "x" * 20_000, None), Outcome(second, "{}", None)])
        wait_until(lambda: PENDING not in statuses(store, identifiers))
    assert statuses(store, identifiers) == [ERROR, SUCCESS]
    assert store.get(TENANT, first).error == REFUSED
    database.close()


# --- what is lost


def make_old(database: Database, *identifiers: int) -> None:
    with database.writing() as session:
        session.execute(update(Task).where(Task.id.in_(identifiers)).values(date_created=LONG_AGO))


def test_row_whose_commit_was_not_answered_is_ended_once_it_is_old(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, writing = TaskStore(database), database.writing

    @contextmanager
    def dying() -> Iterator[Session]:
        with writing() as session:
            yield session
        raise OperationalError("COMMIT", {}, Exception("server closed the connection unexpectedly"))

    with monkeypatch.context() as patch:
        patch.setattr(database, "writing", dying)
        with pytest.raises(OperationalError):
            store.add(TENANT)
    assert statuses(store, [1]) == [PENDING]
    assert store.end_lost(60, LOST, none_kept) == 0  # it is new
    make_old(database, 1)
    assert store.end_lost(60, LOST, none_kept) == 1
    assert store.get(TENANT, 1).error == LOST
    assert store._unfinished == {}


def test_task_that_is_forgotten_is_lost_though_the_clock_was_set_back(database: Database) -> None:
    store = TaskStore(database)
    identifier = store.add(TENANT)
    with database.writing() as session:
        session.execute(update(Task).values(date_created="2999-01-01T00:00:00.000000Z"))
    store._unfinished[identifier] = time.monotonic() - 61
    assert store.end_lost(60, LOST, none_kept) == 1
    assert store.get(TENANT, identifier).error == LOST


def test_task_at_work_is_not_lost_whatever_the_clock_says(database: Database) -> None:
    store = TaskStore(database)
    fresh, waiting, forgotten, done = identifiers = [store.add(TENANT) for _ in range(4)]
    store.finish([(done, "{}", None)])
    make_old(database, *identifiers)  # the clock was set
    assert store.end_lost(60, LOST, none_kept) == 0
    store._unfinished[waiting] = store._unfinished[forgotten] = time.monotonic() - 61
    assert store.end_lost(60, LOST, lambda _: {waiting}) == 1
    assert statuses(store, identifiers) == [PENDING, PENDING, ERROR, SUCCESS]
    assert store.get(TENANT, forgotten).error == LOST
    assert set(store._unfinished) == {fresh, waiting}


def test_tasks_that_are_added_and_finished_meanwhile_are_never_lost(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "now", lambda: LONG_AGO)  # every row looks old at once
    store, is_over = TaskStore(database), threading.Event()
    swept = []

    def sweep() -> None:
        while not is_over.is_set():
            swept.append(store.end_lost(60, LOST, none_kept))

    def work(_: Any) -> int:
        identifier = store.add(TENANT)
        store.finish([(identifier, "{}", None)])
        return identifier

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    with ThreadPoolExecutor(8) as pool:
        identifiers = list(pool.map(work, range(160)))
    is_over.set()
    sweeper.join(20)
    assert set(statuses(store, identifiers)) == {SUCCESS}
    assert sum(swept) == 0
    assert len(swept) > 3
    assert store._unfinished == {}


def test_writes_are_tried_again_only_after_one_failed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Any:
        raise OperationalError("", {}, Exception("no answer"))

    store = TaskStore(database)
    with monkeypatch.context() as patch:
        patch.setattr(database, "writing", fail)
        store.check_writes()
        for ask in (lambda: store.add(TENANT), store.check_writes):
            with pytest.raises(OperationalError):
                ask()
    store.check_writes()
    store.check_writes()
    assert store.list("", range(1, 9), 0, 9, max_bytes=999)[0] == 0
    assert store.list(TENANT, range(1, 9), 0, 9, max_bytes=999)[0] == 0
