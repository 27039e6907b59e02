"""A service brought from a folder and SQLite to a store and PostgreSQL, and back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text

from postproc.errors import PostprocError
from postproc.service import ServiceSettings
from postproc.service.store import copying, objects
from postproc.service.store.copying import Copied, copy_service
from postproc.service.store.keys import Keys
from postproc.service.work import STOPPED
from tests.service.objects import IMAGE, made, make_network, make_version
from tests.service.serving import Serving, serving

pytest.importorskip("obstore")


def _copy(source: ServiceSettings, target: ServiceSettings, scratch: Path) -> Copied:
    scratch.mkdir(exist_ok=True)
    return copy_service(source, target, scratch, lambda line: None)


def _documents(client: httpx.Client, tasks: list[int]) -> Any:
    paths = ("/networks/", "/recognition/specs/", "/recognition/versions/")
    found: list[Any] = [client.get(path).json()["results"] for path in paths]
    details = [
        client.get(f"{path}{row['id']}/").json()
        for path, rows in zip(paths, found, strict=True)
        for row in rows
    ]
    return found, details, client.get("/tasks/", params={"task_ids": tasks}).json()["results"]


def _filled(front: Serving) -> tuple[list[int], str]:
    """Fill a service with objects, some of which are deleted again, and return tasks and a key."""
    version = make_version(front.client)
    path = f"/recognition/versions/{version['id']}/inference"
    tasks = [made(front.client.post(path, files=IMAGE))["task_id"] for _ in range(3)]
    front.engine.holds = True
    tasks.append(made(front.client.post(path, files=IMAGE))["task_id"])
    gone = make_network(front.client)["id"]
    assert front.client.delete(f"/networks/{gone}").status_code == 204
    return tasks, Keys(front.services.database).add("one")


def test_service_goes_into_a_store_and_back_with_all_its_ids(
    postgres: Callable[[], str], tmp_path: Path
) -> None:
    url, store = postgres(), f"file://{tmp_path}/store"
    old = ServiceSettings(data=tmp_path / "old")
    shared = ServiceSettings(data=tmp_path / "front", database=url, store=store)
    back = ServiceSettings(data=tmp_path / "back")
    with serving(old.data) as front:
        tasks, key = _filled(front)
        before = _documents(front.client, tasks)
        with pytest.raises(PostprocError, match="another service uses the folder"):
            _copy(old, shared, tmp_path / "scratch")
    # As after a kill -9: the task that waited was not ended.
    with sqlite3.connect(old.data / "postproc.sqlite") as database:
        database.execute("UPDATE task SET status = 'pending', error = NULL WHERE id = ?", tasks[-1:])
    database.close()
    copied = _copy(old, shared, tmp_path / "scratch")
    assert copied.files == 1
    assert copied.rows["task"] == 5
    with serving(shared.data, database=url, store=store) as front:
        front.client.headers["X-API-KEY"] = key
        after = _documents(front.client, tasks)
        assert after[:2] == before[:2]
        assert after[2][:-1] == before[2][:-1]
        assert after[2][-1]["error"] == STOPPED
        version = before[0][2][0]["id"]
        task = made(front.client.post(f"/recognition/versions/{version}/inference", files=IMAGE))["task_id"]
        assert front.engine.works[-1][1].network.model.read_bytes().startswith(b"onnx")
        new = make_network(front.client)["id"]
        assert new == before[0][0][-1]["id"] + 2  # that of the deleted one is not given again
        with pytest.raises(PostprocError, match="another service uses the database"):
            _copy(shared, back, tmp_path / "scratch")
    _copy(shared, back, tmp_path / "scratch")
    with serving(back.data) as front:
        front.client.headers["X-API-KEY"] = key
        again = _documents(front.client, tasks)
        assert again[0][0] == [*before[0][0], front.client.get(f"/networks/{new}").json()]
        assert front.client.get(f"/tasks/{task}").json()["status"] == "success"
        front.client.post(f"/recognition/versions/{version}/inference", files=IMAGE)
        assert front.engine.works[-1][1].network.model.read_bytes().startswith(b"onnx")
        assert make_network(front.client)["id"] == new + 1
    with pytest.raises(PostprocError, match="has rows already"):
        _copy(old, shared, tmp_path / "scratch")


def test_copy_that_is_interrupted_goes_on_and_writes_no_rows_before_the_end(
    postgres: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = ServiceSettings(data=tmp_path / "old")
    shared = ServiceSettings(data=tmp_path, database=postgres(), store=f"file://{tmp_path}/store")
    with serving(old.data) as front:
        make_network(front.client)
        fields = {"name": "n", "framework": "onnx"}
        from tests.service.objects import PREPROCESSING

        made(
            front.client.post(
                "/networks/", data={**fields, **PREPROCESSING}, files={"m": ("m", b"onnx other")}
            )
        )
    put, done = objects.ObjectStore.put, []

    def once(self: Any, path: Path, digest: str) -> None:
        if done:
            raise objects.StoreAwayError("cut off")
        done.append(digest)
        put(self, path, digest)

    with monkeypatch.context() as patched:
        patched.setattr(objects.ObjectStore, "put", once)
        with pytest.raises(objects.StoreAwayError):
            _copy(old, shared, tmp_path / "scratch")
    written: list[str] = []
    monkeypatch.setattr(
        objects.ObjectStore,
        "put",
        lambda self, path, digest: (written.append(digest), put(self, path, digest)),
    )
    with monkeypatch.context() as patched:
        patched.setattr(copying, "_set_last_id", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            _copy(old, shared, tmp_path / "scratch")
    engine = create_engine((shared.database or "").replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM network")) == 0
    engine.dispose()
    (damaged,) = (path for path in (tmp_path / "store" / "sha256").rglob("*") if path.name == done[0])
    damaged.write_bytes(b"half")
    assert _copy(old, shared, tmp_path / "scratch").files == 2
    assert len(written) == 2
    assert written[-1] == done[0]


def test_copy_without_the_files_of_a_network_is_refused(tmp_path: Path, postgres: Callable[[], str]) -> None:
    old = ServiceSettings(data=tmp_path / "old")
    with serving(old.data) as front:
        make_network(front.client)
        (folder,) = (old.data / "networks").iterdir()
    (folder / "model.onnx").unlink()
    shared = ServiceSettings(data=tmp_path, database=postgres(), store=f"file://{tmp_path}/store")
    with pytest.raises(PostprocError, match=r"files of 1 networks are missing"):
        _copy(old, shared, tmp_path / "scratch")
    with pytest.raises(PostprocError, match="does not exist"):
        _copy(ServiceSettings(data=tmp_path / "none"), shared, tmp_path / "scratch")
