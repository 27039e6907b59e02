"""Objects by digest: in a folder, and over HTTP in what stands for S3."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from postproc import stores
from postproc.errors import PostprocError
from postproc.service.store.objects import DamagedError, ObjectStore, StoreRecord
from postproc.service.store.outages import StoreAwayError
from tests.ports import free_port
from tests.s3 import s3_bucket, use_s3

pytest.importorskip("obstore")

CONTENT = b"content " * 1000
DIGEST = sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_bucket() as url:
        yield url


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "file":
        return ObjectStore(f"file://{tmp_path}/a%20store")
    return ObjectStore(f"{request.getfixturevalue('s3')}/{tmp_path.name}")


def test_objects_come_back_as_they_went(store: ObjectStore, tmp_path: Path) -> None:
    path, target = tmp_path / "path", tmp_path / "target"
    path.write_bytes(CONTENT)
    assert not store.has(DIGEST)
    with pytest.raises(StoreAwayError, match="mounted"):
        store.fetch(DIGEST, target)
    store.write_record(StoreRecord(id="identity", is_joined=True))
    assert store.record() == StoreRecord(id="identity", is_joined=True)
    with pytest.raises(DamagedError, match="has no object"):
        store.fetch(DIGEST, target)
    store.put(path, DIGEST)
    store.fetch(DIGEST, target)
    assert target.read_bytes() == CONTENT
    (found,) = store.all()
    assert (found.digest, found.size) == (DIGEST, len(CONTENT))
    assert store.has(DIGEST)
    path.write_bytes(CONTENT[1:])
    store.put(path, DIGEST)
    assert not store.has(DIGEST)
    with pytest.raises(DamagedError, match="is damaged"):
        store.fetch(DIGEST, target)
    assert not target.exists()
    store.remove(DIGEST)
    assert list(store.all()) == []


def test_store_that_does_not_answer_is_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_s3(monkeypatch, f"http://127.0.0.1:{free_port()}")
    store = ObjectStore("s3://bucket/prefix")
    for ask in (store.record, lambda: store.has(DIGEST), lambda: list(store.all())):
        with pytest.raises(StoreAwayError, match="s3://bucket/prefix does not answer"):
            ask()  # type: ignore[operator]


def test_store_that_takes_requests_and_answers_none_is_away_soon(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stores, "_SHORT_LIMITS", {"connect_timeout": "1s", "timeout": "0.2s"})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        use_s3(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        store, start = ObjectStore("s3://bucket/prefix"), time.monotonic()
        with pytest.raises(StoreAwayError, match="does not answer"):
            store.check()
        assert time.monotonic() - start < 5


def test_full_disk_of_this_machine_is_no_store_that_is_away(tmp_path: Path) -> None:
    store = ObjectStore(f"file://{tmp_path}/store")
    with pytest.raises(IsADirectoryError):
        store.fetch(DIGEST, tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "/folder",
        "http://host/x",
        "s3://key:secret@bucket/x",
        "s3:/key:secret@bucket",
        "file://host/x",
        "file:x",
    ],
)
def test_url_that_is_none_of_a_store_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(PostprocError, match="store: expected") as caught:
        ObjectStore(url)
    assert "secret" not in str(caught.value)


def test_store_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ImportError, match=r"\[store\]"):
        ObjectStore("file:///folder")
