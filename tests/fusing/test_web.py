"""Fused networks in onnxruntime-web, on Node: skipped where that or npm's registry is missing.

Allowed differences: of the post-processing alone, without exponentials, none. Of whole networks the scores
and boxes of `tests.fusing.networks`, since convolutions are summed in another order; the same rows.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.fusing.networks import (
    Fused,
    Rows,
    assert_same,
    demo_network,
    post_processing_alone,
    yolo_export,
)

SCRIPT = Path(__file__).parent / "web" / "run.mjs"
SECONDS = 300

Runner = Callable[[list[Fused]], list[Rows]]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with onnxruntime-web."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("needs node and npm")
    folder = tmp_path_factory.mktemp("web")
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "onnxruntime-web"]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip("npm install onnxruntime-web does not end")
    if done.returncode:
        pytest.skip(f"npm install onnxruntime-web failed: {done.stderr[-300:]}")
    return folder


@pytest.fixture(scope="module")
def run(runtime: Path) -> Runner:
    """Run networks in one process of Node."""

    def run(networks: list[Fused]) -> list[Rows]:
        job = []
        for number, fused in enumerate(networks):
            model = runtime / f"{number}.onnx"
            model.write_bytes(fused.model)
            feeds = {}
            for name, array in fused.feed.items():
                file = runtime / f"{number}.{name}"
                file.write_bytes(np.ascontiguousarray(array).tobytes())
                feeds[name] = {"type": array.dtype.name, "dims": array.shape, "file": str(file)}
            job.append({"model": str(model), "feeds": feeds})
        (runtime / "job.json").write_text(json.dumps(job))
        command = ["node", str(SCRIPT), "job.json"]
        done = subprocess.run(
            command, cwd=runtime, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return [
            {
                name: np.frombuffer(base64.b64decode(one["base64"]), one["type"]).reshape(one["dims"])
                for name, one in answer.items()
            }
            for answer in json.loads(done.stdout)
        ]

    return run


@pytest.mark.parametrize("nms", ["loop", "rounds"])
def test_post_processing_is_equal_bit_for_bit_in_a_browsers_runtime(nms: str, run: Runner) -> None:
    fused = post_processing_alone(nms)
    (rows,) = run([fused])
    assert_same(fused, rows)


def test_networks_find_the_same_in_a_browsers_runtime(run: Runner) -> None:
    networks = [*map(demo_network, ("yolo", "anchored", "direct")), yolo_export()]
    for fused, rows in zip(networks, run(networks), strict=True):
        assert_same(fused, rows)
