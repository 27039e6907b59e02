"""Copies of networks' files on a machine: whose folder they are in, and which of them go."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("obstore")

from postproc.errors import PostprocError
from postproc.service.on_ray.copies import Copies
from postproc.service.on_ray.messages import NetworkSource
from postproc.service.store.objects import DamagedError, ObjectStore
from postproc.service.work import NetworkFiles
from tests.service.engine.test_engine import averaging, small
from tests.service.on_ray.replicas import keep


@pytest.fixture
def network(tmp_path: Path) -> NetworkFiles:
    return small(tmp_path, averaging())


def copies_of(folder: Path, max_bytes: int = 1 << 20, in_use: float = 60.0, **given: Any) -> Copies:
    store = ObjectStore(f"file://{folder}/store")
    return Copies(store, folder / "copies", max_bytes=max_bytes, in_use=in_use, **given)


def test_user_without_a_name_has_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr("pwd.getpwuid", unknown)  # as in a container that runs as any number
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    Copies(ObjectStore(f"file://{tmp_path}/store"), None, max_bytes=1, in_use=1.0)
    (folder,) = tmp_path.glob("postproc-networks-*")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "copies").mkdir()
    (tmp_path / "copies").chmod(0o777)
    with pytest.raises(PostprocError, match="that this user alone may write to"):
        copies_of(tmp_path)


def test_copies_that_were_used_longest_ago_go_unless_they_are_in_use(
    network: NetworkFiles, tmp_path: Path
) -> None:
    source = keep(network, tmp_path)
    counted: list[tuple[str, dict[str, str]]] = []
    names = "oldest", "older", ".left", "lately"
    copies = copies_of(tmp_path, 3000, count=lambda name, amount=1, **labels: counted.append((name, labels)))
    for ago, name in zip((4000, 3000, 2000, 10), names, strict=True):
        path = tmp_path / "copies" / name
        path.mkdir()
        (path / name).write_bytes(bytes(1000))
        os.utime(path, (time.time() - ago,) * 2)
    copies.fetch(source)
    assert sum(entry.size for entry in source.entries) < 1000
    assert {path.name for path in (tmp_path / "copies").iterdir()} == {".left", "lately", source.key}
    assert counted.count(("postproc_replica_file_evictions", {})) == 2
    assert ("postproc_replica_file_fetches", {"outcome": "success"}) in counted


def test_copy_that_the_store_lacks_leaves_nothing(network: NetworkFiles, tmp_path: Path) -> None:
    keep(network, tmp_path)
    (network.folder / "more").write_bytes(b"not in the store")
    with pytest.raises(DamagedError):
        copies_of(tmp_path).fetch(NetworkSource.of(1, network.model))
    assert not list((tmp_path / "copies").iterdir())
