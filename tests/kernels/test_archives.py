"""Kernels of a package that lies in no folder of sources: a second process loads what the first compiled."""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numba.core import config

from tests.kernels.test_jit import HELPERS, PROGRAM, outcome, package, start

__all__ = ["package"]  # the fixture

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled: NUMBA_DISABLE_JIT")


def without_sources(package: Path) -> Path:
    """Compile in the place of each source."""
    # Forced: without, compileall takes what was written within the same second for compiled.
    assert compileall.compile_dir(package, force=True, quiet=1, legacy=True)
    for source in package.glob("*.py"):
        source.unlink()
    return package


def zipped(package: Path) -> Path:
    """Move the package into a zip, which stands for its folder in `start`."""
    archive = package.parent / "packages.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(package.iterdir()):
            file.write(path, f"tiny/{path.name}")
            path.unlink()
    package.rmdir()
    return archive / "tiny"


FORMS: list[Any] = [
    pytest.param(without_sources, id="pyc"),
    pytest.param(zipped, id="zip"),
    pytest.param(lambda package: zipped(without_sources(package)), id="zip of pyc"),
]


def run(package: Path, home: Path) -> dict[str, Any]:
    archive = package.parent
    if archive.is_dir():
        return outcome(start(package, "20", "1.25", home=home))
    return outcome(start(archive, "20", "1.25", home=home, PYTHONPATH=str(archive)))


@pytest.mark.parametrize("form", FORMS)
def test_second_process_loads_what_the_first_compiled(
    package: Path, tmp_path: Path, form: Callable[[Path], Path]
) -> None:
    place = form(package)
    first, second = run(place, tmp_path), run(place, tmp_path)
    assert first["values"] == second["values"] == [41, 3.5]
    assert first["messages"] == second["messages"] == []
    assert (first["loaded"], first["compiled"]) == (0, 2)
    assert (second["loaded"], second["compiled"]) == (2, 0)
    assert Path(first["directory"]).is_relative_to(place if place.is_dir() else tmp_path)


@pytest.mark.parametrize("form", FORMS)
def test_other_sources_have_a_cache_of_their_own(
    package: Path, tmp_path: Path, form: Callable[[Path], Path]
) -> None:
    sources = {path.name: path.read_bytes() for path in package.glob("*.py")}
    place = form(package)
    before = run(place, tmp_path)
    package.mkdir(exist_ok=True)
    for name, content in sources.items():
        (package / name).write_bytes(content)
    (package / "helpers.py").write_text(HELPERS.replace("x * 2", "x * 3"))
    after = run(form(package), tmp_path)
    assert (before["values"], after["values"]) == ([41, 3.5], [61, 4.75])
    assert (after["loaded"], after["compiled"]) == (0, 2)


def test_zip_without_a_place_for_a_cache_compiles_in_memory_and_says_so(package: Path) -> None:
    place = zipped(package)
    for _ in range(2):
        found = run(place, Path("/dev/null"))
        assert (found["values"], found["loaded"], found["compiled"]) == ([41, 3.5], 0, 2)
        (message,) = found["messages"]
        assert "no writable cache directory" in message


# What `--onedir` and `--onefile` ask for. Most of a build is the search for modules, which both share; LLVM
# is not compressed, which would take as long again. What is left out is no part of numba.
SPEC = """
found = Analysis(["program.py"], pathex=[{path!r}], excludes={excludes!r})
modules = PYZ(found.pure)
program = EXE(modules, found.scripts, exclude_binaries=True, name="onedir")
COLLECT(program, found.binaries, found.datas, name="onedir")
EXE(modules, found.scripts, found.binaries, found.datas, name="onefile", cdict={{"PYZ": False}})
"""
NOT_NUMBAS = [
    "IPython",
    "PIL",
    "charset_normalizer",
    "jinja2",
    "matplotlib",
    "pandas",
    "pygments",
    "pytest",
    "ray",
    "scipy",
    "setuptools",
    "torch",
    "yaml",
]


@pytest.mark.skipif(bool(config.BOUNDSCHECK), reason="slow, and the same with NUMBA_BOUNDSCHECK")
def test_program_of_pyinstaller_loads_what_its_first_process_compiled(package: Path, tmp_path: Path) -> None:
    pytest.importorskip("PyInstaller", reason="PyInstaller is not installed: the extra test brings it")
    (tmp_path / "program.py").write_text(PROGRAM)
    spec = tmp_path / "program.spec"
    spec.write_text(SPEC.format(path=os.fspath(package.parent), excludes=NOT_NUMBAS))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "XDG_"))}
    command = [sys.executable, "-m", "PyInstaller", "--log-level=ERROR", spec]
    subprocess.run(command, cwd=tmp_path, env=clean, check=True, timeout=600)
    for program in ("onedir/onedir", "onefile"):
        home = tmp_path / Path(program).name
        home.mkdir()
        assert_second_process_loads(tmp_path / "dist" / program, {**clean, "HOME": os.fspath(home)})


def assert_second_process_loads(program: Path, environment: dict[str, str]) -> None:
    results = []
    for _ in range(2):
        done = subprocess.run(
            [program, "20", "1.25"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        results.append(json.loads(done.stdout))
    assert [found["values"] for found in results] == [[41, 3.5]] * 2
    assert [found["messages"] for found in results] == [[]] * 2
    assert [(found["loaded"], found["compiled"]) for found in results] == [(0, 2), (2, 0)]
