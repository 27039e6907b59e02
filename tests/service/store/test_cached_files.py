"""Copies of a store's files: fetched once, within a limit, and what goes from the store."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from postproc.service import ServiceSettings
from postproc.service.errors import ApiError, InputError
from postproc.service.metrics import Metrics
from postproc.service.store import cached_files, files
from postproc.service.store import database as databases
from postproc.service.store.cached_files import CachedFolders
from postproc.service.store.database import Database
from postproc.service.store.networks import NetworkStore
from postproc.service.store.objects import ObjectStore, StoreRecord
from tests.service.waiting import wait_until

pytest.importorskip("obstore")

DAY = 24 * 3600.0
SIZE = 1000


@pytest.fixture
def database(postgres: Callable[[], str], tmp_path: Path) -> Iterator[Database]:
    opened = Database(ServiceSettings(data=tmp_path, database=postgres()))
    opened.prepare("identity", for_front_ends=True)
    yield opened
    opened.close()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def make(database: Database, tmp_path: Path, metrics: Metrics) -> Iterator[Callable[[str], CachedFolders]]:
    objects, made = ObjectStore(f"file://{tmp_path}/store"), []
    objects.write_record(StoreRecord(id="identity", is_joined=True))

    def folders(name: str) -> CachedFolders:
        given = {
            "objects": objects,
            "database": database,
            "max_bytes": 2 * SIZE,
            "in_use": 60.0,
            "metrics": metrics,
        }
        made.append(CachedFolders(tmp_path / name, 0.0, **given))  # type: ignore[arg-type]
        return made[-1]

    yield folders
    for item in made:
        item.close()


def upload(folders: CachedFolders, database: Database, content: bytes, *, has_row: bool = True) -> str:
    staged = folders.stage()
    (staged / "files").mkdir()
    (staged / "model.onnx").write_bytes(content)
    (staged / "files" / "mean").write_bytes(b"")
    name = folders.publish(staged)
    if has_row:
        fields = {"name": "n", "description": "", "meta": {}, "framework": "", "preprocessing": {}}
        fields["postprocessings"] = []  # type: ignore[assignment]
        NetworkStore(database).add("one", fields, name, {}, folders.entries(name))
    folders.settle(name)
    return name


def objects_in(tmp_path: Path) -> set[bytes]:
    return {path.read_bytes() for path in (tmp_path / "store" / "sha256").rglob("*") if path.is_file()}


def test_copies_are_fetched_whole_by_many_at_once(
    make: Callable[[str], CachedFolders], database: Database
) -> None:
    a, b = make("a"), make("b")
    name = upload(a, database, b"x" * SIZE)
    threads = [threading.Thread(target=b.fetch, args=(1, name)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert b.model(name).read_bytes() == b"x" * SIZE
    assert (b.folder(name) / "mean").read_bytes() == b""
    assert b.names() == {name}


def test_object_that_is_damaged_is_whole_again_after_the_same_upload(
    make: Callable[[str], CachedFolders], database: Database, tmp_path: Path
) -> None:
    a, b = make("a"), make("b")
    upload(a, database, b"whole")
    for path in (tmp_path / "store" / "sha256").rglob("*"):
        if path.is_file():
            path.write_bytes(b"damaged")
    again = upload(a, database, b"whole")
    b.fetch(1, again)
    assert b.model(again).read_bytes() == b"whole"


def test_fetches_and_evictions_are_counted(
    make: Callable[[str], CachedFolders], database: Database, metrics: Metrics, tmp_path: Path
) -> None:
    a, b = make("a"), make("b")
    names = [upload(a, database, bytes([number]) * SIZE) for number in range(3)]
    for name in names:
        b.fetch(1, name)
        os.utime(b.model(name).parent, (0, 0))
    b.expire(DAY, names)
    for path in (tmp_path / "store" / "sha256").rglob("*"):
        if path.is_file():
            path.write_bytes(b"damaged")
    b.remove(names[2])
    with pytest.raises(InputError):
        b.fetch(1, names[2])
    read = metrics.registry.get_sample_value
    assert read("postproc_file_fetches_total", {"outcome": "success"}) == 3
    assert read("postproc_file_fetches_total", {"outcome": "error"}) == 1
    assert read("postproc_file_fetch_bytes_total") == 3 * SIZE
    assert read("postproc_file_evictions_total") == 1


def test_copies_are_on_the_disk_before_they_have_their_place(
    make: Callable[[str], CachedFolders], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = make("a"), make("b")
    synced: list[str] = []
    monkeypatch.setattr(files, "sync", lambda path: synced.append("/".join(path.parts[-3:-1])))
    name = upload(a, database, b"x")
    assert f"staging/{name}" in synced  # where its model lies
    synced.clear()
    b.fetch(1, name)
    assert any(place.startswith("staging/") for place in synced)


def test_copies_beyond_the_limit_go_unless_they_are_in_use(
    make: Callable[[str], CachedFolders], database: Database
) -> None:
    folders = make("a")
    names = [upload(folders, database, bytes([number]) * SIZE) for number in range(4)]
    folders.expire(DAY, names)
    assert folders.names() == set(names)
    for age, name in enumerate(names):
        then = time.time() - 100 - age
        os.utime(folders.model(name).parent, (then, then))
    folders.fetch(1, names[3])
    folders.expire(DAY, names)
    assert folders.names() == {names[0], names[3]}
    folders.fetch(2, names[1])
    assert folders.model(names[1]).read_bytes() == b"\1" * SIZE


def test_objects_of_no_network_go_after_their_time_and_not_while_an_upload_counts_on_them(
    make: Callable[[str], CachedFolders], database: Database, tmp_path: Path
) -> None:
    folders, other = make("a"), make("b")
    upload(folders, database, b"kept")
    upload(folders, database, b"stray", has_row=False)
    folders._check(DAY)
    assert objects_in(tmp_path) == {b"kept", b"stray", b""}
    staged = other.stage()
    (staged / "model.onnx").write_bytes(b"stray")
    name = other.publish(staged)
    folders._check(-1.0)
    assert b"stray" in objects_in(tmp_path)
    other.set_aside(name)
    wait_until(lambda: folders._check(-1.0) or b"stray" not in objects_in(tmp_path))
    assert objects_in(tmp_path) == {b"kept", b""}


def test_uploads_wait_neither_for_a_listing_nor_for_ever(
    make: Callable[[str], CachedFolders], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = make("a"), make("b")
    listed = a._objects.all

    def listing() -> Any:
        upload(b, database, b"meanwhile")
        return listed()

    monkeypatch.setattr(databases, "_AGREED_SECONDS", 0.1)
    monkeypatch.setattr(a._objects, "all", listing)
    a._check(-1.0)
    with database.agreed(cached_files._UPLOADS), pytest.raises(OperationalError, match="lock timeout"):
        upload(b, database, b"later")


def test_network_whose_object_is_gone_counts_as_missing(
    make: Callable[[str], CachedFolders], database: Database, tmp_path: Path
) -> None:
    a, b = make("a"), make("b")
    name = upload(a, database, b"gone")
    whole = upload(a, database, b"whole")
    for path in (tmp_path / "store" / "sha256").rglob("*"):
        if path.is_file() and path.read_bytes() == b"gone":
            path.unlink()
    b.expire(DAY, [name, whole])
    assert b.missing([name, whole]) == [name]
    with pytest.raises(InputError, match="upload the network again"):
        b.fetch(1, name)
    assert b.names() == set()
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    with pytest.raises(ApiError, match="does not answer") as caught:
        b.fetch(2, whole)
    assert caught.value.status == 503
    b.expire(DAY, [name, whole])
    assert b.is_away
