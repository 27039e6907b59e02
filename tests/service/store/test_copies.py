"""Copies of networks' files on a machine: whose folder they are in, and which of them go."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("obstore")

from postproc.errors import PostprocError
from postproc.service.store.copies import Copies, folder_for_all
from postproc.service.store.networks import FileEntry
from postproc.service.store.objects import DamagedError, ObjectStore, StoreRecord, digest_of

SIZE = 1000


def ignore(name: str, amount: float = 1, **labels: str) -> None:
    """Count nothing."""


def copies_of(folder: Path, count: Any = ignore) -> Copies:
    (folder / "copies").mkdir()
    objects = ObjectStore(f"file://{folder}/store")
    objects.write_record(StoreRecord(id="tests", is_joined=True))
    return Copies(
        objects,
        folder / "copies",
        max_bytes=3 * SIZE,
        in_use=60.0,
        kept={"kept"},
        count=count,
        prefix="postproc_replica",
    )


def test_user_without_a_name_has_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr("pwd.getpwuid", unknown)  # as in a container that runs as any number
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert [folder_for_all(None)] == list(tmp_path.glob("postproc-networks-*"))
    assert folder_for_all(None).stat().st_mode & 0o777 == 0o700


def test_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(PostprocError, match="that this user alone may write to"):
        folder_for_all(tmp_path)


def test_copies_that_were_used_longest_ago_go_unless_they_are_in_use(tmp_path: Path) -> None:
    counted: list[tuple[str, dict[str, str]]] = []
    copies = copies_of(tmp_path, lambda name, amount=1, **labels: counted.append((name, labels)))
    names = "kept", "oldest", "older", ".left", "lately"
    for ago, name in zip((5000, 4000, 3000, 2000, 10), names, strict=True):
        path = tmp_path / "copies" / name
        path.mkdir()
        (path / name).write_bytes(bytes(SIZE if name != "kept" else 0))
        os.utime(path, (time.time() - ago,) * 2)
    (tmp_path / "model").write_bytes(b"content")
    digest = digest_of(tmp_path / "model")
    ObjectStore(f"file://{tmp_path}/store").put(tmp_path / "model", digest)
    found = copies.fetch("new", [FileEntry("files/model", digest, 7)])
    assert (found / "files" / "model").read_bytes() == b"content"
    assert {path.name for path in (tmp_path / "copies").iterdir()} == {"kept", ".left", "lately", "new"}
    assert counted.count(("postproc_replica_file_evictions", {})) == 2
    assert ("postproc_replica_file_fetches", {"outcome": "success"}) in counted


def test_copy_that_the_store_lacks_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DamagedError):
        copies_of(tmp_path).fetch("new", [FileEntry("model", "0" * 64, 7)])
    assert not list((tmp_path / "copies").iterdir())
