"""Reading a file: shapes, sizes, names of labels, and what is no ONNX file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from postproc.errors import InspectionError
from postproc.inspection import inspect_model
from postproc.inspection.labels import labels_of_file, labels_of_metadata
from postproc.inspection.proposal import written
from tests.inspection.networks import Network, ultralytics
from tests.models import network as checked_network

FREE = {"images": ("batch", 3, "height", "width")}


def test_read_graph_gives_names_shapes_types_and_metadata(tmp_path: Path) -> None:
    path = Network(FREE, ultralytics()).output("output0", ("batch", 84, "n"), "decoded+sigmoid")
    graph = inspect_model(path.save(tmp_path / "net.onnx")).graph
    assert (graph.name, graph.producer) == ("net", "tests")
    assert [(tensor.name, tensor.type, tensor.declared_text) for tensor in graph.inputs] == [
        ("images", "float32", "(batch, 3, height, width)")
    ]
    assert graph.outputs[0].declared == ("batch", 84, "n")
    assert graph.sources("output0") == {"Mul", "Sigmoid"}
    assert graph.metadata["task"] == "detect"


def test_read_graph_free_size_is_followed_to_the_outputs(tmp_path: Path) -> None:
    import numpy as np
    from onnx import helper

    # A convolution of stride 8, whose output's size the file leaves open.
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], strides=[8, 8])]
    weights = {"w": np.zeros((30, 3, 8, 8), np.float32)}
    shape = ("N", 3, "H", "W")
    model = checked_network(
        nodes, {"x": (np.float32, shape)}, {"y": (np.float32, ("N", 30, "h", "w"))}, weights
    )
    (tmp_path / "net.onnx").write_bytes(model)
    graph = inspect_model(tmp_path / "net.onnx", size=(64, 96)).graph
    assert graph.outputs[0].shape == (1, 30, 8, 12)
    assert graph.outputs[0].text == "(N, 30, 8, 12)"


@pytest.mark.parametrize(
    ("shape", "metadata", "given", "expected"),
    [
        pytest.param((1, 3, 480, 640), {}, None, ((480, 640), "graph"), id="fixed"),
        pytest.param((1, 3, "h", "w"), {"imgsz": "[320, 416]"}, None, ((320, 416), "metadata"), id="imgsz"),
        pytest.param((1, 3, "h", "w"), {"imgsz": "320"}, None, ((320, 320), "metadata"), id="one side"),
        pytest.param((1, 3, "h", "w"), {"imgsz": "x("}, None, ((640, 640), "assumed"), id="no size"),
        pytest.param((1, 3, "h", "w"), {"imgsz": "320"}, (64, 96), ((64, 96), "given"), id="given"),
        pytest.param((1, 128), {}, None, (None, "assumed"), id="no image"),
    ],
)
def test_read_graph_input_size_is_from_the_best_source(
    shape: tuple[int | str, ...],
    metadata: dict[str, str],
    given: tuple[int, int] | None,
    expected: tuple[object, str],
    tmp_path: Path,
) -> None:
    network = Network({"x": shape}, metadata).output("y", (1, 10))
    graph = inspect_model(network.save(tmp_path / "net.onnx"), size=given).graph
    assert (graph.input_size, graph.size_source) == expected


def test_read_graph_other_size_than_the_fixed_one_is_an_error(tmp_path: Path) -> None:
    path = Network().output("y", (1, 10)).save(tmp_path / "net.onnx")
    with pytest.raises(InspectionError, match=r"fixed at 640x640 \(width x height\), got 320x240"):
        inspect_model(path, size=(240, 320))


def test_inspect_free_size_says_what_was_assumed_and_how_to_change_it(tmp_path: Path) -> None:
    path = Network(FREE).output("output0", ("batch", 84, 8400)).save(tmp_path / "net.onnx")
    (proposal,) = inspect_model(path).proposals
    assert any("640x640 assumed" in check and "--size" in check for check in proposal.checks)


def test_inspect_without_names_numbers_the_labels_and_says_so(tmp_path: Path) -> None:
    metadata = {**ultralytics(), "names": ""}
    network = Network(metadata=metadata).output("output0", (1, 6, 8400), "decoded+sigmoid")
    (proposal,) = inspect_model(network.save(tmp_path / "net.onnx")).proposals
    assert [label.name for label in proposal.spec.outputs[0].labels.labels] == ["label 0", "label 1"]
    assert any("no names of labels in the file" in check for check in proposal.checks)


def test_inspect_names_of_another_count_fit_no_reading_and_it_says_so(tmp_path: Path) -> None:
    path = Network().output("logits", (1, 4), "raw").save(tmp_path / "net.onnx")
    found = inspect_model(path, labels=["cat", "dog"])
    assert found.proposals == ()
    said = [item.text for reading in found.refuted for item in reading.contradictions]
    assert "the caller names 2 labels where this reading has 4" in said


def test_inspect_names_with_a_background_leave_it_out(tmp_path: Path) -> None:
    path = Network().output("logits", (1, 2), "raw").save(tmp_path / "net.onnx")
    (proposal,) = inspect_model(path, labels=["__background__", "cat", "dog"]).proposals
    assert [label.name for label in proposal.spec.outputs[0].labels.labels] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"\xff\xfe no protobuf", "is not an ONNX file", id="bytes"),
        pytest.param(b"", "is not an ONNX file, or has no outputs", id="empty"),
        pytest.param(b"PK\x03\x04" + bytes(100), "is a zip archive", id="zip"),
        pytest.param(b'{"outputs": []}', "is not an ONNX file", id="JSON"),
    ],
)
@pytest.mark.parametrize("name", ["net.onnx", "net.json"])
def test_inspect_file_that_is_no_network_is_an_error(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InspectionError, match=message):
        inspect_model(tmp_path / name)


def test_inspect_missing_file_and_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InspectionError, match="does not exist"):
        inspect_model(tmp_path / "none.onnx")
    with pytest.raises(InspectionError, match="is a folder"):
        inspect_model(tmp_path)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param("{0: 'cat', 1: 'dog'}", ("cat", "dog"), id="python"),
        pytest.param('{"1": "dog", "0": "cat"}', ("cat", "dog"), id="json"),
        pytest.param("['cat', 'dog']", ("cat", "dog"), id="list"),
        pytest.param("cat, dog", ("cat", "dog"), id="commas"),
        pytest.param("{0: 'cat', 2: 'dog'}", ("cat", "label 1", "dog"), id="gap"),
    ],
)
def test_labels_of_metadata_read_what_exporters_write(text: str, names: tuple[str, ...]) -> None:
    found = labels_of_metadata({"names": text})
    assert found is not None
    assert found.names == names


@pytest.mark.parametrize("text", ["", "__import__('os')", "{" * 10_000, "{999999999: 'x'}", "{-1: 'x'}"])
def test_labels_of_metadata_of_other_text_are_none(text: str) -> None:
    assert labels_of_metadata({"names": text}) is None


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        pytest.param("cat\ndog\n\n", None, id="lines"),
        pytest.param('["cat", "dog"]', None, id="list"),
        pytest.param('[{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}]', (3, 7), id="objects"),
        pytest.param(
            json.dumps({"categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]}),
            (1, 2),
            id="coco",
        ),
        pytest.param(
            json.dumps(
                {"outputs": [{"labels": {"labels": [{"id": 1, "name": "cat"}, {"id": 5, "name": "dog"}]}}]}
            ),
            (1, 5),
            id="spec",
        ),
    ],
)
def test_labels_of_file_reads_lines_and_json(
    content: str, ids: tuple[int, ...] | None, tmp_path: Path
) -> None:
    (tmp_path / "names").write_text(content)
    found = labels_of_file(tmp_path / "names")
    assert (found.names, found.ids) == (("cat", "dog"), ids)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", "names no labels", id="empty"),
        pytest.param("{", "names no labels", id="broken"),
        pytest.param('{"%s": "a"}' % ("9" * 5000), "names no labels", id="digits"),
        pytest.param("a" * (2**24 + 1), "expected at most 16,777,216 bytes, got 16,777,217", id="long"),
        pytest.param('[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]', "gives an id twice", id="ids"),
    ],
)
def test_labels_of_file_that_names_none_is_an_error(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "names").write_text(content)
    with pytest.raises(InspectionError, match=message):
        labels_of_file(tmp_path / "names")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="devices as files")
def test_labels_of_file_without_an_end_is_an_error() -> None:
    with pytest.raises(InspectionError, match="expected a regular file, got a pipe or a device"):
        labels_of_file("/dev/zero")


@pytest.mark.parametrize(
    "value",
    [
        {"a": [0.25] * 100, "b": [{"id": 1, "name": "é"}, {}], "c": [[1, 2]] * 60, "d": {"e": "x" * 200}},
        {},
        {"a": []},
    ],
)
def test_written_json_reads_back_as_it_was(value: object) -> None:
    text = written(value)
    assert json.loads(text) == value
    assert text.endswith("\n")
