"""``postproc inspect``: what it prints, saves and refuses."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner, Result

from postproc.cli.app import app
from postproc.cli.work.inspect import show_inspection
from postproc.inspection import Inspection, inspect_model, network_run
from postproc.installing import install
from tests.inspection.exports import CASES
from tests.inspection.exports.building import Builder, grid_of
from tests.inspection.exports.ultralytics import metadata
from tests.inspection.in_process import run_in_this_process
from tests.models import endless

EXPORTS = {case.name: case for case in CASES}
SEVERAL = "detr: optimum, no names"
UNSUPPORTED = "ssd: logits, priors not in the file"
BESIDE_UNSUPPORTED = "timm: 107 logits without names"
UNFOUNDED = "timm: 7 logits without names"
GUESSED = "timm: 1000 labels"
NOTHING = "features of a backbone"

ORDINARY_ASK = network_run.ask


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a network of ultralytics' that finds a dog on every image, and go there."""
    run_in_this_process(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Path("yolo.onnx").write_bytes(yolo().SerializeToString())
    Image.new("RGB", (100, 50)).save("a.png")
    return tmp_path


def yolo() -> onnx.ModelProto:
    """Build a table whose boxes fill their cells, but for one of a dog that is larger."""
    cells, strides = grid_of((64, 64), (8, 16, 32))
    boxes = np.full((1, 4, 84), 8, np.float32)
    boxes[0, :2] = (cells * strides)[0].T
    boxes[0, :, 5] = 32, 32, 16, 32
    logits = np.full((1, 2, 84), -6, np.float32)
    logits[0, 1, 5] = 2
    graph = Builder(("N", 3, 64, 64), metadata=metadata(names=["cat", "dog"], imgsz=[64, 64]), ir=8)
    nothing = graph.features(8, channels=1).op("GlobalAveragePool").reshape(0, 1, 1) * 0
    table = graph.concat(nothing + boxes, (nothing + logits).sigmoid(), axis=1)
    graph.output("output0", table, ("N", 6, 84))
    return onnx.load_from_string(graph.model())


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def export(name: str) -> str:
    return str(EXPORTS[name].save(Path()))


def document(name: str) -> Any:
    return json.loads(Path("out", f"{name}.json").read_text())


# --- what it prints


def test_inspect_prints_tensors_the_reading_its_evidence_and_the_next_commands() -> None:
    result = invoke("inspect", "yolo.onnx")
    assert result.exit_code == 0
    for text in (
        "input     images   float32 (N, 3, 64, 64)",
        "output    output0  float32 (N, 6, 84)",
        'labels    2 from "names" in the metadata: cat, dog',
        "run       once, on a generated image of 64x64",
        "yolov8_output: YOLOv8, v9, v11, v12 and other exports of ultralytics (certain)",
        "  columns        box, scores, 2 labels",
        "  metadata     - ultralytics exported it for the task detect",
        "- output0: scores from 0.00247 to 0.881 in a run",
        "equal to ultralytics' predict",
        '"nms_threshold": 0.7',
        "postproc inspect yolo.onnx --save yolo\n",
        "--preprocessing yolo/preprocessing.json image.jpg",
    ):
        assert text in result.stdout


def shown(inspection: Inspection, width: int = 400) -> str:
    text = io.StringIO()
    show_inspection(inspection, ["net.onnx"], Console(file=text, width=width))
    return text.getvalue()


@pytest.mark.parametrize("name", [SEVERAL, "ultralytics: yolov8 of fixed size", "pytorch-ssd: decoded"])
def test_inspect_says_each_finding_once_beside_its_source(name: str) -> None:
    inspection = inspect_model(export(name))
    lines = [line.strip() for line in shown(inspection).splitlines() if "  - " in line]
    texts = [line.rpartition("- ")[2] for line in lines]
    first = inspection.proposals[0].reading
    assert max(Counter(texts).values()) == 1
    for source in {item.source.value for item in first.evidence if not item.is_against}:
        assert sum(line.startswith(source) for line in lines) == 1


@pytest.mark.parametrize("columns", ["80", "110"])
def test_inspect_fits_the_width_of_the_terminal(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lines = invoke("inspect", export(SEVERAL)).stdout.splitlines()
    commands = [line for line in lines if line.startswith("  postproc ")]
    assert len(commands) == 1
    assert max(len(line) for line in lines if line not in commands) <= int(columns)


def test_inspect_shows_of_further_readings_what_tells_them_from_the_first() -> None:
    first, second = shown(inspect_model(export(SEVERAL))).split("\n2. ")
    assert "box format" in first
    assert "background     none" in first
    assert "box format" not in second
    assert "background  last" in second


def test_inspect_of_many_readings_shows_some_and_counts_the_others() -> None:
    inspection = inspect_model(export(SEVERAL))
    text = shown(replace(inspection, proposals=inspection.proposals * 24))
    assert "48 readings fit, and nothing decides between them" in text
    assert "\n4. standard_output" in text
    assert "\n5. " not in text
    assert "and 44 more readings; --json prints all." in text


def test_inspect_says_how_many_readings_are_out_and_why_where_none_is_left() -> None:
    stdout = invoke("inspect", export(GUESSED)).stdout
    assert "3 other readings came to mind; --json tells what is against each." in stdout
    lines = invoke("inspect", export(UNSUPPORTED)).stdout.splitlines()
    assert any(
        line.startswith("no  RetinaNet, EfficientDet and similar: loc comes from a layer") for line in lines
    )


def test_inspect_repeats_the_options_in_the_command_that_saves() -> None:
    Path("my names.txt").write_text("cat\ndog\n")
    options = ["--labels", "my names.txt", "--size", "64x64", "--run-seconds", "9", "--no-run"]
    stdout = invoke("inspect", "yolo.onnx", *options).stdout
    given = "--labels 'my names.txt' --size 64x64 --run-seconds 9 --no-run"
    assert f"  postproc inspect yolo.onnx {given} --save yolo\n" in stdout


def test_inspect_prints_and_lists_what_is_odd_about_the_files_beside_a_network() -> None:
    Path("config.json").write_text(json.dumps({"id2label": {"0": "cat", "1": "dog", "2": "owl"}}))
    Path("preprocessor_config.json").write_text("{")
    result = invoke("inspect", "yolo.onnx")
    assert result.exit_code == 0
    assert "note      preprocessor_config.json beside the network cannot be read" in result.stdout
    notes = json.loads(invoke("inspect", "yolo.onnx", "--json").stdout)["notes"]
    assert len(notes) == 2
    assert "name different labels, 2 and 3" in notes[1]


# --- what it saves


def test_inspect_save_then_validate_then_run_finds_what_the_network_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network_run, "ask", ORDINARY_ASK)  # as users run it
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


def test_inspect_save_again_changes_nothing_and_refuses_other_files() -> None:
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


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param(SEVERAL, "2 readings fit, and nothing decides between them", id="several"),
        pytest.param(
            BESIDE_UNSUPPORTED,
            "2 readings fit, and nothing decides between them",
            id="one beside an unsupported one",
        ),
        pytest.param(UNFOUNDED, "One reading fits, but nothing speaks for its kind.", id="unfounded"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_inspect_undecided_saves_nothing_and_says_how_to_go_on(
    name: str, reason: str, options: tuple[str, ...]
) -> None:
    network = export(name)
    shown_only = invoke("inspect", network, *options)
    assert (shown_only.exit_code, shown_only.stderr) == (0, "")
    result = invoke("inspect", network, "--save", "out", *options)
    assert result.exit_code == 3
    assert result.stdout == shown_only.stdout.replace("--save model", "--save out")
    assert result.stderr.startswith(f"error: nothing is saved. {reason}")
    assert result.stderr.endswith(" --take N says which one to save\n")
    assert not Path("out").exists()
    if not options:
        assert (
            "Save the one that is meant:\n  postproc inspect model.onnx --save out --take " in result.stdout
        )
    assert invoke("inspect", network, "--save", "out", "--take", "1").exit_code == 0
    assert document("version")


def test_inspect_take_saves_the_reading_of_that_number() -> None:
    network = export(SEVERAL)
    result = invoke("inspect", network, "--save", "out", "--take", "2")
    assert result.exit_code == 0
    assert "standard_output: DETR, YOLOS, Table Transformer (possible)" in result.stdout
    output = document("version")["post_processings"][0]["detection"]["standard_output"]
    assert (output["score_activation"], output["background"]) == ("softmax", "last")
    assert len(document("spec")["outputs"][0]["labels"]["labels"]) == 7


@pytest.mark.parametrize(("number", "expected"), [("0", "--take"), ("3", "1 to 2, got 3")])
def test_inspect_take_of_no_reading_is_a_usage_error(number: str, expected: str) -> None:
    result = invoke("inspect", export(SEVERAL), "--save", "out", "--take", number)
    assert result.exit_code == 2
    assert expected in result.stderr
    assert not Path("out").exists()


def test_inspect_guessed_preprocessing_is_a_check_and_is_saved() -> None:
    network = export(GUESSED)
    check = "how images are prepared is not in the file; guessed: the centre, RGB"
    assert f"  check        {check}" in invoke("inspect", network).stdout
    result = invoke("inspect", network, "--save", "out")
    assert result.exit_code == 0
    assert f"  check  {check}" in result.stdout
    assert document("preprocessing")["inputs"][0]["image"]["resize_type"] == "CROP"


@pytest.mark.parametrize("options", [[], ["--json"], ["--save", "out"], ["--save", "out", "--take", "1"]])
def test_inspect_nothing_fits_exits_1_and_lists_the_outputs(options: list[str]) -> None:
    result = invoke("inspect", export(NOTHING), *options)
    assert result.exit_code == 1
    assert "p3" in result.stdout
    assert not Path("out").exists()
    if "--json" in options:
        found = json.loads(result.stdout)
        assert (found["proposals"], found["decided"]) == ([], False)
    else:
        assert "Nothing that postproc knows has these outputs" in result.stdout


@pytest.mark.parametrize("options", [[], ["--json"], ["--save", "out"]])
def test_inspect_unsupported_network_is_named_with_what_would_help(options: list[str]) -> None:
    result = invoke("inspect", export(UNSUPPORTED), *options)
    assert result.exit_code == 1
    assert "priors (anchors) are not in the file: export the network with its decoding" in " ".join(
        result.stdout.split()
    )
    assert not Path("out").exists()
    if "--json" in options:
        found = json.loads(result.stdout)
        assert [named["text"] for named in found["named"]] == found["unsupported"]
        assert all(item["source"] and item["text"] for item in found["named"][0]["evidence"])
    else:
        assert re.search(r"^  (metadata|names|shapes|operators|run) +- ", result.stdout, re.MULTILINE)


# --- the run


@pytest.fixture
def no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*arguments: object) -> dict[str, Any]:
        raise AssertionError("a network was run")

    monkeypatch.setattr(network_run, "ask", ask)


@pytest.mark.usefixtures("no_run")
def test_inspect_no_run_starts_no_process_and_says_so() -> None:
    result = invoke("inspect", "yolo.onnx", "--no-run")
    assert result.exit_code == 0
    assert "run       none: what follows is from the file alone" in result.stdout
    found = json.loads(invoke("inspect", "yolo.onnx", "--no-run", "--json").stdout)
    assert (found["was_run"], found["faults"]) == (False, [])
    evidence = [item for part in found["proposals"][0]["parts"] for item in part["evidence"]]
    assert evidence
    assert "run" not in {item["source"] for item in evidence}
    with pytest.raises(AssertionError, match="a network was run"):
        CliRunner().invoke(app, ["inspect", "yolo.onnx"], catch_exceptions=False)


def test_inspect_run_seconds_ends_a_run_that_takes_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("endless.onnx").write_bytes(endless())
    monkeypatch.setattr(network_run, "ask", ORDINARY_ASK)
    stdout = " ".join(invoke("inspect", "endless.onnx", "--size", "2x2", "--run-seconds", "3").stdout.split())
    assert (
        "fault it took longer than 3 s; raise it with --run-seconds or leave it out with --no-run" in stdout
    )
    assert invoke("inspect", "yolo.onnx", "--run-seconds", "0").exit_code == 2


def of_newer_ir(model: onnx.ModelProto) -> None:
    model.ir_version = 99


def of_newer_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 60


def without_weights(model: onnx.ModelProto) -> None:
    weights = next(item for item in model.graph.initializer if item.dims == [1, 2, 84])
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    entry = weights.external_data.add()
    entry.key, entry.value = "location", "yolo.onnx.data"


def with_texts(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Cast", ["output0"], ["texts"], to=TensorProto.STRING))
    model.graph.output.append(helper.make_tensor_value_info("texts", TensorProto.STRING, None))


@pytest.mark.parametrize(
    ("change", "fault", "was_run"),
    [
        pytest.param(of_newer_ir, "Unsupported model IR version: 99", False, id="IR version"),
        pytest.param(of_newer_opset, "Opset 60 is under development", False, id="opset"),
        pytest.param(without_weights, "yolo.onnx.data'; put them there", False, id="weights"),
        pytest.param(with_texts, "its output texts is tensor(string)", True, id="string output"),
    ],
)
def test_inspect_says_why_onnx_runtime_would_not_run_the_network(
    change: Callable[[onnx.ModelProto], None], fault: str, was_run: bool
) -> None:
    model = yolo()
    change(model)
    Path("odd.onnx").write_bytes(model.SerializeToString())
    found = json.loads(invoke("inspect", "odd.onnx", "--json").stdout)
    assert found["was_run"] is was_run
    assert len(found["faults"]) == 1
    assert fault in found["faults"][0]
    for options in ([], ["--save", "out"]):
        result = invoke("inspect", "odd.onnx", *options)
        assert result.exit_code == 0
        assert "fault  " in result.stdout
        assert fault in " ".join(result.stdout.split())


# --- JSON, labels, usage


def test_inspect_json_gives_all_of_it() -> None:
    result = invoke("inspect", "yolo.onnx", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["outputs"] == [
        {"name": "output0", "type": "float32", "shape": ["N", 6, 84], "inferred_shape": [1, 6, 84]}
    ]
    assert (found["decided"], found["was_run"], found["unsupported"], found["faults"]) == (True, True, [], [])
    (proposal,) = found["proposals"]
    assert (proposal["kind"], proposal["certainty"]) == ("yolov8_output", "certain")
    assert proposal["spec"]["outputs"][0]["labels"]["labels"][1] == {"id": 1, "name": "dog"}
    assert proposal["preprocessing"]["inputs"][0]["image"]["rounding"] == "half_even"
    parts = {part["part"]: part for part in proposal["parts"]}
    assert parts["columns"]["value"] == "box, scores, 2 labels"
    assert parts["columns"]["certainty"] == "certain"
    sources = {item["source"] for item in parts["columns"]["evidence"]}
    assert {"metadata", "labels"} <= sources


def test_inspect_json_tells_what_is_against_readings_and_which_are_beaten() -> None:
    found = json.loads(invoke("inspect", export(SEVERAL), "--json").stdout)
    assert found["decided"] is False
    assert [item["kind"] for item in found["proposals"]] == ["standard_output"] * 2
    assert found["refuted"]
    assert all(reading["against"] for reading in found["refuted"])
    assert found["beaten"]
    assert not any(reading["against"] for reading in found["beaten"])


def test_inspect_labels_of_a_config_name_them_and_decide() -> None:
    network = export(SEVERAL)
    Path("labels").mkdir()
    names = ["car", "bus", "van", "bike", "tram", "dog", "cat"]
    config = Path("labels/config.json")
    config.write_text(json.dumps({"id2label": {str(row): name for row, name in enumerate(names)}}))
    result = invoke("inspect", network, "--labels", str(config), "--save", "out")
    assert result.exit_code == 0
    labels = document("spec")["outputs"][0]["labels"]["labels"]
    assert [label["name"] for label in labels] == names
    output = document("version")["post_processings"][0]["detection"]["standard_output"]
    assert (output["score_activation"], output["background"]) == ("softmax", "last")


def test_inspect_file_that_is_no_onnx_exits_1_and_says_so() -> None:
    result = invoke("inspect", "a.png")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: a.png is not an ONNX file")


@pytest.mark.parametrize("size", ["0x4", "large", "64x", "x64", "64x64x64"])
def test_inspect_size_that_is_none_is_a_usage_error(size: str) -> None:
    result = invoke("inspect", "yolo.onnx", "--size", size)
    assert result.exit_code == 2
    assert "expected" in result.stderr


def test_inspect_without_onnx_says_what_to_install() -> None:
    code = "import sys; sys.modules['onnx'] = None\nfrom postproc.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "inspect", "yolo.onnx"], capture_output=True, check=False
    )
    assert done.returncode == 2
    assert install("inspect").encode() in done.stderr
