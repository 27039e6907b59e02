"""The shell commands of the pages are run as they stand, but for those that are listed with a reason.

Each block is run by bash in an empty folder, in which the files are made that it speaks of, with this
environment's commands; CONTRIBUTING's in the tree. Lines that install something are left out: they need a
package index.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from postproc.demo.pages import PAGE_HEIGHT, PAGE_WIDTH
from tests.documents.pages import CONTRIBUTING, DOCS, README, ROOT, Block, blocks, check_output
from tests.inspection.exports.ultralytics import metadata, table
from tests.models import answering

DEMO = 'python3 -m venv .venv && .venv/bin/python -m pip install -e ".[cpu,demo]" && .venv/bin/'
INSPECT = "postproc inspect yolo11n.onnx --save yolo11n"
OWN = ROOT / "docs" / "own-network.md"
DOCUMENTS = "postproc validate version.json --spec spec.json"
PAGES = "postproc demo --dataset pages"
ONE_TEST = "python -m pytest -q tests/test_transforms.py"
FUSE = "postproc fuse model.onnx"
RUN = (DEMO, INSPECT, DOCUMENTS, PAGES, FUSE, ONE_TEST)
INSTALLS = ("pip install ", "python3 -m venv new ")
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
SERVER = "needs a running service"
KUBERNETES = "needs a cluster: test_kubernetes.py checks what is applied"
# Blocks that are not run, by how they begin.
LEFT_OUT = {
    'python3 -m venv .venv && .venv/bin/python -m pip install -e ".[test]"': "is this suite",
    "postproc doctor --gpu": "needs a GPU",
    "postproc doctor\n": "tests/cli/test_doctor.py runs it",
    'pip install -e ".[cpu,images,inspect]"\n': "installs the package",
    "pip install numpy pydantic": "is a leg of .ci/run: tools/slim_installation.py",
    "python -m benchmarks.report": "takes an hour, and needs the peers; .ci/run takes the short targets",
    "mkdir backup": SERVER + ": tests/service/test_backup.py does these steps",
    "new/bin/postproc serve --data data --wait": SERVER + ": tests/service/test_backup.py upgrades one",
    "export POSTPROC_DATABASE": SERVER + " and a database: tests/service/test_front_ends.py starts some",
    "ray start --head": SERVER + " and a cluster: tests/service/on_ray/test_cluster.py has both",
    "kubectl create secret generic postproc-database": KUBERNETES,
    "kubectl get pod": KUBERNETES,
    "postproc store copy --from-data": "needs a database: tests/cli/test_store.py copies a service",
    "postproc keys add team-a": SERVER + ": tests/cli/test_serve.py adds, lists and removes keys",
    "postproc dump --spec spec.json --version version.json model.onnx images/": "needs a cluster: "
    "tests/spreading/test_on_ray.py calls all four commands with --ray",
    "trtexec": "needs TensorRT",
    "python -m build -o dist .": "is a leg of .ci/run",
    "python -m venv --without-pip installed": "installs the package, and lists what came with it",
    "rattler-build build": "needs a conda channel",
    "ray job submit": "needs a cluster elsewhere",
    'python3 -m venv .venv\n.venv/bin/python -m pip install -e ".[test]"': "installs the package",
    'pip install -e ".[docs]" && mkdocs serve': "installs; tests/documents/test_site.py builds the site",
    "python -m benchmarks.targets --short": "is a leg of .ci/run",
    "python -m tests.conformance torchvision": "needs torchvision: tests/conformance asks it",
    "python -m benchmarks.revisions HEAD": "compiles everything twice, and takes minutes",
}


def commands_of(block: Block) -> str:
    """Return the lines of a block that install nothing; all of it where that leaves none."""
    lines = [line for line in block.code.splitlines(keepends=True) if not line.startswith(INSTALLS)]
    return "".join(lines) or block.code


def shell_blocks() -> list[tuple[Path, Block]]:
    """Those of the pages by task are run by test_tasks.py and test_tasks_measure.py."""
    pages = [README, CONTRIBUTING, *(page for page in DOCS if page.parent.name != "tasks")]
    return [(page, block) for page in pages for block in blocks(page, "sh")]


def found(start: str) -> tuple[Path, Block]:
    (pair,) = ((page, block) for page, block in shell_blocks() if commands_of(block).startswith(start))
    return pair


def run(start: str, folder: Path, take_out: str = "") -> str:
    """Run the block that begins so; return what it prints."""
    page, block = found(start)
    assert take_out in commands_of(block)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands_of(block).replace(take_out, "")],
        cwd=folder,
        env={**os.environ, "PATH": PATH, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{page.name}, line {block.line}:\n{done.stdout}\n{done.stderr}"
    check_output(page, block, done.stdout)
    return done.stdout


def photo(path: Path, size: tuple[int, int] = (320, 240)) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 16, 3), np.uint8)
    Image.fromarray(pixels).resize(size).save(path)


def test_demo_draws_a_page(tmp_path: Path) -> None:
    run(DEMO, tmp_path, take_out=DEMO)
    assert (tmp_path / "postproc-demo.png").stat().st_size > 0


def test_inspect_then_run_of_an_export(tmp_path: Path) -> None:
    (tmp_path / "yolo11n.onnx").write_bytes(table(metadata=metadata()))
    photo(tmp_path / "street.jpg")
    printed = run(INSPECT, tmp_path)
    assert "Saved spec.json, version.json, preprocessing.json in yolo11n." in printed
    assert json.loads(printed.splitlines()[-1])["outputs"][0]["labels"].keys() == {"predicted", "discarded"}


def test_validate_and_run_with_the_documents_of_the_page(tmp_path: Path) -> None:
    spec, version = blocks(OWN, "json")
    (tmp_path / "spec.json").write_text(spec.code)
    (tmp_path / "version.json").write_text(version.code)
    rows = np.zeros((6, 8400), np.float32)
    rows[:, 7] = [320, 320, 64, 128, 0.9, 0.2]
    (tmp_path / "model.onnx").write_bytes(answering({"output0": rows}, ("N", 3, 640, 640), "images"))
    photo(tmp_path / "street.jpg")
    run(DOCUMENTS, tmp_path)
    result = json.loads((tmp_path / "results.jsonl").read_text())
    assert [row["label_name"] for row in result["outputs"][0]["labels"]["predicted"]] == ["cat"]
    assert len(list((tmp_path / "drawn").iterdir())) == 1


def test_hosts_are_asked_about_a_page(tmp_path: Path) -> None:
    run(PAGES, tmp_path)
    with Image.open(tmp_path / "page.png") as page:
        assert page.size == (PAGE_WIDTH, PAGE_HEIGHT)


def test_network_of_the_page_is_fused_and_inspected(tmp_path: Path) -> None:
    spec, version = blocks(OWN, "json")
    (tmp_path / "spec.json").write_text(spec.code)
    (tmp_path / "version.json").write_text(version.code)
    table = np.zeros((6, 8400), np.float32)
    (tmp_path / "model.onnx").write_bytes(answering({"output0": table}, ("N", 3, 640, 640), "images"))
    printed = run(FUSE, tmp_path)
    assert "complete is false of an image where more than 1,024 candidates" in printed
    assert "postproc fuse wrote it" in printed


@pytest.mark.skipif(shutil.which("ruff", path=PATH) is None, reason="needs ruff, of the extra test")
def test_one_test_is_run_and_code_is_checked() -> None:
    assert "All checks passed!" in run(ONE_TEST, ROOT)


def test_every_block_is_run_here_or_left_out_for_a_reason() -> None:
    starts = [*RUN, *LEFT_OUT]
    begun = [
        [start for start in starts if commands_of(block).startswith(start)] for _, block in shell_blocks()
    ]
    assert sorted(begun) == sorted([start] for start in starts)
