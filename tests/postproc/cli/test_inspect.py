"""``postproc inspect``: what it prints, saves and refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from PIL import Image
from typer.testing import CliRunner, Result

from postproc.cli.app import app
from postproc.installing import install
from tests.models import answering
from tests.postproc.inspection.networks import Network, ultralytics

NAMES = {0: "cat", 1: "dog"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a YOLO export that finds a dog on every image, and go there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    found = np.zeros((6, 84), np.float32)
    found[:, 5] = [32, 32, 16, 32, 0.1, 0.9]
    model = onnx.load_from_string(answering({"output0": found}, ("N", 3, 64, 64), "images"))
    helper.set_model_props(model, ultralytics(names=NAMES, imgsz="[64, 64]"))
    Path("yolo.onnx").write_bytes(model.SerializeToString())
    Image.new("RGB", (100, 50)).save("a.png")
    return tmp_path


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_inspect_prints_tensors_the_proposal_its_reasons_and_the_next_commands(folder: Path) -> None:
    result = invoke("inspect", "yolo.onnx")
    assert result.exit_code == 0
    for text in (
        "input     images   float32 (N, 3, 64, 64)",
        "output    output0  float32 (N, 6, 84)",
        'labels    2 from "names" in the metadata: cat, dog',
        "yolov8_output: YOLOv8, v9, v11, v12 and other exports of ultralytics (certain)",
        "why    output0 is (N, 6, 84): 4 + 2 labels, and more boxes than channels",
        "equal to ultralytics' predict",
        '"nms_threshold": 0.7',
        "postproc inspect yolo.onnx --save yolo\n",
        "--preprocessing yolo/preprocessing.json image.jpg",
    ):
        assert text in result.stdout


def test_inspect_save_then_validate_then_run_finds_what_the_network_says(folder: Path) -> None:
    result = invoke("inspect", "yolo.onnx", "--save", "out")
    assert result.exit_code == 0
    assert "Saved spec.json, version.json, preprocessing.json in out.\nRun it:\n" in result.stdout
    assert invoke("validate", "out/version.json", "--spec", "out/spec.json").exit_code == 0
    documents = [f"--{name}=out/{name}.json" for name in ("spec", "version", "preprocessing")]
    result = invoke("run", *documents, "yolo.onnx", "a.png")
    assert result.exit_code == 0
    (dog,) = json.loads(result.stdout)["outputs"][0]["labels"]["predicted"]
    assert (dog["label_name"], dog["threshold"]) == ("dog", 0.25)
    # The 100 x 50 image fills the input's width; its rows 16 to 48 are the image's whole height.
    assert dog["roi"]["bbox"] == {"xmin": 0.375, "ymin": 0.0, "xmax": 0.625, "ymax": 1.0}


def test_inspect_save_again_changes_nothing_and_refuses_other_files(folder: Path) -> None:
    assert [invoke("inspect", "yolo.onnx", "--save", "out").exit_code for _ in range(2)] == [0, 0]
    Path("out/version.json").write_text("{}")
    before = Path("out/spec.json").read_text()
    Path("names.txt").write_text("chat\nchien\n")
    result = invoke("inspect", "yolo.onnx", "--save", "out", "--labels", "names.txt")
    assert result.exit_code == 1
    assert "out/version.json: there already, with other contents" in result.stderr.replace("\n", " ")
    assert Path("out/spec.json").read_text() == before
    result = invoke("inspect", "yolo.onnx", "--save", "out", "--labels", "names.txt", "--force")
    assert result.exit_code == 0
    assert '"chien"' in Path("out/spec.json").read_text()


def test_inspect_json_gives_all_of_it(folder: Path) -> None:
    result = invoke("inspect", "yolo.onnx", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["outputs"] == [
        {"name": "output0", "type": "float32", "shape": ["N", 6, 84], "inferred_shape": [1, 6, 84]}
    ]
    (proposal,) = found["proposals"]
    assert (proposal["kind"], proposal["certainty"]) == ("yolov8_output", "certain")
    assert proposal["spec"]["outputs"][0]["labels"]["labels"][1] == {"id": 1, "name": "dog"}
    assert proposal["preprocessing"]["inputs"][0]["image"]["rounding"] == "half_even"


def test_inspect_several_readings_are_numbered_and_take_saves_another(folder: Path) -> None:
    Network({"x": (1, 3, 320, 320)}).output("grid", (1, 45, 10, 10), "raw").save(Path("grid.onnx"))
    result = invoke("inspect", "grid.onnx")
    assert "2 readings fit" in result.stdout
    assert "1. yolo_output: YOLOv2 (possible)" in result.stdout
    assert "5 anchors of 4 labels fit, and so does another number" in result.stdout
    assert "--take 2 saves the second" in result.stdout
    assert invoke("inspect", "grid.onnx", "--save", "out", "--take", "2").exit_code == 0
    labels = json.loads(Path("out/spec.json").read_text())["outputs"][0]["labels"]["labels"]
    assert len(labels) == 10
    result = invoke("inspect", "grid.onnx", "--take", "3")
    assert result.exit_code == 1
    assert "expected the number of a proposal, 1 to 2" in result.stderr


@pytest.mark.parametrize("options", [[], ["--json"], ["--save", "out"]])
def test_inspect_nonsense_lists_the_outputs_and_exits_1(options: list[str], folder: Path) -> None:
    Network().output("features", (1, 7, 13)).save(Path("odd.onnx"))
    result = invoke("inspect", "odd.onnx", *options)
    assert result.exit_code == 1
    assert "features" in result.stdout
    assert not Path("out").exists()
    if "--json" not in options:
        assert "Nothing that postproc knows has these outputs" in result.stdout


def test_inspect_unsupported_network_says_what_it_is_and_exits_1(folder: Path) -> None:
    Network(metadata=ultralytics("pose")).output("output0", (1, 56, 8400)).save(Path("pose.onnx"))
    result = invoke("inspect", "pose.onnx")
    assert result.exit_code == 1
    assert "not supported: ultralytics exported it for the task 'pose' (keypoints" in result.stdout


def test_inspect_file_that_is_no_onnx_exits_1_and_says_so(folder: Path) -> None:
    result = invoke("inspect", "a.png")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: a.png is not an ONNX file")


@pytest.mark.parametrize("size", ["0x4", "large", "64x", "x64", "64x64x64"])
def test_inspect_size_that_is_none_is_a_usage_error(size: str, folder: Path) -> None:
    result = invoke("inspect", "yolo.onnx", "--size", size)
    assert result.exit_code == 2
    assert "expected" in result.stderr


def test_inspect_without_onnx_says_what_to_install(folder: Path) -> None:
    code = "import sys; sys.modules['onnx'] = None\nfrom postproc.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "inspect", "yolo.onnx"], capture_output=True, check=False
    )
    assert done.returncode == 2
    assert install("inspect").encode() in done.stderr
