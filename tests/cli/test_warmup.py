"""``postproc warmup``: after it, no kernel is left to compile."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from numba.core import config
from typer.testing import CliRunner

import postproc
from postproc import Classification, PostProcessor, TensorError
from postproc.cli.app import app
from postproc.kernels import _compiled
from postproc.kernels._jit import IS_COMPILED
from postproc.kernels._numba import cache_directory

SIGNATURES = Path(__file__).parents[2] / "native" / "signatures.json"
EVERY_CALL = """
import json, sys
import numpy as np
from postproc import ops
from native.compile import SIGNATURES
from native.signatures import called
from postproc.cli.work.warmup import warm_up_everything
from tests.every_call import kernels, signatures

warm_up_everything(["float32", "float16"])
of_8_bits = {"(b2", "(b3"}
written = {name: [form for form in forms if not any(bits in form for bits in of_8_bits)]
           for name, forms in json.loads(SIGNATURES.read_text()).items()}
if called() != written:
    sys.exit("run POSTPROC_JIT=1 python -m native.signatures")
before = signatures()
assert sum(map(len, before.values())) > 10
if left := kernels() - before.keys():
    sys.exit(f"not compiled: {left}")

from tests.pipelines import KINDS, OUTPUTS, post_processor, tensors_of

def call(kind, **decision):
    post, tensors = post_processor(kind, **decision), tensors_of(kind)
    found = post(tensors, show_discarded=True, input_size=(20, 32))
    found.to_dicts()
    if kind in OUTPUTS:
        found.outputs[0].to_coco([1, 2, 3], (7, 8))
    if hasattr(found.outputs[0], "masks"):
        found.outputs[0][0].masks((7, 8))
    halves = {name: tensor if name == "classes" else tensor.astype(np.float16)
              for name, tensor in tensors.items()}
    post(halves, max_predictions=2, input_size=(20, 32))
    for name in tensors:
        post({**halves, name: tensors[name]}, input_size=(20, 32))

for kind in KINDS:
    call(kind)
for method in ("soft", "weighted"):
    call("anchored", nms_method=method, nms_threshold=0.5)
rng = np.random.default_rng(0)
def numbers(*shape):
    return rng.random(shape).astype(np.float32)
boxes, scores = numbers(9, 4), numbers(9)
for threshold in (0.0, 1.0):
    ops.nms(boxes, scores, threshold)
    ops.batched_nms(boxes, scores, np.arange(9), threshold)
ops.box_iou(boxes, boxes), ops.oriented_box_iou(numbers(3, 5), numbers(2, 5))
ops.box_area(boxes), ops.clip_boxes(boxes, [3, 4])
ops.box_convert(boxes, "cxcywh", "yxyx")
late = {name for name, found in signatures().items() if found != before.get(name)}
sys.exit(f"compiled late: {late}" if late else 0)
"""


@pytest.mark.needs_numba
def test_warmup_of_everything_leaves_nothing_to_compile_and_is_what_wheels_have() -> None:
    done = subprocess.run([sys.executable, "-c", EVERY_CALL], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_wheels_have_for_8_bits_what_they_have_for_16() -> None:
    forms = {form for row in json.loads(SIGNATURES.read_text()).values() for form in row}
    of_16 = {re.sub(r"\(h(?=[23]f)", "(b", form) for form in forms}
    assert len(of_16) < len(forms)
    assert of_16 <= forms


@pytest.mark.skipif(not IS_COMPILED, reason="numba compiles the kernels")
def test_warmup_of_machine_code_says_that_there_is_nothing_to_do() -> None:
    result = CliRunner().invoke(app, ["warmup"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        f"nothing to do: the kernels are machine code already, for {_compiled.compiled().level}\n"
    )


@pytest.mark.needs_numba
def test_warmup_says_how_long_it_took_and_where_the_cache_is() -> None:
    result = CliRunner().invoke(app, ["warmup"])
    assert result.exit_code == 0
    assert result.stdout.startswith("all kernels ready in ")
    assert result.stdout.endswith(f" s, in {cache_directory()}\n")


@pytest.mark.needs_numba
def test_warmup_of_a_version_compiles_what_it_needs(tmp_path: Path) -> None:
    labels = {"labels": [{"id": 1, "name": "cat"}], "exclusive": True, "roi": "NONE"}
    (tmp_path / "spec.json").write_text(json.dumps({"outputs": [{"labels": labels}]}))
    classification = {"post_processings": [{"classification": {"output_tensor": "scores"}}]}
    (tmp_path / "version.json").write_text(json.dumps(classification))
    documents = ["--spec", str(tmp_path / "spec.json"), "--version", str(tmp_path / "version.json")]
    result = CliRunner().invoke(app, ["warmup", *documents])
    assert result.exit_code == 0
    assert result.stdout.startswith("the kernels of this version ready in ")


@pytest.mark.parametrize("name", ["--spec", "--version"])
def test_warmup_of_one_document_without_the_other_is_a_usage_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "document.json").write_text("{}")
    result = CliRunner().invoke(app, ["warmup", name, str(tmp_path / "document.json")])
    assert result.exit_code == 2
    assert "one needs the other" in result.stderr


def test_warmup_of_a_type_that_no_tensor_has_is_a_usage_error() -> None:
    result = CliRunner().invoke(app, ["warmup", "--dtype", "float32", "--dtype", "int4"])
    assert result.exit_code == 2
    assert "'int4' is none of float32, float64, float16" in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize("dtypes", ["float16", ["float32", "int64"]])
def test_warmup_of_a_post_processor_for_another_type_is_an_error(dtypes: Any) -> None:
    post = PostProcessor.for_classification(["cat"], Classification(output_tensor="scores"))
    with pytest.raises(TensorError, match="dtypes must be a collection of some of float32, float64, float16"):
        post.warmup(dtypes)


@pytest.mark.needs_numba
@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled: NUMBA_DISABLE_JIT")
def test_compiling_is_said_once_on_stderr_and_not_where_the_cache_serves(tmp_path: Path) -> None:
    post = PostProcessor.for_classification(["cat"], Classification(output_tensor="scores"))
    (tmp_path / "spec.json").write_text(json.dumps(post.spec.dump()))
    (tmp_path / "version.json").write_text(json.dumps(post.version.dump()))
    command = [
        sys.executable,
        "-m",
        "postproc.cli",
        "warmup",
        "--spec",
        "spec.json",
        "--version",
        "version.json",
    ]
    said = []
    for _ in range(2):
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.startswith("the kernels of this version ready in")
        said.append(done.stderr)
    assert re.fullmatch(r"compiling kernels, once, about \d+ s\n", said[0])
    assert said[1] == ""


def test_version_is_shown() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"postproc {postproc.__version__}\n")
