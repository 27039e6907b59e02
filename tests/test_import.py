"""What `import postproc` costs: no extras, no compilation, little more time than its dependencies."""

from __future__ import annotations

import ast
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

CORE = {"annotated_types", "llvmlite", "numba", "numpy", "pydantic", "pydantic_core", "typing_extensions"}
EXTRAS = {"PIL", "onnx", "onnxruntime", "rich", "sklearn", "supervision", "typer"}
MODULES = """
import json, sys
import numba, pydantic
before = set(sys.modules)
import postproc, postproc.ops
print(json.dumps(sorted(set(sys.modules) - before)))
"""
KERNELS = """
import json, sys
import postproc, postproc.ops
modules = [module for name, module in sys.modules.items() if name.startswith("postproc.kernels.")]
kernels = [value for module in modules for value in vars(module).values() if hasattr(value, "signatures")]
print(json.dumps([len(kernels), sum(len(kernel.signatures) for kernel in kernels)]))
"""
# Processor time, which other processes do not lengthen as they do the time on the clock.
SECONDS = """
import json, time
start = time.process_time()
import numba, pydantic
middle = time.process_time()
import postproc
print(json.dumps([middle - start, time.process_time() - start]))
"""


def result_of(program: str, **environment: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return json.loads(done.stdout)


def test_import_loads_nobody_elses_package_beyond_numba_and_pydantic() -> None:
    packages = {module.partition(".")[0] for module in result_of(MODULES)}
    assert "postproc" in packages
    assert not packages & EXTRAS
    assert packages - sys.stdlib_module_names - CORE == {"postproc"}


def test_import_compiles_no_kernel() -> None:
    kernels, compiled = result_of(KERNELS)
    assert kernels > 10
    assert compiled == 0


def test_import_takes_under_one_and_a_half_times_that_of_numba_and_pydantic(tmp_path: Path) -> None:
    # An installed package has its bytecode, whatever this environment says of writing it.
    bytecode = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    result_of(SECONDS, **bytecode)
    ratios: list[float] = []
    for _ in range(4):  # a machine may be busy in odd ways: one quiet attempt is enough
        samples = [result_of(SECONDS, **bytecode) for _ in range(3)]
        ratios.append(statistics.median(total / base for base, total in samples))
        if ratios[-1] < 1.5:
            return
    raise AssertionError(f"import postproc takes {ratios} times what import numba, pydantic takes")


def test_every_folder_with_modules_is_a_package_which_setuptools_finds() -> None:
    modules = [path for name in ("postproc", "kernels") for path in (ROOT / name).rglob("*.py")]
    assert [str(path) for path in modules if not (path.parent / "__init__.py").exists()] == []


def test_packages_of_kernels_that_setup_lists_are_those_of_the_tree() -> None:
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "kernels").rglob("__init__.py")}
    lists = [
        node for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())) if isinstance(node, ast.List)
    ]
    assert ast.literal_eval(lists[0]) == sorted(".".join(["postproc", *folder.parts]) for folder in folders)


def test_files_beside_the_modules_go_into_a_wheel() -> None:
    """Each is listed with a package, which has modules: setuptools finds no folder of files alone."""
    table = (ROOT / "pyproject.toml").read_text("utf-8").partition("[tool.setuptools.package-data]\n")[2]
    listed: set[Path] = set()
    for line in table.partition("\n\n")[0].splitlines():
        package, _, patterns = line.partition(" = ")
        folder = ROOT.joinpath(*package.strip('"').split("."))
        assert (folder / "__init__.py").exists(), package
        listed |= {path for pattern in ast.literal_eval(patterns) for path in folder.glob(pattern)}
    files = {path for path in (ROOT / "postproc").rglob("*") if path.is_file()}
    kept = {path for path in files if path.suffix != ".py" and "__pycache__" not in path.parts}
    assert sorted(map(str, kept - listed)) == []
