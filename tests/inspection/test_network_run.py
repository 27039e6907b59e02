"""One run of a network, in a process of its own."""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from postproc import isolation
from postproc.inspection import network_run
from postproc.inspection.faults import faults_of
from postproc.inspection.graph_file import read_graph
from postproc.inspection.network_run import NetworkRun, run_network
from tests.models import copying, endless, network, passthrough

FREE = ("N", 3, "H", "W")


def ran(folder: Path, content: bytes, size: tuple[int, int] | None = None, timeout: float = 60) -> NetworkRun:
    path = folder / "net.onnx"
    path.write_bytes(content)
    return run_network(path, read_graph(path, size), timeout)


def unchecked(nodes: Sequence[Any], *outputs: Any, opset: int = 17, ir_version: int = 8) -> onnx.ModelProto:
    """Build a network of one image that onnx's checker may refuse."""
    image = helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, 8, 8])
    graph = helper.make_graph(nodes, "test", [image], outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def output(name: str, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, None)


@pytest.fixture
def own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run networks as users do: in a process of its own, with limits."""
    monkeypatch.setattr(network_run, "ask", isolation.ask)


# --- what comes out


@pytest.mark.parametrize(
    ("shape", "dtype", "size", "expected"),
    [
        pytest.param((1, 3, 32, 48), np.float32, (32, 48), (1, 3, 32, 48), id="fixed"),
        pytest.param(FREE, np.float32, (640, 640), (1, 3, 640, 640), id="free"),
        pytest.param((1, 3, 480, "W"), np.float16, (480, 640), (1, 3, 480, 640), id="free in part"),
        pytest.param((3, "H", "W"), np.float32, (640, 640), (3, 640, 640), id="no batch axis"),
        pytest.param((4, 32, 48, 3), np.uint8, (32, 48), (4, 32, 48, 3), id="four images of bytes"),
    ],
)
def test_run_network_gives_its_outputs_and_the_size_of_the_image(
    shape: Any, dtype: Any, size: tuple[int, int], expected: tuple[int, ...], tmp_path: Path
) -> None:
    run = ran(tmp_path, copying(shape, dtype=dtype))
    assert (run.fault, run.input_size) == ("", size)
    image = run.outputs["out"]
    assert (image.dtype, image.shape) == (dtype, expected)
    assert image.std(dtype=np.float64) > 0.1


@pytest.mark.usefixtures("own_process")
def test_run_network_keeps_names_types_and_values_of_outputs(tmp_path: Path) -> None:
    answers = {
        "../boxes/0:0": np.arange(8, dtype=np.float32).reshape(1, 2, 4),
        "arr_0": np.array([[3, 1]], np.int64),
        "file": np.array([True, False]),
        "none": np.zeros((0, 6), np.float32),
    }
    nodes = [helper.make_node("Identity", [f"{name} value"], [name]) for name in answers]
    content = network(
        nodes,
        {"data": (np.float32, (1, 3, 8, 8))},
        {name: (array.dtype, array.shape) for name, array in answers.items()},
        {f"{name} value": array for name, array in answers.items()},
    )
    run = ran(tmp_path, content)
    assert list(run.outputs) == list(answers)
    for name, array in answers.items():
        assert run.outputs[name].dtype == array.dtype
        np.testing.assert_array_equal(run.outputs[name], array)


def test_run_network_feeds_inputs_beside_the_image(tmp_path: Path) -> None:
    sizes = {"data": FREE, "im_shape": ("N", 2), "scale_factor": ("N", 2), "score_threshold": ()}
    run = ran(tmp_path, passthrough(sizes, {f"{name}.out": name for name in sizes}), (48, 64))
    np.testing.assert_array_equal(run.outputs["im_shape.out"], [[48, 64]])
    np.testing.assert_array_equal(run.outputs["scale_factor.out"], [[1, 1]])
    np.testing.assert_array_equal(run.outputs["score_threshold.out"], 0)


def only_at(side: int) -> bytes:
    return network(
        [helper.make_node("Reshape", ["data", "shape"], ["out"])],
        {"data": (np.float32, FREE)},
        {"out": (np.float32, ("N", "K"))},
        {"shape": np.array([1, 3 * side * side], np.int64)},
    )


def test_run_network_of_assumed_size_takes_the_usual_one_that_runs(tmp_path: Path) -> None:
    run = ran(tmp_path, only_at(416))
    assert (run.fault, run.input_size) == ("", (416, 416))
    assert run.outputs["out"].shape == (1, 3 * 416 * 416)


def test_run_network_that_takes_no_usual_size_says_how_to_give_it(tmp_path: Path) -> None:
    run = ran(tmp_path, only_at(333))
    assert run.fault.startswith("ONNX Runtime failed on the inputs 'data' float32 (1, 3, 640, 640): ")
    assert run.fault.endswith("usual sizes that were tried: give its own with --size")
    assert (run.outputs, run.input_size) == ({}, None)
    assert ran(tmp_path, only_at(333), (333, 333)).input_size == (333, 333)


def test_run_network_of_given_size_tries_no_other(tmp_path: Path) -> None:
    run = ran(tmp_path, only_at(416), (320, 320))
    assert run.fault.startswith("ONNX Runtime failed on the inputs 'data' float32 (1, 3, 320, 320): ")
    assert "--size" not in run.fault


@pytest.mark.usefixtures("own_process")
def test_run_network_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    assert ran(tmp_path, copying((1, 3, 8, 8))).outputs
    assert "longer" in ran(tmp_path, copying((1, 3, 8, 8)), timeout=0.01).fault
    assert not list((tmp_path / "temporary").iterdir())


# --- why it did not run


def test_run_network_input_that_nobody_knows_is_a_fault(tmp_path: Path) -> None:
    run = ran(tmp_path, passthrough({"data": FREE, "prompt": (1, 4)}, {"out": "data"}))
    assert run.fault == "it is unknown what its input prompt float32 (1, 4) takes"


IDENTITY = [helper.make_node("Identity", ["data"], ["out"])]


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        pytest.param(
            unchecked(IDENTITY, output("out"), ir_version=99),
            "Unsupported model IR version: 99.*What to do: install a newer ONNX Runtime, or export",
            id="IR version",
        ),
        pytest.param(
            unchecked(IDENTITY, output("out"), opset=60),
            "Opset 60 is under development.*What to do: install a newer ONNX Runtime, or export",
            id="opset",
        ),
        pytest.param(
            unchecked([helper.make_node("BatchedNMS_TRT", ["data"], ["out"])], output("out")),
            "BatchedNMS_TRT.*What to do: export the network without this operator",
            id="operator of TensorRT",
        ),
        pytest.param(
            unchecked([helper.make_node("Softmax", ["data"], ["out"], axis=7)], output("out")),
            "ONNX Runtime cannot open .*axis",
            id="attribute",
        ),
    ],
)
def test_run_network_that_onnx_runtime_does_not_take_says_what_a_run_would(
    model: onnx.ModelProto, fault: str, tmp_path: Path
) -> None:
    run = ran(tmp_path, model.SerializeToString())
    assert run.fault.startswith("ONNX Runtime cannot open '")
    assert "\n" not in run.fault
    assert re.search(fault, run.fault)


def test_run_network_without_onnx_runtime_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert ran(tmp_path, copying()).fault.startswith("ONNX Runtime is not installed: pip install ")


def test_run_network_in_a_frozen_program_starts_no_second_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert ran(tmp_path, copying((1, 3, 8, 8))).fault.startswith("a program that PyInstaller made cannot ")


def external(*locations: str) -> bytes:
    """Build a network whose weights lie in other files."""
    model = unchecked(
        [helper.make_node("Sum", ["data", *(f"weights {name}" for name in locations)], ["out"])],
        output("out"),
    )
    for location in locations:
        weights = numpy_helper.from_array(np.ones((3, 8, 8), np.float32), f"weights {location}")
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        entry = weights.external_data.add()
        entry.key, entry.value = "location", location
        model.graph.initializer.append(weights)
    return bytes(model.SerializeToString())


def test_run_network_reads_weights_beside_it(tmp_path: Path) -> None:
    (tmp_path / "net.data").write_bytes(np.ones((3, 8, 8), np.float32).tobytes())
    run = ran(tmp_path, external("net.data"))
    assert run.fault == ""
    assert run.outputs["out"].min() >= 1


def test_run_network_may_take_more_memory_where_its_weights_are_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = []

    def answer(module: str, order: dict[str, Any], timeout: float) -> dict[str, str]:
        orders.append(order)
        return {"fault": "not run"}

    monkeypatch.setattr(network_run, "ask", answer)
    content = external("net.data")
    (tmp_path / "net.data").write_bytes(bytes(768))
    assert ran(tmp_path, content).fault == "not run"
    assert orders[0]["bytes"] == len(content) + 768


@pytest.mark.parametrize(
    ("names", "listed"),
    [
        pytest.param(["net.data"], "net.data'; ", id="one"),
        pytest.param(["a", "b", "c", "d", "e"], "/c' and 2 more; ", id="several"),
    ],
)
def test_weights_that_are_missing_are_told_without_a_run(
    names: list[str], listed: str, tmp_path: Path
) -> None:
    run = ran(tmp_path, external(*names))
    assert run.fault.startswith(f"files of its weights are missing: '{tmp_path / names[0]}'")
    assert listed in run.fault
    assert faults_of(read_graph(tmp_path / "net.onnx")) == [run.fault]


def test_weights_that_are_a_pointer_are_told_without_a_run(tmp_path: Path) -> None:
    (tmp_path / "net.data").write_bytes(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n"
    )
    run = ran(tmp_path, external("net.data"))
    assert "net.data', which is a Git LFS pointer" in run.fault
    assert faults_of(read_graph(tmp_path / "net.onnx")) == [run.fault]


SEQUENCE = helper.make_value_info(
    "sequence", helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
)


@pytest.mark.parametrize(
    ("node", "info", "fault"),
    [
        pytest.param(
            helper.make_node("SequenceConstruct", ["data"], ["sequence"]),
            SEQUENCE,
            r"its output sequence is seq\(tensor\(float\)\), .*: ConcatFromSequence",
            id="sequence",
        ),
        pytest.param(
            helper.make_node("Cast", ["data"], ["text"], to=TensorProto.STRING),
            output("text", TensorProto.STRING),
            r"its output text is tensor\(string\), .*it holds texts",
            id="string",
        ),
        pytest.param(
            helper.make_node("Cast", ["data"], ["brain"], to=TensorProto.BFLOAT16),
            output("brain", TensorProto.BFLOAT16),
            r"its output brain is tensor\(bfloat16\), .*end the network with a Cast to float",
            id="bfloat16",
        ),
    ],
)
def test_output_that_is_no_array_is_told_and_the_others_run(
    node: Any, info: Any, fault: str, tmp_path: Path
) -> None:
    run = ran(tmp_path, unchecked([*IDENTITY, node], info, output("out")).SerializeToString())
    assert (run.fault, list(run.outputs)) == ("", ["out"])
    faults = faults_of(read_graph(tmp_path / "net.onnx"))
    assert len(faults) == 1
    assert ran(tmp_path, unchecked([node], info).SerializeToString()).fault == faults[0]
    assert re.search(fault, faults[0])


def test_output_whose_type_is_open_is_no_fault(tmp_path: Path) -> None:
    run = ran(tmp_path, unchecked(IDENTITY, onnx.ValueInfoProto(name="out")).SerializeToString())
    assert (run.fault, list(run.outputs)) == ("", ["out"])
    assert faults_of(read_graph(tmp_path / "net.onnx")) == []


@pytest.mark.usefixtures("own_process")
def test_run_network_that_never_ends_is_killed(tmp_path: Path) -> None:
    started = time.monotonic()
    run = ran(tmp_path, endless(), (2, 2), timeout=4)
    assert run.fault == "it took longer than 4 s; raise it with --run-seconds or leave it out with --no-run"
    assert time.monotonic() - started < 12


def filled(count: int, dtype: Any) -> bytes:
    """Build a network whose output has many elements."""
    return network(
        [
            helper.make_node(
                "ConstantOfShape", ["count"], ["out"], value=numpy_helper.from_array(np.ones(1, dtype))
            )
        ],
        {"data": (np.float32, (1, 3, 8, 8))},
        {"out": (dtype, ("K",))},
        {"count": np.array([count], np.int64)},
    )


@pytest.mark.usefixtures("own_process")
def test_run_network_that_takes_too_much_memory_is_a_fault(tmp_path: Path) -> None:
    run = ran(tmp_path, filled(4 << 30, np.float64))
    assert run.fault == "it takes more than the 8.0 GiB of memory that a run is given"


def test_run_network_of_too_large_outputs_is_a_fault(tmp_path: Path) -> None:
    run = ran(tmp_path, filled(300_000_000, np.uint8))
    assert run.fault == "its outputs take 300,000,000 bytes, and at most 268,435,456 are looked at"


@pytest.mark.usefixtures("own_process")
def test_run_network_that_crashes_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_run, "_CHILD", "tests.crashing")
    run = ran(tmp_path, copying())
    assert run.fault == "ONNX Runtime crashed on it, or it took too much memory (signal SIGKILL)"
