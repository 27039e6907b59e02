"""Leases of tasks in PostgreSQL: one front end has each, and another where that one ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from postproc.service import ServiceSettings
from postproc.service.store import leases, tables
from postproc.service.store import tasks as store_tasks
from postproc.service.store.database import Database
from postproc.service.store.leases import LeasedTasks
from postproc.service.store.outages import is_outage
from postproc.service.work import STOPPED, TargetName, TaskRequest
from tests.service.waiting import wait_until


@pytest.fixture
def leased(postgres: Callable[[], str], tmp_path: Path) -> Iterator[Callable[[], LeasedTasks]]:
    database = Database(ServiceSettings(data=tmp_path, database=postgres()))
    database.prepare("identity", for_front_ends=True)

    def make() -> LeasedTasks:
        tasks = LeasedTasks(database, 60.0)
        tasks.beat()
        return tasks

    yield make
    database.close()


def _request() -> TaskRequest:
    return TaskRequest(TargetName("version", 7), {"inputs": []}, [b"one", b"", b"three"])


def test_lease_is_taken_by_one_and_only_its_holder_writes(leased: Callable[[], LeasedTasks]) -> None:
    a, b, c = leased(), leased(), leased()
    task = a.add("one", _request)
    assert b.take_over(8, of_dead=True) == []
    assert b.finish([(task, "{}", None)]) == 0
    a.finish([(task, None, STOPPED)])
    assert b.look({}).waiting
    (taken,) = [*b.take_over(8, of_dead=False), *c.take_over(8, of_dead=False)]
    assert taken.request == _request()
    assert (taken.task_id, taken.tenant, taken.losses) == (task, "one", 0)
    assert c.look({}).held == {"one": 1}
    assert a.finish([(task, '{"a": 1}', None)]) == 0
    assert b.finish([(task, '{"b": 1}', None)]) == 1
    assert b.texts("one", [task]) == {task: '{"b": 1}'}
    assert not b.look({}).waiting


def test_tasks_of_tenants_are_taken_over_in_turns_the_oldest_first(
    leased: Callable[[], LeasedTasks],
) -> None:
    a, b = leased(), leased()
    tasks = [a.add(tenant, _request) for tenant in ("flood", "flood", "flood", "flood", "one", "two", "one")]
    a.leave()
    taken = [b.take_over(4, of_dead=False) for _ in range(3)]
    assert [{task.task_id for task in found} for found in taken] == [
        {tasks[0], tasks[4], tasks[5], tasks[1]},
        {tasks[2], tasks[3], tasks[6]},
        set(),
    ]


def test_results_are_as_old_as_the_database_says(
    leased: Callable[[], LeasedTasks], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2020, 1, 1, tzinfo=tz)

    a, b = leased(), leased()
    task = a.add("one", _request)
    with monkeypatch.context() as patch:  # the clock of one front end
        patch.setattr(tables, "datetime", Wrong)
        patch.setattr(store_tasks, "datetime", Wrong)
        assert a.finish([(task, "{}", None)]) == 1
    assert b.expire(3600.0) == 0
    assert b.get("one", task).status == "success"
    time.sleep(0.01)
    assert b.expire(0.001) == 1


def test_large_images_are_taken_over_a_few_at_a_time(
    leased: Callable[[], LeasedTasks], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = leased(), leased()
    monkeypatch.setattr(leases, "_MOST_BYTES", 17)
    tasks = [a.add("one", _request) for _ in range(3)]  # of 8 bytes each
    large = TaskRequest(TargetName("version", 7), {}, [b"more than all"] * 2)
    tasks.append(a.add("one", lambda: large))
    a.leave()
    taken = [[task.task_id for task in b.take_over(8, of_dead=False)] for _ in range(4)]
    assert taken == [tasks[:2], tasks[2:3], tasks[3:], []]


def test_front_end_that_hangs_while_it_writes_lets_its_task_go(
    postgres: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ServiceSettings(data=tmp_path, database=postgres())
    database = Database(settings, most_idle=1.0)
    database.prepare("identity", for_front_ends=True)
    a, b = LeasedTasks(database, 0.2), LeasedTasks(database, 60.0)
    a.beat()
    task = a.add("one", _request)

    def hang(*_: Any) -> int:
        wait_until(lambda: [taken.task_id for taken in b.take_over(8, of_dead=True)] == [task], 20)
        return 1

    monkeypatch.setattr(leases, "write_outcomes", hang)
    with pytest.raises(DBAPIError) as caught:
        a.finish([(task, "{}", None)])
    assert is_outage(caught.value)
    monkeypatch.undo()
    assert b.finish([(task, '{"b": 1}', None)]) == 1
    database.close()


def test_own_leases_that_nobody_runs_end_in_error(leased: Callable[[], LeasedTasks]) -> None:
    a, b = leased(), leased()
    lost, other = a.add("one", _request), b.add("one", _request)
    a._unfinished.clear()  # as where the commit was not answered
    assert a.end_lost(0.0, "lost", lambda ids: ()) == 1
    assert a.get("one", lost).error == "lost"
    assert a.get("one", other).status == "pending"


def test_what_a_look_has_seen_is_seen_again_where_it_fails_at_its_end(
    leased: Callable[[], LeasedTasks], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> int:
        raise OSError("away")

    a, b = leased(), leased()
    a.look({"one": 1.0})
    b.look({})
    a.resume(7)
    a.look({"one": 3.5})
    with monkeypatch.context() as patch:
        patch.setattr(leases, "_counted", away)
        with pytest.raises(OSError, match="away"):
            b.look({})
    seen = b.look({})
    assert (seen.resumed, seen.had) == ([7], {"one": 2.5})
    assert (b.look({}).resumed, b.look({}).had) == ([], {})


def test_network_that_is_resumed_again_and_again_has_one_row(leased: Callable[[], LeasedTasks]) -> None:
    a, b = leased(), leased()
    b.look({})
    for network in (7, 7, "7", 7):
        a.resume(network)
    assert sorted(b.look({}).resumed, key=repr) == ["7", 7]
    a.resume(7)
    assert b.look({}).resumed == [7]
    assert b.look({}).resumed == []
    with b._database.reading() as session:
        assert len(session.scalars(select(tables.Resumption)).all()) == 2
