"""The cache of compiled kernels: fresh after any edit, shared by processes, and never in anybody's way.

The tests compile a package of three small kernels around a copy of `_numba.py`. Importing it anew starts
without compiled code, as a new process does; what hangs on processes or users runs in processes of its own.
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
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest
from numba.core import config
from numba.core.caching import IndexDataCacheFile

from postproc.kernels import _numba

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled: NUMBA_DISABLE_JIT")

_NOBODY = 65534
HELPERS = """
from ._jit import kernel

@kernel
def doubled(x):
    return x * 2
"""
CALLERS = """
from ._jit import kernel
from .helpers import doubled

@kernel
def doubled_and_one(x):
    return doubled(x) + 1

@kernel
def element(values, index):
    return values[index]
"""
# Calls the kernel on its arguments, as another user if told so, and says what came of it.
PROGRAM = """
import json, logging, os, sys

messages = []
handler = logging.Handler()
handler.emit = lambda record: messages.append(record.getMessage())
logging.getLogger("tiny").addHandler(handler)
if "nobody" in sys.argv and os.geteuid() == 0:
    import numba
    numba.njit(lambda x: x + 1)(1)  # loads the rest of numba, which may lie where only root may read
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)

from tiny import _numba
from tiny.callers import doubled_and_one

values = [doubled_and_one(json.loads(argument)) for argument in sys.argv[1:] if argument != "nobody"]
print(json.dumps({
    "values": values,
    "loaded": sum(doubled_and_one.stats.cache_hits.values()),
    "compiled": sum(doubled_and_one.stats.cache_misses.values()),
    "messages": messages,
    "directory": doubled_and_one.stats.cache_path,
}))
"""


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of kernels in a directory that every user may enter, as pytest's own may not be."""
    with tempfile.TemporaryDirectory(prefix="postproc-kernels-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        tiny = root / "tiny"
        tiny.mkdir()
        for source in Path(str(_numba.__file__)).parent.glob("_*.py"):
            shutil.copy(source, tiny / source.name)
        (tiny / "__init__.py").write_text("")
        (tiny / "helpers.py").write_text(HELPERS)
        (tiny / "callers.py").write_text(CALLERS)
        monkeypatch.syspath_prepend(root)
        # Without .pyc files, which Python takes for fresh when a source of the same size changes in a second.
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        set_cache_directory(monkeypatch, "")
        yield tiny
        forget()


def set_cache_directory(monkeypatch: pytest.MonkeyPatch, path: Path | str) -> None:
    """Set NUMBA_CACHE_DIR; an empty string unsets it.

    Numba compares the environment with that of the compilation before, and reads every setting anew where a
    test has changed one of them: a setting that is only an attribute is lost then.
    """
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(path))
    monkeypatch.setattr(config, "CACHE_DIR", str(path))


def forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "tiny"]:
        del sys.modules[name]


def import_anew() -> ModuleType:
    """Import the kernels that call others, with nothing compiled or loaded yet."""
    forget()
    importlib.invalidate_caches()
    return importlib.import_module("tiny.callers")


def loaded_and_compiled(kernel: Any) -> tuple[int, int]:
    stats = kernel.stats
    return sum(stats.cache_hits.values()), sum(stats.cache_misses.values())


def files_of(directory: str | Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(directory).iterdir())}


def start(
    package: Path, *arguments: str, home: Path | str = "/dev/null", **settings: str
) -> subprocess.Popen[str]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("NUMBA_", "XDG_")) or name == "NUMBA_BOUNDSCHECK"
    }
    paths = {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**clean, **paths, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=package.parent,
    )


def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    result: dict[str, Any] = json.loads(output)
    return result


def as_nobody(package: Path, *arguments: str, home: Path | str = "/dev/null") -> dict[str, Any]:
    """Run the program as a user that may not write into the package."""
    if os.name == "nt":
        pytest.skip("modes of directories do not stop a user of Windows")
    set_modes(package, directories=0o555, files=0o444)
    try:
        return outcome(start(package, "nobody", *arguments, home=home))
    finally:
        set_modes(package, directories=0o755, files=0o644)


def set_modes(package: Path, *, directories: int, files: int) -> None:
    for path in [package, *package.rglob("*")]:
        path.chmod(directories if path.is_dir() else files)


def test_kernel_helper_edited_in_another_file_changes_the_caller(package: Path) -> None:
    assert import_anew().doubled_and_one(20) == 41
    (package / "helpers.py").write_text(HELPERS.replace("x * 2", "x * 3"))
    edited = import_anew().doubled_and_one
    assert edited(20) == 61
    assert loaded_and_compiled(edited) == (0, 1)


def in_a_subfolder(package: Path, name: str, source: str) -> None:
    folder = package / name
    folder.mkdir(exist_ok=True)
    (folder / "__init__.py").write_text("")
    (folder / "helpers.py").write_text(source.replace("._jit", ".._jit"))


def test_kernel_helper_edited_in_a_subfolder_changes_the_caller(package: Path) -> None:
    in_a_subfolder(package, "core", HELPERS)
    (package / "callers.py").write_text(CALLERS.replace(".helpers", ".core.helpers"))
    assert import_anew().doubled_and_one(20) == 41
    in_a_subfolder(package, "core", HELPERS.replace("x * 2", "x * 3"))
    edited = import_anew().doubled_and_one
    assert edited(20) == 61
    assert loaded_and_compiled(edited) == (0, 1)


def test_kernels_of_modules_of_one_name_do_not_share_code(package: Path) -> None:
    in_a_subfolder(package, "one", HELPERS)
    in_a_subfolder(package, "other", HELPERS.replace("x * 2", "x * 3"))
    for counts in ((0, 1), (1, 0)):  # compiled, then loaded by what stands for another process
        import_anew()
        for folder, result in (("one", 40), ("other", 60)):
            doubled = importlib.import_module(f"tiny.{folder}.helpers").doubled
            assert doubled(20) == result
            assert loaded_and_compiled(doubled) == counts


def test_inner_called_from_python_is_refused_before_and_after_a_kernel_has_called_it(package: Path) -> None:
    (package / "helpers.py").write_text(HELPERS.replace("kernel", "inner"))
    callers = import_anew()
    helpers = importlib.import_module("tiny.helpers")
    with pytest.raises(TypeError, match=r"doubled is for kernels only"):
        helpers.doubled(20)
    assert callers.doubled_and_one(20) == 41
    with pytest.raises(TypeError, match=r"doubled is for kernels only"):
        helpers.doubled(20)


# numba keeps the types of arrays for all functions of a process: who calls first decides what they are.
NEIGHBOURS = """
import sys
import numba, numpy as np
from tiny.callers import element

own = numba.njit(lambda values, index: values[index])
calls = []

def noted(name, compile_for):
    return lambda *args: calls.append(name) or compile_for(*args)

for name, function in (("own", own), ("kernel", element)):
    function._compile_for_args = noted(name, function._compile_for_args)
values = np.arange(6, dtype=np.float32).reshape(2, 3)[:, 0].copy()
constant = values.copy()
constant.flags.writeable = False
order = sys.argv[1]
if order == "constant":
    assert element(constant, 1) == 3.0
for function in (own, element) if order == "before" else (element, own):
    for _ in range(3):
        assert function(values, 1) == 3.0
for _ in range(3):
    assert element(constant, 1) == 3.0
assert len(element.overloads) == 1, element.signatures
if order == "threads":  # that find nothing at the same time
    for _ in range(2):
        assert callable(element._compile_for_args(values, 1))
    calls.clear()
    assert element(values, 1) == own(values, 1) == 3.0
print(*calls)
"""


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("before", ["kernel", "own"]),
        ("after", ["kernel", "own"]),
        ("constant", ["kernel", "kernel", "own"]),
        ("threads", []),
    ],
)
def test_kernel_and_other_functions_of_the_process_are_found_in_a_first_look(
    package: Path, order: str, expected: list[str]
) -> None:
    command = [sys.executable, "-c", NEIGHBOURS, order]
    done = subprocess.run(command, cwd=package.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == expected


def test_kernel_second_process_loads_what_the_first_compiled(package: Path) -> None:
    first = outcome(start(package, "20", "1.25"))
    files = files_of(first["directory"])
    second = outcome(start(package, "20", "1.25"))
    assert first["values"] == second["values"] == [41, 3.5]
    assert (first["loaded"], first["compiled"]) == (0, 2)
    assert (second["loaded"], second["compiled"]) == (2, 0)
    assert first["messages"] == second["messages"] == []
    assert files_of(second["directory"]) == files


def test_kernel_several_processes_fill_a_cold_cache_at_once(package: Path) -> None:
    orders = [("20", "1.25"), ("1.25", "20"), ("true", "1.25", "20"), ("20", "true", "1.25")]
    expected = {"20": 41, "1.25": 3.5, "true": 3}
    running = [start(package, *order) for order in orders]
    for order, process in zip(orders, running, strict=True):
        assert outcome(process)["values"] == [expected[argument] for argument in order]
    afterwards = outcome(start(package, "1.25", "true", "20"))
    assert afterwards["values"] == [3.5, 3, 41]
    assert (afterwards["loaded"], afterwards["compiled"]) == (3, 0)


def test_kernel_signatures_that_took_the_same_number_do_not_share_code(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when two processes look at a cold cache before either has written: each numbers from 1."""
    with monkeypatch.context() as patch:
        callers = import_anew()
        patch.setattr(sys.modules["tiny._cache_files"].CheckedFiles, "_load_index", lambda files: {})
        assert (callers.doubled_and_one(20), callers.doubled_and_one(1.25)) == (41, 3.5)
    again = import_anew().doubled_and_one
    assert (again(1.25), again(20)) == (3.5, 41)
    assert loaded_and_compiled(again) == (2, 0)


def test_source_digest_is_taken_when_the_kernels_are_imported(package: Path) -> None:
    """Else a process that began with the old sources would file their code under the new ones."""
    callers = import_anew()
    (package / "helpers.py").write_text(HELPERS.replace("x * 2", "x * 3"))
    assert callers.doubled_and_one(20) == 41
    assert import_anew().doubled_and_one(20) == 61


def test_source_digest_reads_no_cache_which_another_process_may_be_removing(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = package / "__pycache__" / "postproc-0123456789abcdef"
    stale.mkdir(parents=True)
    listed = os.scandir

    def scandir(path: Any = ".") -> Any:
        if path in (stale, str(stale)):
            raise FileNotFoundError(path)
        return listed(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        assert import_anew().doubled_and_one(20) == 41


def test_cache_directory_without_settings_lies_in_the_package(package: Path) -> None:
    callers = import_anew()
    callers.doubled_and_one(20)
    directory = sys.modules["tiny._numba"].cache_directory()
    assert directory.parent == package / "__pycache__"
    assert callers.doubled_and_one.stats.cache_path == str(directory)


def test_cache_directory_numba_cache_dir_takes_its_place(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_cache_directory(monkeypatch, tmp_path / "new" / "cache")
    import_anew().doubled_and_one(20)
    (directory,) = (tmp_path / "new" / "cache").iterdir()
    assert {path.suffix for path in directory.iterdir()} == {".nbi", ".nbc"}
    assert not (package / "__pycache__").exists()


def test_cache_directory_bounds_checks_have_one_of_their_own(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "BOUNDSCHECK", None)
    plain = import_anew().element
    plain(np.zeros(1), 0)
    monkeypatch.setattr(config, "BOUNDSCHECK", 1)
    checked = import_anew().element
    with pytest.raises(IndexError):
        checked(np.zeros(1), 1)
    assert loaded_and_compiled(checked) == (0, 1)
    assert plain.stats.cache_path != checked.stats.cache_path


@pytest.mark.parametrize("place", ["package and home", "NUMBA_CACHE_DIR"])
def test_kernel_no_writable_place_compiles_in_memory_and_says_so_once(
    package: Path,
    tmp_path: Path,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A file lies where the directory should, which stops even root."""
    (package / "__pycache__").write_text("")
    (tmp_path / "file").write_text("")
    for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "file"))
    if place == "NUMBA_CACHE_DIR":
        set_cache_directory(monkeypatch, tmp_path / "file")
    callers = import_anew()
    assert (callers.doubled_and_one(20), callers.doubled_and_one(1.25)) == (41, 3.5)
    assert sys.modules["tiny._numba"].cache_directory() is None
    assert callers.doubled_and_one.stats.cache_path is None
    (record,) = caplog.records
    message = record.getMessage()
    assert message.startswith("compiled kernels are not cached (no writable cache directory)")
    assert "NUMBA_CACHE_DIR" in message
    assert "postproc warmup" in message


def test_kernel_read_only_install_and_foreign_home_compile_in_memory(package: Path) -> None:
    home = package.parent / "home"  # may not even be searched, as root's by the user of a container
    home.mkdir(mode=0o000)
    found = as_nobody(package, "20", "1.25", home=home)
    assert (found["values"], found["directory"]) == ([41, 3.5], None)
    assert len(found["messages"]) == 1


def test_kernel_read_only_install_uses_the_cache_of_the_home(package: Path) -> None:
    home = package.parent / "home"
    home.mkdir()
    if os.geteuid() == 0:
        os.chown(home, _NOBODY, _NOBODY)
    found = as_nobody(package, "20", home=home)
    assert (found["values"], found["messages"]) == ([41], [])
    assert Path(found["directory"]).is_relative_to(home)


def test_kernel_cache_filled_and_then_read_only_is_used(package: Path) -> None:
    import_anew().doubled_and_one(20)
    found = as_nobody(package, "20", "1.25", "true")
    assert found["values"] == [41, 3.5, 3]
    assert (found["loaded"], found["compiled"]) == (1, 2)
    # Each of the two failures to save names another temporary file.
    (message,) = found["messages"]
    assert "Permission denied" in message


@pytest.mark.parametrize("content", ["nothing", "the first half", "noise"])
@pytest.mark.parametrize("suffix", [".nbi", ".nbc"], ids=["index", "code"])
def test_kernel_spoiled_cache_file_compiles_again_and_repairs_it(
    package: Path, suffix: str, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    kernel = import_anew().doubled_and_one
    kernel(20)
    directory = Path(kernel.stats.cache_path)
    spoiled = [path for path in directory.iterdir() if path.suffix == suffix]
    assert spoiled
    for path in spoiled:
        half = path.read_bytes()[: path.stat().st_size // 2]
        path.write_bytes({"nothing": b"", "the first half": half, "noise": half[::-1]}[content])
    with caplog.at_level(logging.WARNING):
        for loaded, compiled in [(0, 1), (1, 0)]:
            kernel = import_anew().doubled_and_one
            assert kernel(20) == 41
            assert loaded_and_compiled(kernel) == (loaded, compiled)
    assert not caplog.records


@pytest.mark.parametrize("error", [OSError, RuntimeError])
def test_kernel_that_cannot_be_saved_stays_in_memory_and_says_so_once(
    package: Path,
    error: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    attempts: list[str] = []

    def save(files: Any, key: object, data: object) -> None:
        attempts.append(files._index_name)
        raise error(f"No space left on device: attempt {len(attempts)}")

    monkeypatch.setattr(IndexDataCacheFile, "save", save)
    callers = import_anew()
    assert (callers.doubled_and_one(20), callers.doubled_and_one(1.25)) == (41, 3.5)
    assert len(attempts) >= 2
    (record,) = caplog.records
    assert "No space left on device: attempt 1" in record.getMessage()


def test_kernel_without_jit_is_the_plain_function(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "DISABLE_JIT", 1)
    callers = import_anew()
    assert callers.doubled_and_one(20) == 41
    assert isinstance(callers.doubled_and_one, FunctionType)
