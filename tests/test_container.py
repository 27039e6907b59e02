"""The Dockerfiles of docs/containers.md, step by step without Docker.

The steps are read from the document. `/opt/app` and `/wheels` stand for directories of the test; the venv
sees the packages of this environment, so that pip installs the wheel alone, and the kernels of one version
are compiled, for all take a minute. A wheel with machine code is one without it and what lies in the tree.
What runs in the container runs as its user, in a mount namespace where the root filesystem is read-only.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy
import pydantic
import pytest
import typer
from numba.core import config

from postproc import PostProcessor, Yolov8Output
from postproc.kernels._jit import IS_COMPILED

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "containers.md"
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="containers of Linux"),
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount"),
    pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled: NUMBA_DISABLE_JIT"),
    pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare of util-linux"),
]
FIRST_CALLS = """
import json, logging, os
messages = []
handler = logging.Handler(logging.WARNING)
handler.emit = lambda record: messages.append(record.getMessage())
logging.getLogger().addHandler(handler)

import importlib, pkgutil, sys
import numpy as np
import postproc.kernels
from postproc import PostProcessor

post = PostProcessor(*sys.argv[1:])
batch = post({"table": np.full((1, 5, 20), 0.9, np.float32)})
has_numba = "numba" in sys.modules
from postproc.kernels._numba import cache_directory

kernels = {}
for module in pkgutil.walk_packages(postproc.kernels.__path__, "postproc.kernels."):
    for value in vars(importlib.import_module(module.name)).values():
        if hasattr(value, "signatures"):
            kernels[id(value)] = value
def writable(path):
    try:
        open(os.path.join(path, "test"), "w").close()
    except OSError:
        return False
    return True
print(json.dumps({
    "user": os.getuid(),
    "has_numba": has_numba,
    "found": len(batch.outputs[0].labels),
    "loaded": sum(sum(kernel.stats.cache_hits.values()) for kernel in kernels.values()),
    "compiled": sum(sum(kernel.stats.cache_misses.values()) for kernel in kernels.values()),
    "messages": messages,
    "directory": str(cache_directory()),
    "writable": [p for p in ("/tmp", "/var/tmp", os.path.dirname(postproc.__file__)) if writable(p)],
}))
"""
# Python and its packages may lie below a directory that only root may enter, which a container has not.
NAMESPACE = """
set -e
mount --make-rprivate /
for pair in $PACKAGES; do
    mount --bind "${pair%%=*}" "${pair##*=}"
done
if [ -n "$CLOSED" ]; then
    mount --bind "$BASE" "$SPARE"
    mount -t tmpfs -o mode=755 tmpfs "$CLOSED"
    mkdir -p "$BASE"
    mount --bind "$SPARE" "$BASE"
fi
mount -o remount,bind,ro /
user=$1 group=$2
shift 2
exec setpriv --reuid "$user" --regid "$group" --clear-groups --no-new-privs env -i $SETTINGS "$@"
"""


@pytest.fixture
def image() -> Iterator[Path]:
    """An empty directory that every user may enter, as pytest's own may not be."""
    with tempfile.TemporaryDirectory(prefix="postproc-image-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def stages() -> list[list[tuple[str, str]]]:
    """Instructions of each stage, as pairs such as ("RUN", "python -m venv /opt/app").

    The first is that of a wheel with machine code, the others compile.
    """
    fragments = re.findall(r"```dockerfile\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    found: list[list[tuple[str, str]]] = []
    for line in "".join(fragments).splitlines():
        if not line or line.startswith("#"):
            continue
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            found.append([])
        else:
            found[-1].append((instruction, rest))
    return found


def settings_of(stage: list[tuple[str, str]]) -> dict[str, str]:
    pairs = [pair for instruction, rest in stage if instruction == "ENV" for pair in shlex.split(rest)]
    return dict(pair.split("=", 1) for pair in pairs)


def build(stage: list[tuple[str, str]], image: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    alone = {"POSTPROC_PURE": "1", "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1"}
    environment = {**clean, **settings_of(stage), **alone}
    environment["PATH"] = f"{image / 'app' / 'bin'}:{image / 'bin'}:{os.environ['PATH']}"
    (image / "bin").mkdir()
    (image / "bin" / "python").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    is_of_a_wheel = ("RUN", "python -m venv /opt/app") not in stage
    if is_of_a_wheel:  # then it is installed where the image's Python is
        run(image, environment, f"python -m venv {image}/app")
    for instruction, rest in stage:
        if instruction == "COPY":
            assert rest == "dist/*.whl /wheels/"
            run(image, environment, f"{sys.executable} -m pip wheel -q --no-deps -w {image}/wheels {ROOT}")
            if is_of_a_wheel:
                add_machine_code(image / "wheels")
        elif instruction == "RUN":
            command = rest.replace("/opt/app", f"{image}/app").replace("/wheels", f"{image}/wheels")
            if command.endswith(" warmup"):
                spec, version = documents(image)
                command += f" --spec {spec} --version {version}"
            run(image, environment, command)
            (folder,) = (image / "app").glob("lib/python*/site-packages")
            places = [*dependencies(image), *dependencies(image).values()]
            (folder / "dependencies.pth").write_text("\n".join(map(str, places)))
        else:
            assert instruction in ("ENV", "USER")


def add_machine_code(folder: Path) -> None:
    """Put what lies in the tree into the wheel of a folder."""
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel, "a") as archive:
        for path in (ROOT / "kernels").glob("_kernels_*"):
            archive.write(path, f"postproc/kernels/{path.name}")


def dependencies(image: Path) -> dict[Path, Path]:
    """Return the directories that hold the packages of this environment, and where the container has them."""
    folders = dict.fromkeys(
        Path(str(module.__file__)).parents[1] for module in (numba, numpy, pydantic, typer)
    )
    return {folder: image / f"packages-{row}" for row, folder in enumerate(folders)}


def documents(image: Path) -> tuple[Path, Path]:
    """Write a spec and a version."""
    post = PostProcessor.for_detection(["cat"], Yolov8Output(output_tensor="table"))
    spec, version = image / "spec.json", image / "version.json"
    spec.write_text(json.dumps(post.spec.dump()))
    version.write_text(json.dumps(post.version.dump()))
    return spec, version


def run(image: Path, environment: dict[str, str], command: str) -> None:
    if " pip wheel " in command:
        environment = {name: value for name, value in environment.items() if not name.startswith("PIP_NO_")}
    done = subprocess.run(
        ["bash", "-c", command], env=environment, cwd=image, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def closed_ancestor(path: Path) -> str:
    """Return the first directory on the way to a path that other users may not enter."""
    for folder in [*reversed(path.parents), path]:
        if not folder.stat().st_mode & 0o001:
            return str(folder)
    return ""


def first_calls(last: list[tuple[str, str]], image: Path) -> dict[str, Any]:
    """Run the first calls of a container, of an image that has been built; say what they found."""
    spare = image / "spare"
    spare.mkdir()
    packages = dependencies(image)
    for place in packages.values():
        place.mkdir()
    ((user, group),) = [rest.split(":") for instruction, rest in last if instruction == "USER"]
    base = Path(sys.base_prefix).resolve()
    settings = " ".join(f"{name}={value}" for name, value in settings_of(last).items())
    program = [f"{image}/app/bin/python", "-c", FIRST_CALLS, *map(str, documents(image))]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", NAMESPACE, "sh", user, group, *program],
        env={
            "PATH": os.environ["PATH"],
            "BASE": str(base),
            "CLOSED": closed_ancestor(base),
            "SPARE": str(spare),
            "PACKAGES": " ".join(f"{folder}={place}" for folder, place in packages.items()),
            "SETTINGS": settings,
        },
        cwd=image,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if "unshare failed" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"mounts are not permitted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["user"] == int(user) != 0
    assert found["writable"] == []
    assert found["found"] == 1
    assert found["messages"] == []
    assert found["compiled"] == 0
    return found


@pytest.mark.skipif(not IS_COMPILED, reason="the tree has no machine code")
def test_container_of_a_wheel_with_machine_code_asks_for_no_numba(image: Path) -> None:
    only, _, _ = stages()
    assert [instruction for instruction, _ in only] == ["COPY", "RUN", "USER"]
    build(only, image)
    assert not first_calls(only, image)["has_numba"]


def test_container_that_has_compiled_loads_everything_and_compiles_nothing(image: Path) -> None:
    _, first, last = stages()
    build(first, image)
    assert ("COPY", "--from=build /opt/app /opt/app") in last
    found = first_calls(last, image)
    assert found["has_numba"]
    assert Path(found["directory"]).is_relative_to(image / "app")
    assert found["loaded"] >= 1


def test_stages_of_the_document_name_one_processor() -> None:
    _, first, last = stages()
    assert settings_of(first) == settings_of(last)
    assert settings_of(first)["NUMBA_CPU_FEATURES"] == ""
