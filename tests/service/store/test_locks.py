"""One service at a time on a database: the second is refused, waits, or takes over what the first lost."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner, Result

from postproc.cli.app import app
from postproc.errors import PostprocError
from postproc.service.settings import ServiceSettings
from postproc.service.store.database import Database
from postproc.service.store.locks import lock_database
from tests.service.objects import IMAGE, made, make_network
from tests.service.running import running
from tests.service.serving import Serving, serving
from tests.service.waiting import wait_until


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of an empty database, of each kind."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres")())
    return f"sqlite:///{tmp_path}/shared.sqlite"


def _pending(service: Serving) -> int:
    """Make a task that waits until it is let go."""
    network = make_network(service.client)["id"]
    service.engine.holds = True
    return int(made(service.client.post(f"/networks/{network}/inference", files=IMAGE))["task_id"])


def _status(service: Serving, task: int) -> str:
    return str(service.client.get(f"/tasks/{task}").json()["status"])


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        pytest.param("another", "belongs to another data folder", id="another"),
        pytest.param("a copy", "another service uses the database", id="a copy"),
        pytest.param("the same", "another service uses the folder", id="the same"),
    ],
)
def test_second_service_on_a_database_is_refused_and_harms_no_task(
    url: str, tmp_path: Path, folder: str, message: str
) -> None:
    data, other = tmp_path / "data", tmp_path / "other"
    with serving(data, database=url) as first:
        task = _pending(first)
        if folder == "a copy":
            shutil.copytree(data, other)
        with (
            pytest.raises(PostprocError, match=message),
            serving(data if folder == "the same" else other, database=url),
        ):
            pass
        assert _status(first, task) == "pending"
        first.engine.release()
        wait_until(lambda: _status(first, task) == "success")


def test_second_service_that_does_not_belong_to_a_database_never_waits_for_its_lock(
    url: str, tmp_path: Path
) -> None:
    """It would take the lock in an outage, for a moment in which the first loses it for good."""
    with serving(tmp_path / "data", database=url):
        started = time.monotonic()
        with (
            pytest.raises(PostprocError, match="belongs to another data folder"),
            serving(tmp_path / "other", database=url, wait=600.0),
        ):
            pass
        assert time.monotonic() - started < 300


def test_second_service_by_a_link_to_the_database_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "shared.sqlite")
    settings = [
        ServiceSettings(data=tmp_path, database=f"sqlite:///{tmp_path}/{name}")
        for name in ("shared.sqlite", "link")
    ]
    lock = lock_database(Database(settings[0]), pytest.fail)
    with pytest.raises(PostprocError, match="another service uses the database"):
        lock_database(Database(settings[1]), pytest.fail)
    lock.close()
    lock_database(Database(settings[1]), pytest.fail).close()


def test_second_service_that_waits_takes_over_when_the_first_ends(url: str, tmp_path: Path) -> None:
    with running(tmp_path / "data", "--database", url) as first:
        port = first.host.rpartition(":")[2]
        taken: list[str] = []

        def take_over() -> None:
            with running(tmp_path / "data", "--database", url, "--wait", "60", port=int(port)) as second:
                taken.append(second.host)

        thread = threading.Thread(target=take_over)
        thread.start()
        time.sleep(1)  # it waits for the port; were it quicker, the test would pass for less
        assert taken == []
        assert first.stop() in (0, -15)
        thread.join(60)
        assert taken == [first.host]


@contextmanager
def _locked(url: str, tmp_path: Path) -> Iterator[tuple[Database, list[str]]]:
    lost: list[str] = []
    database = Database(ServiceSettings(data=tmp_path, database=url))
    lock = lock_database(database, lost.append)
    try:
        yield database, lost
    finally:
        lock.close()
        database.close()


def _ask(url: str, question: str) -> Any:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with engine.connect() as connection:
            return connection.scalar(text(question))
    finally:
        engine.dispose()


def _end_sessions(url: str) -> None:
    sessions = "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    assert _ask(url, f"SELECT count(pg_terminate_backend(pid)) FROM {sessions}")


def _locks(url: str) -> int:
    database = "(SELECT oid FROM pg_database WHERE datname = current_database())"
    return int(
        _ask(url, f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = {database}")
    )


def test_lock_is_taken_again_where_its_session_was_ended(postgres: Callable[[], str], tmp_path: Path) -> None:
    url = postgres()
    with _locked(url, tmp_path) as (_, lost):
        _end_sessions(url)
        wait_until(lambda: _locks(url) == 0)
        wait_until(lambda: _locks(url) == 1)
        assert lost == []
    wait_until(lambda: _locks(url) == 0)


def test_lock_outlives_the_patience_of_postgresql(postgres: Callable[[], str], tmp_path: Path) -> None:
    url = postgres()
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        name = connection.scalar(text("SELECT current_database()"))
        connection.execute(text(f"ALTER DATABASE {name} SET idle_session_timeout = '500ms'"))
        pid = "SELECT max(pid) FROM pg_locks WHERE locktype = 'advisory'"
        with _locked(url, tmp_path):
            first = connection.scalar(text(pid))
            time.sleep(1.5)  # less than the pause between two questions of the lock
            assert (connection.scalar(text(pid)), first) == (first, first)
    engine.dispose()


def test_service_whose_lock_was_taken_by_another_ends(postgres: Callable[[], str], tmp_path: Path) -> None:
    url = postgres()
    data, copy = tmp_path / "data", tmp_path / "copy"
    with running(data, "--database", url) as first:
        shutil.copytree(data, copy)
        first.process.send_signal(signal.SIGSTOP)  # so that the other one is first
        _end_sessions(url)
        with running(copy, "--database", url) as second:
            first.process.send_signal(signal.SIGCONT)
            assert first.process.wait(30) == 1
            assert "another service uses the database" in "".join(first.lines)
            assert second.stop() in (0, -15)


def test_holder_of_the_lock_is_named(postgres: Callable[[], str], tmp_path: Path) -> None:
    url = postgres()
    with _locked(url, tmp_path), pytest.raises(PostprocError, match=r"postproc on .*, process \d+"):
        lock_database(Database(ServiceSettings(data=tmp_path, database=url)), print)


def _keys(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["keys", *map(str, arguments)])


def test_keys_go_to_the_database_of_the_folders_service(url: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data, database=url) as service:
        added = _keys("add", "team", "--data", data)
        assert added.exit_code == 0, added.output
        answer = service.client.get("/accounts/me", headers={"X-API-KEY": added.stdout.strip()})
        assert answer.json() == {"name": "team"}
    assert not (data / "postproc.sqlite").exists()


def test_keys_make_no_database(url: str, tmp_path: Path) -> None:
    data, other = tmp_path / "data", tmp_path / "other"
    data.mkdir()
    refused = _keys("add", "team", "--data", data)
    assert (refused.exit_code, "no service has used" in refused.output) == (1, True)
    refused = _keys("add", "team", "--data", data, "--database", url)
    assert (refused.exit_code, "no service has used" in refused.output) == (1, True)
    assert list(data.iterdir()) == []
    with serving(data, database=url), serving(other):
        refused = _keys("add", "team", "--data", data, "--database", f"sqlite:///{other}/postproc.sqlite")
        assert (refused.exit_code, "belongs to another folder" in refused.output) == (1, True)
