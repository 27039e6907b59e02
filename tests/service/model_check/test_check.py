"""The check of a network before it is taken."""

from __future__ import annotations

import gzip
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from postproc.demo import model_path, preprocessing_path
from postproc.schema import Preprocessing
from postproc.service.errors import InputError
from postproc.service.model_check import check as model_check
from postproc.service.model_check.check import ModelReport, TensorReport, check_model
from postproc.service.model_check.child import RefusedError, check
from tests.models import copying, endless, network, passthrough

IMAGE = {"target_size": "2x2"}


def document(name: str = "data", **image: Any) -> dict[str, Any]:
    return {"inputs": [{"tensor_name": name, "image": {**IMAGE, **image}}]}


MEMORY = 1 << 30


def saved(folder: Path, content: bytes) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(content)
    return path


def refused(folder: Path, content: bytes, preprocessing: Any, field: str, message: str) -> None:
    with pytest.raises(RefusedError, match=message) as raised:
        check(saved(folder, content), folder, preprocessing, MEMORY)
    assert raised.value.field == field
    assert str(folder) not in str(raised.value)


# --- what is checked


def test_check_tells_inputs_outputs_and_size(tmp_path: Path) -> None:
    content = copying(("N", 3, 2, 2))
    report = check(saved(tmp_path, content), tmp_path, document(), MEMORY)
    assert report == {
        "inputs": [{"name": "data", "type": "float32", "shape": ["N", 3, 2, 2]}],
        "outputs": [{"name": "out", "type": "float32", "shape": ["N", 3, 2, 2]}],
        "opset": 17,
        "bytes": len(content),
        "warnings": [],
    }


@pytest.mark.parametrize(
    ("preprocessing", "field", "message"),
    [
        pytest.param(document("images"), "preprocessing", "'images' is no input of the model", id="name"),
        pytest.param(document(target_size="4x2"), "preprocessing", "wrong on axis 3", id="size"),
        pytest.param(document(color_channels="L"), "preprocessing", "wrong on axis 1", id="channels"),
        pytest.param(document(data_type="UINT8"), "preprocessing", "is uint8", id="type"),
        pytest.param(
            {"inputs": [*document()["inputs"], *document("more")["inputs"]]},
            *("preprocessing", "'more' is no input"),
            id="one too many",
        ),
        pytest.param(
            document(mean_file="mean.npy"),
            *("preprocessing.inputs[0].image.mean_file", "cannot read"),
            id="file that was not sent",
        ),
    ],
)
def test_check_preprocessing_that_does_not_fit_names_it(
    preprocessing: Any, field: str, message: str, tmp_path: Path
) -> None:
    refused(tmp_path, copying(("N", 3, 2, 2)), preprocessing, field, message)


def test_check_mean_file_that_is_broken_names_it(tmp_path: Path) -> None:
    (tmp_path / "mean.npy").write_bytes(b"no array")
    message = "cannot read 'mean.npy' as an .npy array"
    mean = document(mean_file="mean.npy")
    refused(tmp_path, copying(("N", 3, 2, 2)), mean, "preprocessing.inputs[0].image.mean_file", message)


def test_check_report_that_is_too_long_is_refused(tmp_path: Path) -> None:
    name = "n" * (1 << 20)
    model = passthrough({"data": ("N", 3, 2, 2)}, {name: "data"})
    refused(tmp_path, model, document(), "model", "take more than 1,048,576 bytes")


def test_check_runs_a_network_without_a_batch_axis(tmp_path: Path) -> None:
    report = check(
        saved(tmp_path, copying((3, 2, 2))), tmp_path, {**document(), "batched_input": False}, MEMORY
    )
    assert report["inputs"] == [{"name": "data", "type": "float32", "shape": [3, 2, 2]}]
    refused(tmp_path, copying((3, 2, 2)), document(), "preprocessing", '"batched_input": false')
    wrong = {**document(), "batched_input": False}
    refused(tmp_path, copying(("N", 3, 2, 2)), wrong, "preprocessing", "leave batched_input out")


def test_check_input_without_preprocessing_is_named(tmp_path: Path) -> None:
    model = passthrough({"data": ("N", 3, 2, 2), "im_info": ("N", 3)}, {"out": "data"})
    refused(tmp_path, model, document(), "preprocessing", "'im_info' missing")


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def unchecked(nodes: Sequence[Any], domain: str = "") -> bytes:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("data", 1, ["N", 3, 2, 2])],
        [helper.make_tensor_value_info("out", 1, ["N", 3, 2, 2])],
    )
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "it is no ONNX file|checker refuses", id="empty"),
        pytest.param(b"not a model", "it is no ONNX file", id="text"),
        pytest.param(LFS, "expected an ONNX network; the file is a Git LFS pointer.*git lfs pull", id="LFS"),
        pytest.param(gzip.compress(copying()), "the file is compressed with gzip", id="gzip"),
        pytest.param(copying()[:-40], "it is no ONNX file", id="cut short"),
        pytest.param(
            unchecked([helper.make_node("Nonsense", ["data"], ["out"])]),
            "checker refuses it.*Nonsense",
            id="operator",
        ),
        pytest.param(
            unchecked([helper.make_node("Own", ["data"], ["out"], domain="my.ops")], "my.ops"),
            "ONNX Runtime cannot open 'model.onnx'.*my.ops",
            id="operator of its own",
        ),
        pytest.param(
            network(
                [helper.make_node("Reshape", ["data", "shape"], ["out"])],
                {"data": (np.float32, ("N", 3, 2, 2))},
                {"out": (np.float32, ("K",))},
                {"shape": np.array([7], np.int64)},
            ),
            "it fails on a blank image",
            id="run",
        ),
    ],
)
def test_check_network_that_cannot_run_says_why(content: bytes, message: str, tmp_path: Path) -> None:
    refused(tmp_path, content, document(), "model", message)


def test_check_shapes_that_inference_disputes_are_a_warning(tmp_path: Path) -> None:
    proto = onnx.load_from_string(copying(("N", 3, 2, 2)))
    proto.graph.output[0].type.tensor_type.shape.dim[3].dim_value = 5
    report = check(saved(tmp_path, proto.SerializeToString()), tmp_path, document(), MEMORY)
    assert len(report["warnings"]) == 1
    assert "shape inference" in report["warnings"][0]


# --- weights in other files


def external(location: str) -> bytes:
    """Build a network that adds weights of another file."""
    weights = numpy_helper.from_array(np.ones((3, 2, 2), np.float32), "weights")
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "48")):
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    proto = onnx.load_from_string(unchecked([helper.make_node("Add", ["data", "weights"], ["out"])]))
    proto.graph.initializer.append(weights)
    return bytes(proto.SerializeToString())


def test_check_counts_weights_that_were_sent_along(tmp_path: Path) -> None:
    content = external("weights.bin")
    (tmp_path / "weights.bin").write_bytes(np.ones(12, np.float32).tobytes())
    report = check(saved(tmp_path, content), tmp_path, document(), MEMORY)
    assert report["bytes"] == len(content) + 48


@pytest.mark.parametrize(
    ("location", "message"),
    [
        pytest.param("weights.bin", "was not sent along", id="missing"),
        pytest.param("folder", "was not sent along", id="folder"),
        pytest.param("", "outside the network's files", id="nothing"),
        pytest.param("../secret.bin", "outside", id="above"),
        pytest.param("folder/../../secret.bin", "outside", id="above, hidden"),
        pytest.param("..\\secret.bin", "outside", id="above, on Windows"),
        pytest.param("/etc/passwd", "outside", id="absolute"),
        pytest.param("C:\\secret.bin", "outside", id="drive"),
        pytest.param("link.bin", "outside", id="link"),
        pytest.param("inner.bin", "was not sent along", id="link inside"),
    ],
)
def test_check_weights_elsewhere_are_refused(location: str, message: str, tmp_path: Path) -> None:
    folder = tmp_path / "network"
    (folder / "folder").mkdir(parents=True)
    (tmp_path / "secret.bin").write_bytes(bytes(48))
    (folder / "plain.bin").write_bytes(bytes(48))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "inner.bin").symlink_to(folder / "plain.bin")
    refused(folder, external(location), document(), "model", message)


def test_check_finds_weights_of_nested_graphs(tmp_path: Path) -> None:
    inner = onnx.load_from_string(external("../secret.bin")).graph
    constant = helper.make_node("Constant", [], ["hidden"], value=inner.initializer[0])
    branch = helper.make_graph([constant], "branch", [], [helper.make_tensor_value_info("hidden", 1, None)])
    condition = helper.make_node("If", ["flag"], ["out"], then_branch=branch, else_branch=branch)
    refused(
        tmp_path, unchecked([condition]), document(), "model", "'weights' lie in '../secret.bin', outside"
    )


# --- the process


def load(name: str) -> Preprocessing:
    return Preprocessing.load(preprocessing_path(name))


def checked(
    model: Path, preprocessing: Preprocessing, *, timeout: float = 60, memory: int = 1 << 30, **options: Any
) -> ModelReport:
    return check_model(model, preprocessing, model.parent, timeout=timeout, memory=memory, **options)


def test_check_model_in_a_process_reports_a_good_network() -> None:
    report = checked(model_path("classifier"), load("classifier"))
    assert report.inputs == (TensorReport("image", "float32", ("batch", 1, 32, 32)),)
    assert report.outputs == (TensorReport("logits", "float32", ("batch", 10)),)
    assert (report.opset, report.bytes) == (17, model_path("classifier").stat().st_size)


def test_check_model_in_a_process_reports_a_bad_one() -> None:
    with pytest.raises(InputError, match=r"^preprocessing: .*wrong on axis 2") as raised:
        checked(model_path("yolo"), load("classifier"))
    assert (raised.value.status, raised.value.field) == (400, "preprocessing")


def test_check_model_that_never_ends_is_killed(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(InputError, match=r"its check took longer than 4 s"):
        checked(saved(tmp_path, endless()), Preprocessing.load(document()), timeout=4)
    assert time.monotonic() - started < 8


def filling(count: int) -> bytes:
    """Build a network with an intermediate of so many numbers, and a result of one."""
    return network(
        [
            helper.make_node("ConstantOfShape", ["count"], ["zeros"]),
            helper.make_node("ReduceMax", ["zeros"], ["largest"], keepdims=0),
            helper.make_node("Mul", ["largest", "data"], ["out"]),
        ],
        {"data": (np.float32, ("N", 3, 2, 2))},
        {"out": (np.float32, ("N", 3, 2, 2))},
        {"count": np.array([count], np.int64)},
    )


@pytest.mark.skipif(sys.platform != "linux", reason="no limit of memory")
def test_check_model_that_takes_more_memory_than_a_network_may_is_refused(tmp_path: Path) -> None:
    preprocessing = Preprocessing.load(document())
    memory = 512 << 20
    assert checked(saved(tmp_path, filling(memory // 32)), preprocessing, memory=memory).opset == 17
    too_much = r"^model: it takes too much memory: more than 512 MiB to load and run, .*--session-memory"
    with pytest.raises(InputError, match=too_much):
        checked(saved(tmp_path, filling(memory // 2)), preprocessing, memory=memory)


@pytest.mark.skipif(sys.platform != "linux", reason="no limit of memory")
def test_check_model_whose_file_is_too_large_for_the_memory_is_not_called_broken(tmp_path: Path) -> None:
    model = saved(tmp_path, copying())
    os.truncate(model, 400 << 20)
    with pytest.raises(InputError, match=r"^model: it takes too much memory"):
        checked(model, Preprocessing.load(document()), memory=1)


def test_check_model_that_is_stopped_ends(tmp_path: Path) -> None:
    stop = threading.Event()
    timer = threading.Timer(1.0, stop.set)
    timer.start()
    started = time.monotonic()
    with pytest.raises(InputError):
        checked(saved(tmp_path, endless()), Preprocessing.load(document()), stop=stop)
    assert time.monotonic() - started < 30


def test_check_model_that_crashes_is_an_input_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(model_check, "_CHILD", "tests.crashing")
    with pytest.raises(InputError, match=r"crashed on it, or it took too much memory \(signal SIGKILL\)"):
        checked(model_path("yolo"), load("yolo"))
    assert "ended by signal SIGKILL" in caplog.text
