"""Files of networks: in place whole, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from postproc.errors import PostprocError
from postproc.service.store.files import NetworkFolders


def stage(folders: NetworkFolders, named: dict[str, bytes] | None = None) -> Path:
    staged = folders.stage()
    (staged / "0").write_bytes(b"model")
    paths = {}
    for row, (name, content) in enumerate((named or {}).items(), 1):
        paths[name] = staged / str(row)
        paths[name].write_bytes(content)
    folders.arrange(staged, staged / "0", paths)
    return staged


def test_published_files_have_their_names(tmp_path: Path) -> None:
    folders = NetworkFolders(tmp_path)
    name = folders.publish(stage(folders, {"means/a.npy": b"mean"}))
    assert folders.model(name).read_bytes() == b"model"
    assert (folders.folder(name) / "means" / "a.npy").read_bytes() == b"mean"
    assert folders.sweep({name}) == 0
    folders.remove(name)
    assert not folders.model(name).exists()
    folders.close()


def test_every_file_is_on_the_disk_before_the_folder_is_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = NetworkFolders(tmp_path)
    staged = stage(folders, {"a.npy": b"mean"})
    synced: list[str] = []
    plain = os.fsync

    def fsync(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        plain(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    name = folders.publish(staged)
    synced[2:4] = sorted(synced[2:4])
    assert synced[:-1] == [
        f"{staged}/files/a.npy",
        f"{staged}/files",
        *sorted([f"{staged}/model.onnx", f"{staged}/unsettled"]),
        str(staged),
    ]
    assert synced[-1] == str(tmp_path / "networks")
    assert folders.model(name).exists()
    folders.close()


def test_sweep_moves_aside_what_an_upload_left_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folders = NetworkFolders(tmp_path)
    kept, unfinished, unknown = (folders.publish(stage(folders)) for _ in range(3))
    folders.settle(unknown)  # it had a row once, in a database that is newer than this one
    staged = stage(folders)
    assert folders.sweep({kept, "gone"}) == 2
    assert folders.model(kept).exists()
    assert folders.model(unknown).exists()
    assert folders.names() == {kept, unknown}
    assert list((tmp_path / "staging").iterdir()) == []
    assert {path.name for path in (tmp_path / "swept").iterdir()} == {unfinished, staged.name}
    assert "1 folders" in caplog.text
    assert folders.sweep({kept}) == 0
    assert folders.sweep({kept}, take_all=True) == 1
    assert folders.names() == {kept}
    folders.close()


def test_sweep_brings_back_what_was_swept_where_a_row_knows_it(tmp_path: Path) -> None:
    folders = NetworkFolders(tmp_path)
    name = folders.publish(stage(folders))
    assert folders.sweep(set()) == 1
    assert folders.missing({name}) == [name]
    assert folders.sweep({name}) == 0
    assert folders.model(name).read_bytes() == b"model"
    assert folders.missing({name}) == []
    folders.close()


def test_what_was_swept_goes_after_a_time(tmp_path: Path) -> None:
    folders = NetworkFolders(tmp_path)
    name = folders.publish(stage(folders))
    folders.sweep(set())
    folders.expire(100.0, set())
    assert (tmp_path / "swept" / name / "model.onnx").exists()
    os.utime(tmp_path / "swept" / name, (0, 0))
    folders.expire(100.0, {name})  # a row that was in doubt is there after all
    assert (tmp_path / "swept" / name / "model.onnx").exists()
    folders.expire(100.0, set())
    assert list((tmp_path / "swept").iterdir()) == []
    folders.close()


def test_deletion_that_is_cut_off_never_leaves_half_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = NetworkFolders(tmp_path)
    name = folders.publish(stage(folders, {"a.npy": b"mean"}))
    folders.mark(name)
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)  # as if killed in it
    folders.remove(name)
    assert folders.names() == set()
    folders.sweep({name})  # an older backup, which has the row
    assert folders.missing({name}) == [name]
    folders.close()


def test_names_that_are_a_file_and_a_folder_cannot_be_kept(tmp_path: Path) -> None:
    folders = NetworkFolders(tmp_path)
    with pytest.raises(OSError):
        stage(folders, {"a.npy": b"", "a.npy/b.npy": b""})
    folders.close()


def test_second_service_on_a_data_folder_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    folders = NetworkFolders(tmp_path)
    with pytest.raises(PostprocError, match="another service uses"):
        NetworkFolders(tmp_path)
    folders.close()
    NetworkFolders(tmp_path).close()


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from postproc.service.store.files import NetworkFolders\n"
    )
    code += "folders = NetworkFolders(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    NetworkFolders(tmp_path).close()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_data_folder_that_is_made_is_its_users_alone(tmp_path: Path) -> None:
    plain = os.umask(0)
    try:
        NetworkFolders(tmp_path / "data").close()
    finally:
        os.umask(plain)
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    tmp_path.chmod(0o755)  # one that is there stays as its owner has it
    NetworkFolders(tmp_path).close()
    assert tmp_path.stat().st_mode & 0o777 == 0o755
