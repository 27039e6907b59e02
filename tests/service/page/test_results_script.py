"""What `results.js` reads from documents, run by Node where there is one: it knows nothing of the page."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines import KINDS, post_processor

NODE = shutil.which("node")
READ = """
import { readOutputs } from "./results.mjs";
const [spec, version, data] = JSON.parse(process.argv[2]);
console.log(JSON.stringify(readOutputs(spec, version, data, 100)[0].labels.map(({ own }) => own)));
"""


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
@pytest.mark.parametrize("thresholds", [None, 0.3, 0, [0, 0.5, 1]], ids=["none", "one", "zero", "each"])
@pytest.mark.parametrize("kind", [KINDS[0], "yolov8"])
def test_page_threshold_of_each_label_is_that_of_postproc(kind: str, thresholds: Any, tmp_path: Path) -> None:
    post = post_processor(kind)
    version = post.version.dump()
    (task,) = version["post_processings"][0].values()
    if thresholds is None:
        del task["thresholds"]
    else:
        task["thresholds"] = thresholds
    source = files("postproc.service.page") / "results.js"
    (tmp_path / "results.mjs").write_bytes(source.read_bytes())
    (tmp_path / "read.mjs").write_text(READ)
    data = {"outputs": [{"labels": {"predicted": [], "discarded": []}}]}
    arguments = [str(NODE), "read.mjs", json.dumps([post.spec.dump(), version, data])]
    answer = subprocess.run(arguments, cwd=tmp_path, capture_output=True, check=True, text=True, timeout=60)
    read = type(post)(post.spec, version).version.post_processings
    assert read is not None
    assert json.loads(answer.stdout) == list(read[0].task.thresholds_for(post.spec.outputs[0].labels))
