"""Install a wheel without numba, as docs/install.md says: `python tools/slim_installation.py WHEEL`.

In an empty environment outside of the tree: a first detection, `postproc doctor`, and how large all is. Fails
where numba is there, or is asked for.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "install.md"
FIRST_DETECTION = """
import importlib.util
import numpy as np
from postproc import PostProcessor, Yolov8Output

post = PostProcessor.for_detection(["cat"], Yolov8Output(output_tensor="output0"), input_size=[20, 20])
found = post({"output0": np.full((1, 5, 20), 0.9, np.float32)}).outputs[0]
assert found.label_names == ["cat"], found
for name in ("numba", "llvmlite"):
    assert importlib.util.find_spec(name) is None, f"{name} is installed"

from postproc.doctor import examine

failed = [one for part in examine().sections for one in part.findings if one.status == "failed"]
assert not failed, failed
"""


def commands(wheel: Path) -> list[str]:
    """Give the page's commands for the installation without numba, for a wheel."""
    (line,) = re.findall(r"^pip install .*--no-deps.*$", PAGE.read_text("utf-8"), re.MULTILINE)
    return [part.strip().replace("postproc-*.whl", str(wheel)) for part in str(line).split("&&")]


def check(wheel: Path) -> None:
    """Install and use it, or end with what is wrong."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("NUMBA_", "POSTPROC_", "PYTHON", "PIP_CONFIG"))
    }
    with tempfile.TemporaryDirectory() as folder:
        venv.create(Path(folder, "venv"), with_pip=True)
        programs = Path(folder, "venv", "Scripts" if os.name == "nt" else "bin")
        environment = {**clean, "PATH": os.pathsep.join([str(programs), clean.get("PATH", "")])}

        def run(*command: str) -> None:
            print("$", *(part if len(part) < 200 else "..." for part in command), flush=True)
            subprocess.run(command, cwd=folder, env=environment, check=True)

        python = str(programs / "python")
        for command in commands(wheel):
            run(python, "-m", *command.split())
        run(python, "-c", FIRST_DETECTION)
        run(python, "-m", "pip", "install", "-q", "typer", "rich")
        run(str(programs / "postproc"), "doctor")
        run(str(programs / "postproc"), "warmup")
        sizes = {
            path.name: _size(path) for path in next(Path(folder, "venv").rglob("site-packages")).iterdir()
        }
        of = {name: sizes[name] + sizes.get(f"{name}.libs", 0) for name in ("postproc", "numpy", "pydantic")}
        print(", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in of.items()))


def _size(path: Path) -> int:
    files = [file for file in path.rglob("*") if "__pycache__" not in file.parts] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    check(Path(sys.argv[1]).resolve())
