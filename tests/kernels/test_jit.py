"""The cache of compiled kernels: fresh after any edit, shared by processes, and never in anybody's way.

The tests compile a package of three small kernels around a copy of `_jit.py`, each time in a new process.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from numba.core.caching import IndexDataCacheFile
from postproc.kernels import _jit

HELPERS = """
from ._jit import kernel

@kernel
def scaled(x):
    return x * 2
"""
CALLERS = """
from ._jit import kernel
from .helpers import scaled

@kernel
def scaled_and_one(x):
    return scaled(x) + 1

@kernel
def element(values, index):
    return values[index]
"""
# Calls the kernels that its arguments name, and says what came of it.
PROGRAM = """
import json, logging, os, sys

messages = []
handler = logging.Handler()
handler.emit = lambda record: messages.append(record.getMessage())
logging.getLogger("tiny").addHandler(handler)

import numba, numpy
numba.njit(lambda x: x + 1)(1)  # loads all of numba, which may lie where only its owner may read
if "unprivileged" in sys.argv and os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)

from tiny import _jit, callers, helpers

values = []
for call in sys.argv[1:]:
    if call == "int":
        values.append(callers.scaled_and_one(20))
    elif call == "float":
        values.append(callers.scaled_and_one(1.25))
    elif call == "helper":
        values.append(helpers.scaled(4))
    elif call == "beyond":
        try:
            callers.element(numpy.zeros(1), 100_000_000 if _jit.config.BOUNDSCHECK else 0)
        except IndexError:
            values.append("IndexError")
kernels = callers.scaled_and_one, callers.element, helpers.scaled
directory = _jit.cache_directory()
print(json.dumps({
    "values": values,
    "loaded": sum(sum(kernel.stats.cache_hits.values()) for kernel in kernels),
    "compiled": sum(sum(kernel.stats.cache_misses.values()) for kernel in kernels),
    "messages": messages,
    "directory": None if directory is None else str(directory),
    "path_in_stats": callers.element.stats.cache_path,
}))
"""


@dataclass(frozen=True)
class Outcome:
    """What a process says of its kernels; `messages` are those of the log, from warnings up."""

    values: list[Any]
    loaded: int
    compiled: int
    messages: list[str]
    directory: str | None
    path_in_stats: str | None


@pytest.fixture
def package() -> Iterator[Path]:
    """A package of kernels in a directory that every user may enter, as pytest's own may not be."""
    with tempfile.TemporaryDirectory(prefix="postproc-kernels-") as name:
        root = Path(name)
        root.chmod(0o755)
        tiny = root / "tiny"
        tiny.mkdir()
        shutil.copy(str(_jit.__file__), tiny / "_jit.py")
        (tiny / "__init__.py").write_text("")
        (tiny / "helpers.py").write_text(HELPERS)
        (tiny / "callers.py").write_text(CALLERS)
        yield tiny


def start(package: Path, calls: Sequence[str], settings: Mapping[str, str]) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "XDG_"))}
    # Without .pyc files, which Python takes for fresh when a source of the same size changes within a second.
    environment = {**clean, "PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1", **settings}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *calls],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=package.parent,
    )


def finish(process: subprocess.Popen[str]) -> Outcome:
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return Outcome(**json.loads(output))


def run(package: Path, *calls: str, **settings: str) -> Outcome:
    return finish(start(package, calls, settings))


def files_of(directory: Path | str | None) -> dict[str, bytes]:
    assert directory is not None
    return {path.name: path.read_bytes() for path in sorted(Path(directory).iterdir())}


def write_protect(package: Path) -> None:
    for path in [*package.rglob("*"), package]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def allow_writing(package: Path) -> None:
    for path in [package, *package.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def test_kernel_helper_edited_in_another_file_changes_the_caller(package: Path) -> None:
    assert run(package, "int").values == [41]
    (package / "helpers.py").write_text(HELPERS.replace("x * 2", "x * 3"))
    edited = run(package, "int")
    assert (edited.values, edited.loaded) == ([61], 0)


def test_kernel_second_process_loads_what_the_first_compiled(package: Path) -> None:
    first = run(package, "int", "float")
    files = files_of(first.directory)
    second = run(package, "int", "float")
    assert (first.loaded, first.values) == (0, [41, 3.5])
    assert (second.loaded, second.compiled, second.values) == (2, 0, first.values)
    assert files_of(second.directory) == files
    assert first.messages == second.messages == []


def test_cache_directory_without_settings_lies_in_the_package(package: Path) -> None:
    outcome = run(package, "int")
    assert outcome.directory is not None
    assert Path(outcome.directory).parent == package / "__pycache__"
    assert outcome.path_in_stats == outcome.directory


def test_cache_directory_numba_cache_dir_takes_its_place(package: Path, tmp_path: Path) -> None:
    outcome = run(package, "int", NUMBA_CACHE_DIR=str(tmp_path / "new" / "cache"))
    assert outcome.directory is not None
    assert Path(outcome.directory).parent == tmp_path / "new" / "cache"
    assert files_of(outcome.directory)
    assert not (package / "__pycache__").exists()


def test_cache_directory_bounds_checks_have_one_of_their_own(package: Path) -> None:
    plain = run(package, "beyond")
    checked = run(package, "beyond", NUMBA_BOUNDSCHECK="1")
    assert (plain.values, checked.values) == ([], ["IndexError"])
    assert plain.directory != checked.directory


def test_kernel_no_writable_place_compiles_in_memory_and_says_so_once(package: Path) -> None:
    (package / "__pycache__").write_text("a file where the directory should be")
    outcome = run(package, "int", "float", "helper", HOME="/dev/null")
    assert outcome.values == [41, 3.5, 8]
    assert outcome.directory is outcome.path_in_stats is None
    (message,) = outcome.messages
    assert message.startswith("compiled kernels are not cached (no writable cache directory)")
    assert "NUMBA_CACHE_DIR" in message
    assert "postproc warmup" in message


def test_kernel_numba_cache_dir_is_a_file_compiles_in_memory(package: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = run(package, "int", NUMBA_CACHE_DIR=str(tmp_path / "file"))
    assert (outcome.values, outcome.directory, len(outcome.messages)) == ([41], None, 1)


def test_kernel_read_only_install_and_foreign_home_compile_in_memory(package: Path) -> None:
    home = package.parent / "home"  # may not even be searched, as root's by the user of a container
    home.mkdir(mode=0o000)
    write_protect(package)
    try:
        outcome = run(package, "unprivileged", "int", "float", HOME=str(home))
    finally:
        allow_writing(package)
    assert (outcome.values, outcome.directory, len(outcome.messages)) == ([41, 3.5], None, 1)


def test_kernel_read_only_install_uses_the_home_cache(package: Path) -> None:
    home = package.parent / "home"
    home.mkdir()
    home.chmod(0o777)
    write_protect(package)
    try:
        outcome = run(package, "unprivileged", "int", HOME=str(home))
    finally:
        allow_writing(package)
    assert outcome.directory is not None
    assert Path(outcome.directory).is_relative_to(home)
    assert (outcome.values, outcome.messages) == ([41], [])


def test_kernel_cache_filled_and_then_read_only_is_used(package: Path) -> None:
    filled = run(package, "int")
    write_protect(package)
    try:
        known = run(package, "unprivileged", "int", HOME="/dev/null")
        unknown = run(package, "unprivileged", "int", "float", "helper", HOME="/dev/null")
    finally:
        allow_writing(package)
    assert (known.loaded, known.compiled, known.messages) == (1, 0, [])
    assert known.directory == filled.directory
    # Each failure to save names another temporary file: still one message.
    assert (unknown.values, unknown.loaded, len(unknown.messages)) == ([41, 3.5, 8], 1, 1)


@pytest.mark.parametrize("content", ["nothing", "the first half", "noise"])
@pytest.mark.parametrize("suffix", ["nbi", "nbc"], ids=["index", "code"])
def test_kernel_spoiled_cache_file_compiles_again_and_repairs_it(
    package: Path, suffix: str, content: str
) -> None:
    directory = run(package, "int").directory
    sound = files_of(directory)
    names = [name for name in sound if name.endswith(suffix)]
    assert names
    for name in names:
        half = sound[name][: len(sound[name]) // 2]
        spoiled = {"nothing": b"", "the first half": half, "noise": half[::-1]}[content]
        (Path(str(directory)) / name).write_bytes(spoiled)
    after = run(package, "int")
    assert (after.values, after.loaded, after.messages) == ([41], 0, [])
    repaired = files_of(directory)
    assert list(repaired) == list(sound)
    assert all(len(repaired[name]) >= len(sound[name]) // 2 + 1 for name in names)


def test_kernel_several_processes_fill_a_cold_cache_at_once(package: Path) -> None:
    orders = [("int", "float"), ("float", "int"), ("helper", "float", "int"), ("int", "helper", "float")]
    expected = {"int": 41, "float": 3.5, "helper": 8}
    running = [(order, start(package, order, {})) for order in orders]
    for order, process in running:
        assert finish(process).values == [expected[call] for call in order]
    afterwards = run(package, "float", "helper", "int")
    assert (afterwards.values, afterwards.compiled) == ([3.5, 8, 41], 0)
    assert afterwards.messages == []


@pytest.fixture
def callers(package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The package's kernels in this process."""
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield importlib.import_module("tiny.callers")
    for name in [name for name in sys.modules if name.partition(".")[0] == "tiny"]:
        del sys.modules[name]


def test_kernel_disk_full_compiles_in_memory_and_says_so_once(
    callers: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    attempts: list[str] = []

    def save(files: Any, key: object, data: object) -> None:
        attempts.append(files._index_name)
        raise OSError(28, "No space left on device", f"{files._index_name}.tmp.{len(attempts)}")

    monkeypatch.setattr(IndexDataCacheFile, "save", save)
    with caplog.at_level(logging.WARNING, logger="tiny"):
        assert callers.scaled_and_one(20) == 41
        assert callers.scaled_and_one(1.25) == 3.5
    assert len(attempts) >= 2
    (record,) = caplog.records
    assert "No space left on device" in record.getMessage()


def test_kernel_signatures_that_took_the_same_number_do_not_share_code(
    callers: ModuleType, monkeypatch: pytest.MonkeyPatch, package: Path
) -> None:
    """As when two processes look at a cold cache before either has written: each numbers from 1."""
    monkeypatch.setattr(IndexDataCacheFile, "_load_index", lambda files: {})
    assert callers.scaled_and_one(20) == 41
    assert callers.scaled_and_one(1.25) == 3.5
    for order in [("int", "float"), ("float", "int")]:
        outcome = run(package, *order)
        assert outcome.values == [{"int": 41, "float": 3.5}[call] for call in order]
        assert outcome.loaded == 2


def test_source_digest_is_taken_when_the_kernels_are_imported(callers: ModuleType, package: Path) -> None:
    """Else a process that began with the old sources would file their code under the new ones."""
    jit = sys.modules["tiny._jit"]
    (package / "helpers.py").write_text(HELPERS.replace("x * 2", "x * 3"))
    assert callers.scaled_and_one(20) == 41
    assert run(package, "int").values == [61]
    assert jit.cache_directory() is not None


def test_kernel_with_jit_disabled_is_the_plain_function(package: Path) -> None:
    program = "from tiny.callers import scaled_and_one as f; print(f(20), type(f).__name__)"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(package.parent)}
    done = subprocess.run(
        [sys.executable, "-B", "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "41 function\n"
