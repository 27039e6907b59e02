"""The service through outages of its database, step by step; `tests.service.outages` has them under load."""

from __future__ import annotations

import gc
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from postproc.service import services
from postproc.service.work import LOST, STOPPED
from tests.service.disks import can_mount, filled, small_disk
from tests.service.objects import IMAGE, complaint, made
from tests.service.postgres import Cluster
from tests.service.serving import Serving, serving
from tests.service.waiting import wait_until

INFERENCE = "/recognition/public/digits-yolo/inference"
LARGE = {"text": "x" * 50_000}
SECONDS = 3.0  # in which the service tries six times


def fail(*_: object) -> None:
    raise OSError("no answer")


def held_tasks(service: Serving, count: int) -> list[int]:
    """Start tasks that end when the engine is told to release them."""
    service.engine.holds = True
    return [made(service.client.post(INFERENCE, files=IMAGE))["task_id"] for _ in range(count)]


def health(service: Serving) -> dict[str, Any]:
    document: dict[str, Any] = service.client.get(f"{service.host}/healthz").json()
    return document


def statuses(service: Serving, tasks: list[int]) -> list[str]:
    page = service.client.get("/tasks", params={"task_ids": tasks, "limit": 100}).json()
    return [row["status"] for row in page["results"]]


def written(service: Serving, tasks: list[int]) -> int:
    """Count the outcomes that are in the database itself."""
    found = service.services.tasks.list("one", tasks, 0, 100, max_bytes=1 << 30)[1]
    return sum(task.status != "pending" for task in found)


def thread_names() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_tasks_that_end_while_postgresql_is_away_are_written_when_it_is_back(
    own_postgres: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(tmp_path, database=own_postgres.url()) as service:
        tasks = held_tasks(service, 20)
        own_postgres.stop()
        service.engine.release()
        wait_until(lambda: service.services.reporter.is_behind)
        alive = health(service)
        assert (alive["status"], alive["database"], alive["store"]["behind"]) == ("degraded", "away", 20)
        ready = service.client.get(f"{service.host}/readyz")
        assert (ready.status_code, ready.json()["reasons"]) == (
            503,
            ["the database does not answer", "results wait for the database to take them"],
        )
        complaint(service.client.get(f"/tasks/{tasks[0]}"), 503)
        complaint(service.client.post(INFERENCE, files=IMAGE), 503)
        wait_until(lambda: health(service)["store"]["seconds"] > SECONDS)
        own_postgres.start()
        wait_until(lambda: not service.services.reporter.is_behind)
        assert statuses(service, tasks) == ["success"] * 20
        assert written(service, tasks) == 20
        assert health(service)["status"] == "ok"
    about = [record for record in caplog.records if record.name == "postproc.service.store.reporting"]
    assert len(about) == 2
    assert "Traceback" not in caplog.text


def check_full_disk(service: Serving, full: Callable[[], AbstractContextManager[None]]) -> None:
    """Let tasks with large results end while there is no room, and check what is seen then and later."""
    tasks = held_tasks(service, 6)
    service.engine.data = LARGE
    with full():
        service.engine.release()
        wait_until(lambda: service.services.reporter.is_behind)
        assert statuses(service, tasks) == ["success"] * 6
        task = service.client.get(f"/tasks/{tasks[3]}").json()
        assert (task["data"], task["error"]) == (LARGE, None)
        assert task["date_updated"] >= task["date_created"]
        complaint(service.other.get(f"/tasks/{tasks[3]}"), 404)
        alive = health(service)
        assert (alive["status"], alive["store"]["behind"]) == ("degraded", 6)
        assert service.client.get(f"{service.host}/readyz").status_code == 503
        wait_until(lambda: health(service)["store"]["seconds"] > SECONDS)
        assert written(service, tasks) == 0
    wait_until(lambda: written(service, tasks) == 6)
    assert service.client.get(f"/tasks/{tasks[3]}").json()["data"] == LARGE
    wait_until(lambda: health(service)["status"] == "ok")


def test_tasks_that_end_while_sqlite_may_not_grow_are_read_and_written_later(tmp_path: Path) -> None:
    """A limit on pages stands for a disk: rows fit where there is room in a page, and results do not."""
    with serving(tmp_path) as service:
        limit = [1 << 30]
        engine = service.services.database._engine
        event.listen(
            engine, "checkout", lambda connection, *_: connection.execute(f"PRAGMA max_page_count={limit[0]}")
        )

        @contextmanager
        def full() -> Iterator[None]:
            limit[0] = 1  # SQLite takes as many as there are
            yield
            limit[0] = 1 << 30

        check_full_disk(service, full)


@pytest.mark.skipif(not can_mount(), reason="CAP_SYS_ADMIN is needed to mount a small disk")
def test_tasks_that_end_while_the_disk_is_full_are_read_and_written_later(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, serving(disk) as service:
        check_full_disk(service, lambda: filled(disk))
        with filled(disk):
            complaint(service.client.post(INFERENCE, files=IMAGE), 507)
            assert health(service)["database"] == "read-only"
            ready = service.client.get(f"{service.host}/readyz")
            assert (ready.status_code, ready.json()["reasons"]) == (503, ["the database takes no writes"])
        assert service.client.get(f"{service.host}/readyz").status_code == 200
        assert health(service)["database"] == "ok"


@pytest.mark.parametrize("hangs", [False, True], ids=["away", "hangs"])
def test_service_stops_in_bounded_time_without_its_database(
    own_postgres: Cluster, tmp_path: Path, hangs: bool
) -> None:
    with serving(tmp_path, database=own_postgres.url()) as service:
        ends, stays = held_tasks(service, 2)
        service.engine.held = [(task, work) for task, work in service.engine.held if task != stays]
        if hangs:
            own_postgres.signal(signal.SIGSTOP)
        else:
            own_postgres.stop()
        try:
            service.engine.release()
            wait_until(lambda: health(service)["database"] == "away")
            service.server.should_exit = True  # `serving` fails where it takes too long
            wait_until(lambda: service.services.is_stopping)
            wait_until(lambda: not service.services.reporter._thread.is_alive() or hangs, 15)
        finally:
            if not hangs:
                own_postgres.start()
    if hangs:
        own_postgres.signal(signal.SIGCONT)
        wait_until(lambda: not {"postproc-report", "postproc-end", "postproc-probe"} & thread_names())
        with warnings.catch_warnings():  # connections that were left behind, as those of a process that ends
            warnings.simplefilter("ignore", ResourceWarning)
            del service
            gc.collect()
    with serving(tmp_path, database=own_postgres.url()) as service:
        tasks = [service.client.get(f"/tasks/{task}").json() for task in (ends, stays)]
        assert tasks[1]["error"] == STOPPED
        assert tasks[0]["status"] != "pending"


def test_rows_that_nobody_works_on_are_ended_by_the_service_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(services, "TASK_MARGIN", 0.5)
    monkeypatch.setattr(services, "_LONGEST_PAUSE", 0.1)
    with serving(tmp_path, task_timeout=0.4) as service:
        store = service.services.tasks
        lost = store.add("one")
        store._unfinished.clear()  # as where the commit is not answered
        forgotten = store.add("one")  # as where the engine forgets it
        monkeypatch.setattr(service.services.reporter, "_write", fail)
        (kept,) = held_tasks(service, 1)
        service.engine.release()
        wait_until(lambda: statuses(service, [lost, forgotten]) == ["error", "error"])
        assert {service.client.get(f"/tasks/{task}").json()["error"] for task in (lost, forgotten)} == {LOST}
        wait_until(lambda: service.services.reporter.seconds > 2)
        assert written(service, [kept]) == 0
        assert statuses(service, [kept]) == ["success"]
        monkeypatch.setattr(service.services.reporter, "_write", store.finish)
        wait_until(lambda: written(service, [kept]) == 1)
        assert statuses(service, [kept]) == ["success"]
    assert "2 tasks were lost" in caplog.text or caplog.text.count("1 tasks were lost") == 2
