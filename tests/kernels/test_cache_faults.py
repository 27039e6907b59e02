"""What can be wrong with a cache of compiled kernels: it costs a compilation, and never a result."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numba
import pytest
from numba.core import config

from tests.kernels.test_jit import (
    import_anew,
    loaded_and_compiled,
    outcome,
    package,
    set_cache_directory,
    start,
)

__all__ = ["package"]  # the fixture

pytestmark = [
    pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled: NUMBA_DISABLE_JIT"),
    pytest.mark.skipif(os.name == "nt", reason="modes and owners of directories are POSIX's"),
]
AS_ROOT = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount, or give a file away"
)


@pytest.fixture
def root(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set NUMBA_CACHE_DIR."""
    root = tmp_path / "cache"
    root.mkdir()
    set_cache_directory(monkeypatch, root)
    return root


@pytest.fixture
def full_disk(root: Path) -> Iterator[Path]:
    """NUMBA_CACHE_DIR with room for an index, but not for code."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(root)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"tmpfs may not be mounted here: {done.stderr.strip()}")
    yield root
    subprocess.run(["umount", str(root)], check=True)


def directory_of(kernel: Any) -> Path:
    return Path(kernel.stats.cache_path)


def only_warning(caplog: pytest.LogCaptureFixture) -> str:
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    message = record.getMessage()
    assert "every process compiles them again, which takes seconds" in message
    assert "NUMBA_CACHE_DIR" in message
    return message


@pytest.mark.parametrize("position", [0, 4, 0.1, 0.25, 0.5, 0.75, 0.9, -1])
@pytest.mark.parametrize("suffix", [".nbi", ".nbc"], ids=["index", "code"])
def test_kernel_with_one_flipped_bit_in_its_cache_compiles_again(
    root: Path, suffix: str, position: float
) -> None:
    """Without a checksum most of these bits are machine code that runs."""
    kernel = import_anew().doubled_and_one
    kernel(20)
    for path in directory_of(kernel).glob(f"*{suffix}"):
        content = bytearray(path.read_bytes())
        content[int(position * len(content)) if isinstance(position, float) else position] ^= 0x10
        path.write_bytes(content)
    for expected in [(0, 1), (1, 0)]:
        kernel = import_anew().doubled_and_one
        assert kernel(20) == 41
        assert loaded_and_compiled(kernel) == expected


@AS_ROOT
def test_kernel_on_a_full_disk_stays_in_memory_and_says_so_once(
    full_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        caplog.clear()
        callers = import_anew()
        assert (callers.doubled_and_one(20), callers.doubled_and_one(1.25)) == (41, 3.5)
        assert loaded_and_compiled(callers.doubled_and_one) == (0, 2)
        assert "No space left on device" in only_warning(caplog)
    assert not list(full_disk.rglob("*.tmp.*"))


def test_kernel_whose_cache_disappears_fills_it_again(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    callers = import_anew()
    callers.doubled_and_one(20)
    shutil.rmtree(root)
    assert callers.doubled_and_one(1.25) == 3.5
    again = import_anew().doubled_and_one
    assert (again(1.25), again(20)) == (3.5, 41)
    assert loaded_and_compiled(again) == (1, 1)
    assert not caplog.records


def test_kernel_whose_cache_becomes_a_file_stays_in_memory(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    callers = import_anew()
    callers.doubled_and_one(20)
    shutil.rmtree(root)
    root.write_text("")
    assert callers.doubled_and_one(1.25) == 3.5
    only_warning(caplog)


def test_kernel_where_files_cannot_be_renamed_stays_in_memory(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*paths: object, **directories: object) -> NoReturn:
        raise OSError(116, "Stale file handle")

    callers = import_anew()
    monkeypatch.setattr(os, "replace", refuse)
    assert (callers.doubled_and_one(20), callers.doubled_and_one(1.25)) == (41, 3.5)
    assert "Stale file handle" in only_warning(caplog)
    assert not [path for path in root.rglob("*") if path.is_file()]


def test_kernel_of_another_numba_is_compiled_anew(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_anew().doubled_and_one(20)
    with monkeypatch.context() as patch:
        patch.setattr(numba, "__version__", "0.0.1")
        other = import_anew().doubled_and_one
        assert other(20) == 41
        assert loaded_and_compiled(other) == (0, 1)
    again = import_anew().doubled_and_one
    again(20)
    assert loaded_and_compiled(again) == (1, 0)


def test_kernel_of_another_processor_is_not_served(package: Path, root: Path) -> None:
    settings = [
        {"NUMBA_CPU_NAME": "generic"},
        {},
    ]
    for expected in [(0, 1), (1, 0)]:
        for setting in settings:
            found = outcome(start(package, "20", NUMBA_CACHE_DIR=str(root), **setting))
            assert found["values"] == [41]
            assert (found["loaded"], found["compiled"]) == expected


def test_cache_directory_that_all_may_write_is_not_used(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    kernel = import_anew().doubled_and_one
    kernel(20)
    directory = directory_of(kernel)
    directory.chmod(0o777)
    kernel = import_anew().doubled_and_one
    assert kernel(20) == 41
    assert loaded_and_compiled(kernel) == (0, 1)
    assert f"every user may write to {directory}" in only_warning(caplog)
    directory.chmod(0o775)  # its group may
    kernel = import_anew().doubled_and_one
    kernel(20)
    assert loaded_and_compiled(kernel) == (1, 0)


@AS_ROOT
def test_cache_directory_of_another_user_is_not_used(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    kernel = import_anew().doubled_and_one
    kernel(20)
    directory = directory_of(kernel)
    os.chown(directory, 12345, 0)
    kernel = import_anew().doubled_and_one
    assert kernel(20) == 41
    assert loaded_and_compiled(kernel) == (0, 1)
    assert f"{directory} belongs to another user (uid 12345)" in only_warning(caplog)


@AS_ROOT
def test_cache_directory_of_the_owner_of_the_package_is_used(root: Path) -> None:
    kernel = import_anew().doubled_and_one
    kernel(20)
    os.chown(directory_of(kernel), 12345, 0)
    os.chown(str(sys.modules["tiny._trusted_paths"].__file__), 12345, 0)
    kernel = import_anew().doubled_and_one
    kernel(20)
    assert loaded_and_compiled(kernel) == (1, 0)


def test_cache_directory_that_cannot_be_trusted_gives_way_to_the_next(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    kernel = import_anew().doubled_and_one
    kernel(20)
    directory_of(kernel).chmod(0o777)
    kernel = import_anew().doubled_and_one
    kernel(20)
    assert directory_of(kernel).is_relative_to(tmp_path)
    assert loaded_and_compiled(kernel) == (0, 1)
    assert not caplog.records


def test_cache_directory_is_not_open_to_others_under_any_umask(root: Path) -> None:
    before = os.umask(0)
    try:
        kernel = import_anew().doubled_and_one
        kernel(20)
    finally:
        os.umask(before)
    assert stat.S_IMODE(directory_of(kernel).stat().st_mode) == 0o755


def test_kernel_interrupted_while_it_is_saved_compiles_on_the_next_call(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    callers = import_anew()
    files = sys.modules["tiny._cache_files"].CheckedFiles
    with monkeypatch.context() as patch:
        patch.setattr(files, "_save_data", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            callers.doubled_and_one(20)
    assert callers.doubled_and_one(20) == 41
    again = import_anew().doubled_and_one
    assert again(20) == 41
