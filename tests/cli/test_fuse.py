"""``postproc fuse``, and ``postproc inspect`` of what it wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from postproc import PostProcessor
from postproc.images import Preprocessor
from postproc.inspection import inspect_model
from postproc.onnx_runner import OnnxRunner
from tests.cli.commands import invoke
from tests.models import answering
from tests.onnx_runner.test_fused import BOXES, LABELS, SIDE, post_processor, tables

FUSE = ("fuse", "model.onnx", "--spec", "spec.json", "--version", "version.json", "--output", "fused.onnx")


@pytest.fixture
def post(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PostProcessor:
    """A folder with a network that finds the same boxes in all images, and documents."""
    monkeypatch.chdir(tmp_path)
    post = post_processor(input_size=None, nms_threshold=0.3)
    answer = {"output0": tables(1)[0]}
    Path("model.onnx").write_bytes(answering(answer, ("N", 3, SIDE, SIDE), "images"))
    Path("spec.json").write_text(json.dumps(post.spec.dump()))
    Path("version.json").write_text(json.dumps(post.version.dump()))
    image = {"target_size": str(SIDE), "pixel_scaling": 1.0, "color_channels": "BGR"}
    document = {"inputs": [{"tensor_name": "images", "image": image}]}
    Path("preprocessing.json").write_text(json.dumps(document))
    return post


def run(path: str, feed: dict[str, Any]) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [info.name for info in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


def assert_found(rows: dict[str, Any], post: PostProcessor, side: float = 1.0) -> None:
    blank = np.zeros((2, 3, SIDE, SIDE), np.float32)
    (expected,) = OnnxRunner("model.onnx", post)({"images": blank}).outputs
    padded = expected.padded(rows["scores"].shape[1])
    for name in ("scores", "labels", "count"):
        np.testing.assert_array_equal(rows[name], getattr(padded, name), err_msg=name)
    np.testing.assert_array_equal(rows["boxes"], padded.boxes * np.float32(side))
    assert rows["complete"].all()


def test_fused_file_ends_in_detections_and_two_lines_say_what_it_has(post: PostProcessor) -> None:
    result = invoke(*FUSE)
    assert (result.exit_code, result.stderr) == (0, "")
    first, second = result.stdout.splitlines()
    assert first.startswith("fused.onnx: images (N, 3, 64, 64) in; boxes (")
    assert ", 100, 4), scores (" in first
    assert first.endswith("boxes are xmin, ymin, xmax, ymax in [0, 1] of the input")
    assert second.startswith("complete is false of an image where more than 1,024 candidates pass their")
    rows = run("fused.onnx", {"images": np.zeros((2, 3, SIDE, SIDE), np.float32)})
    assert_found(rows, post)
    onnx.checker.check_model("fused.onnx", full_check=True)


@pytest.mark.parametrize("nms", ["loop", "rounds", "operator"])
def test_options_reach_the_graph(nms: str, post: PostProcessor) -> None:
    more = ["--rounds", "9"] if nms == "rounds" else []
    arguments = ("--candidates", "80", "--max-predictions", "60", "--nms", nms, *more, "--pixels")
    result = invoke(*FUSE, *arguments, "--thresholds", "input")
    assert result.exit_code == 0, result.output
    assert "in pixels of the input" in result.stdout
    assert ("9 rounds do not settle" in result.stdout) == (nms == "rounds")
    thresholds = np.array([0.9, 0.5, 0.8], np.float32)
    rows = run("fused.onnx", {"images": np.zeros((2, 3, SIDE, SIDE), np.float32), "thresholds": thresholds})
    assert rows["boxes"].shape == (2, 60, 4)
    assert_found(rows, post.replace(thresholds=thresholds), SIDE)


def test_preprocessing_goes_into_the_graph(post: PostProcessor) -> None:
    path = Path("model.onnx")
    # A network whose first box is as high as the image's first pixel says, in blue.
    path.write_bytes(_tall())
    result = invoke(*FUSE, "--preprocessing", "preprocessing.json")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("fused.onnx: images_uint8 (N, 64, 64, 3) in;")
    pixels = np.random.default_rng(0).integers(100, 256, (1, SIDE, SIDE, 3), np.uint8)
    rows = run("fused.onnx", {"images_uint8": pixels})
    prepared = Preprocessor("preprocessing.json")([Image.fromarray(pixels[0])])
    (expected,) = OnnxRunner("model.onnx", post)(prepared.tensors).outputs
    np.testing.assert_array_equal(rows["boxes"][0, 0], expected.boxes[0])
    assert rows["boxes"][0, 0, 3] > 0.3


def _tall() -> bytes:
    from onnx import helper

    from tests.models import network

    table = np.zeros((1, 4 + LABELS, BOXES), np.float32)
    table[0, :, 0] = [20, 0, 8, 0, 0.9, 0, 0]
    one_hot = np.zeros((1, 4 + LABELS, BOXES), np.float32)
    one_hot[0, 3, 0] = SIDE
    nodes = [
        helper.make_node("Slice", ["images", "starts", "ends"], ["first"]),
        helper.make_node("Reshape", ["first", "shape"], ["blue"]),
        helper.make_node("Mul", ["blue", "one_hot"], ["height"]),
        helper.make_node("Add", ["height", "table"], ["output0"]),
    ]
    constants = {
        "starts": np.zeros(4, np.int64),
        "ends": np.array([1 << 30, 1, 1, 1]),
        "shape": np.array([-1, 1, 1]),
        "one_hot": one_hot,
        "table": table,
    }
    outputs = {"output0": (np.float32, ("N", 4 + LABELS, BOXES))}
    return network(nodes, {"images": (np.float32, ("N", 3, SIDE, SIDE))}, outputs, constants)


def free_sides() -> None:
    """Leave height and width of the network's input open."""
    model = onnx.load("model.onnx")
    for axis, name in zip(model.graph.input[0].type.tensor_type.shape.dim[2:], "hw", strict=True):
        axis.dim_param = name
    onnx.save(model, "model.onnx")


@pytest.mark.parametrize("options", [["--size", "64x64"], ["--preprocessing", "preprocessing.json"]])
def test_size_that_the_file_leaves_open_is_asked_for_or_the_preprocessings(
    options: list[str], post: PostProcessor
) -> None:
    free_sides()
    result = invoke(*FUSE)
    assert result.exit_code == 1
    assert "give input_size (--size)" in result.stderr
    assert not Path("fused.onnx").exists()
    result = invoke(*FUSE, *options)
    assert result.exit_code == 0, result.output
    if "--size" in options:
        assert "images (N, 3, 64, 64) in" in result.stdout
        assert_found(run("fused.onnx", {"images": np.zeros((2, 3, SIDE, SIDE), np.float32)}), post)
    else:
        assert "images_uint8 (N, 64, 64, 3) in" in result.stdout
        assert_found(run("fused.onnx", {"images_uint8": np.zeros((2, SIDE, SIDE, 3), np.uint8)}), post)


@pytest.mark.parametrize("size", ["64x32", "64x64"])
@pytest.mark.usefixtures("post")
def test_size_that_is_not_the_preprocessings_is_refused(size: str) -> None:
    free_sides()
    result = invoke(*FUSE, "--preprocessing", "preprocessing.json", "--size", size)
    assert result.exit_code == (size != "64x64"), result.output
    assert ("(32, 64), but the preprocessing makes images of (64, 64)" in result.stderr) == (size == "64x32")


@pytest.mark.parametrize("order", ["NCHW", "NHWC", "NCWH", "NWHC"])
@pytest.mark.parametrize("is_free", [False, True])
@pytest.mark.parametrize("opset", [9, 17])
def test_sides_of_images_are_where_the_preprocessing_says(
    order: str, is_free: bool, opset: int, post: PostProcessor
) -> None:
    sizes: dict[str, int | str] = {"N": "N", "C": 3, "H": 32, "W": SIDE}
    if is_free:
        sizes.update(H="h", W="w")
    table = tables(1)
    model = onnx.load_from_string(answering({"output0": table[0]}, [sizes[axis] for axis in order], "images"))
    if opset == 9:
        model = _of_opset_9(table, [sizes[axis] for axis in order])
    onnx.save(model, "model.onnx")
    image = {"target_size": f"{SIDE}x32", "dimension_order": order, "color_channels": "BGR"}
    document = {"inputs": [{"tensor_name": "images", "image": image}]}
    Path("preprocessing.json").write_text(json.dumps(document))
    result = invoke(*FUSE, "--preprocessing", "preprocessing.json")
    assert result.exit_code == 0, result.output
    assert "images_uint8 (N, 32, 64, 3) in" in result.stdout
    onnx.checker.check_model("fused.onnx", full_check=True)
    rows = run("fused.onnx", {"images_uint8": np.zeros((1, 32, SIDE, 3), np.uint8)})
    (expected,) = post({"output0": table}, input_size=(32, SIDE)).outputs
    np.testing.assert_array_equal(rows["boxes"][0, : rows["count"][0]], expected.boxes)
    assert rows["count"][0] == len(expected.boxes) > 0


def _of_opset_9(table: Any, shape: Any) -> Any:
    """Make a network that adds a table to its image's smallest number, which is 0."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("ReduceMin", ["images"], ["least"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Squeeze", ["least"], ["row"], axes=[3]),
        helper.make_node("Add", ["row", "table"], ["output0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "old",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, ["N", *table.shape[1:]])],
        [numpy_helper.from_array(table[0], "table")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=8)


@pytest.mark.parametrize("more", [{"resize_type": "NETWORK"}, {"resize_type": "FILL", "stride": 32}])
@pytest.mark.usefixtures("post")
def test_preprocessing_whose_sides_vary_tells_no_size(more: dict[str, Any]) -> None:
    free_sides()
    document = json.loads(Path("preprocessing.json").read_text())
    document["inputs"][0]["image"].update(more)
    Path("preprocessing.json").write_text(json.dumps(document))
    result = invoke(*FUSE, "--preprocessing", "preprocessing.json")
    assert result.exit_code == 1
    assert "give input_size (--size)" in result.stderr


@pytest.mark.parametrize("size", ["64x", "64x0", "64x64x3", "x", "-1x2", "²x2"])
@pytest.mark.usefixtures("post")
def test_input_size_that_is_none_exits_2(size: str) -> None:
    result = invoke(*FUSE, "--size", size)
    assert result.exit_code == 2
    assert """expected "640x480" or "640", got""" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--candidates", "8", "--max-predictions", "9"], "max_predictions: expected", id="rows"),
        pytest.param(["--nms", "rounds"], "rounds: expected", id="no rounds"),
        pytest.param(["--rounds", "3"], "rounds: expected", id="rounds"),
        pytest.param(["--size", "32x64"], "said to be (64, 32), but the network's", id="size"),
        pytest.param(["--preprocessing", "small.json"], "[batch, 3, 32, 32] of an image", id="small"),
    ],
)
@pytest.mark.usefixtures("post")
def test_what_cannot_be_written_exits_1_and_says_what_to_do(arguments: list[str], message: str) -> None:
    before = Path("model.onnx").read_bytes()
    document = Path("preprocessing.json").read_text()
    Path("small.json").write_text(document.replace(f'"{SIDE}"', '"32"'))
    result = invoke(*FUSE, *arguments)
    assert (result.exit_code, message in result.stderr) == (1, True), result.output
    assert Path("model.onnx").read_bytes() == before
    assert not Path("fused.onnx").exists()


@pytest.mark.parametrize("content", [b"not a model", b"", b"PK\x03\x04 a zip", b'{"outputs": [1]}'])
@pytest.mark.parametrize("name", ["model.onnx", "model.json"])
@pytest.mark.usefixtures("post")
def test_file_that_is_no_network_exits_1_with_a_line(name: str, content: bytes) -> None:
    Path(name).write_bytes(content)
    result = invoke("fuse", name, *FUSE[2:])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert name in line
    assert "ONNX network" in line


@pytest.mark.parametrize("option", ["--spec", "--version", "--preprocessing"])
@pytest.mark.usefixtures("post")
def test_document_that_is_none_is_named(option: str) -> None:
    Path("list.json").write_text("[]")
    result = invoke(*FUSE, option, "list.json")
    assert result.exit_code == 1
    assert result.stderr == "error: list.json: expected an object, got []\n"


@pytest.mark.usefixtures("post")
def test_what_no_graph_expresses_exits_1_with_the_reason() -> None:
    version = json.loads(Path("version.json").read_text())
    version["post_processings"][0]["detection"]["nms_method"] = "soft"
    Path("version.json").write_text(json.dumps(version))
    result = invoke(*FUSE)
    assert result.exit_code == 1
    assert 'post_processings[0] has nms_method "soft"' in result.stderr


def test_classification_is_written_beside_boxes(post: PostProcessor) -> None:
    table, scores = tables(1), np.array([0.2, 0.9], np.float32)
    answer = {"output0": table[0], "wet": scores}
    Path("model.onnx").write_bytes(answering(answer, ("N", 3, SIDE, SIDE), "images"))
    tags = [{"id": 5, "name": "dry"}, {"id": 7, "name": "wet"}]
    labels = {"labels": tags, "exclusive": True, "roi": "NONE"}
    spec, version = post.spec.dump(), post.version.dump()
    spec["outputs"].append({"labels": labels})
    version["post_processings"].append({"classification": {"output_tensor": "wet", "thresholds": [0.1, 0.5]}})
    Path("spec.json").write_text(json.dumps(spec))
    Path("version.json").write_text(json.dumps(version))
    result = invoke(*FUSE)
    assert result.exit_code == 0, result.output
    assert "scores_1 (N, 100), labels_1 (N, 100), count_1 (N), complete_1 (N) out;" in result.stdout
    rows = run("fused.onnx", {"images": np.zeros((2, 3, SIDE, SIDE), np.float32)})
    assert_found({name.removesuffix("_0"): array for name, array in rows.items()}, post)
    assert rows["count_1"].tolist() == [2, 2]
    assert rows["labels_1"][:, :3].tolist() == [[7, 5, -1]] * 2
    np.testing.assert_array_equal(rows["scores_1"][1, :3], np.float32([0.9, 0.2, 0]))
    inspected = invoke("inspect", "fused.onnx")
    assert "scores_1, labels_1, count_1, complete_1 are finished detections" in inspected.stdout


# --- inspect


def test_inspect_knows_a_fused_file(post: PostProcessor) -> None:
    assert invoke(*FUSE, "--candidates", "77").exit_code == 0
    result = invoke("inspect", "fused.onnx")
    assert result.exit_code == 0
    assert "postproc fuse wrote it: boxes, scores, labels" in result.stdout
    assert "candidates 77" in result.stdout
    assert "3 labels: a, b, c" in result.stdout
    assert '"yolov8_output": {"output_tensor": "output0"}' in result.stdout
    found = json.loads(invoke("inspect", "fused.onnx", "--json").stdout)
    assert found["fused"]["spec"] == post.spec.dump()
    assert found["fused"]["version"] == post.version.dump()
    assert found["fused"]["options"]["candidates"] == 77
    assert found["proposals"] == []
    fused = inspect_model("fused.onnx").fused
    assert fused is not None
    assert PostProcessor(fused.spec, fused.version).tensor_names == ("output0",)
    refused = invoke("inspect", "fused.onnx", "--save", "documents")
    assert (refused.exit_code, Path("documents").exists()) == (1, False)
    assert "the file is fused" in refused.stderr


@pytest.mark.usefixtures("post")
def test_inspect_of_another_network_finds_nothing_fused() -> None:
    assert json.loads(invoke("inspect", "model.onnx", "--json", "--no-run").stdout)["fused"] is None


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"postproc.fused": "{"}, id="no JSON"),
        pytest.param({"postproc.fused": "[1]"}, id="no object"),
        pytest.param({"postproc.fused": "{}"}, id="no documents"),
        pytest.param({"postproc.fused": "{}", "postproc.spec": "{}", "postproc.version": "[]"}, id="wrong"),
        pytest.param({"postproc.fused": "[" * 100_000}, id="deep"),
    ],
)
@pytest.mark.usefixtures("post")
def test_broken_metadata_are_said_and_the_network_is_inspected(metadata: dict[str, str]) -> None:
    model = onnx.load("model.onnx")
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, "model.onnx")
    inspection = inspect_model("model.onnx", run=False)
    assert inspection.fused is None
    assert any("its metadata say that it is fused" in note for note in inspection.graph.notes)
