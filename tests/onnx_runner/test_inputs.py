"""What OnnxRunner makes of its caller's inputs: names, data types, shapes, memory layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from postproc.errors import RunnerError
from postproc.onnx_runner.inputs import NetworkInputs
from tests.models import copying, network, numbered, with_sizes
from tests.stand_ins import Info, RecordingPost, marks, runner

IMAGE = numbered(1, 3, 2, 2)


@pytest.mark.parametrize("name", ["data", "data:0"])
def test_input_names_match_with_and_without_suffix(name: str) -> None:
    assert marks(runner(copying(), RecordingPost("out"))({name: IMAGE})) == [1]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        pytest.param(
            {"dta": IMAGE},
            "inputs: 'dta' is no input of the model (closest match: 'data'); "
            "the model takes 'data' float32 [N, 3, 2, W]",
            id="unknown",
        ),
        pytest.param(
            {"data": IMAGE, "mask": IMAGE},
            "inputs: 'mask' is no input of the model (closest match: 'data'); "
            "the model takes 'data' float32 [N, 3, 2, W]",
            id="one too many",
        ),
        pytest.param(
            {"data": IMAGE, "data:0": IMAGE},
            "inputs: 'data' is given twice, with ':0' at its end and without",
            id="twice",
        ),
        pytest.param({}, "inputs: 'data' missing; the model takes 'data' float32 [N, 3, 2, W]", id="none"),
        pytest.param(
            IMAGE[0],
            "input 'data' has 3 axes, shape (3, 2, 2); the model takes 'data' float32 [N, 3, 2, W]",
            id="rank",
        ),
        pytest.param(
            IMAGE.astype(np.float64),
            "input 'data' is float64; the model takes 'data' float32 [N, 3, 2, W]: "
            "convert it with .astype(np.float32)",
            id="float64",
        ),
        pytest.param(
            [[[[1, 2], [3, 4]]] * 3],
            "input 'data' is int64; the model takes 'data' float32 [N, 3, 2, W]: "
            "convert it with .astype(np.float32)",
            id="list of integers",
        ),
        pytest.param(
            numbered(1, 2, 2, 3),
            "input 'data' has shape (1, 2, 2, 3), wrong on axis 1; "
            "the model takes 'data' float32 [N, 3, 2, W]",
            id="channels last",
        ),
    ],
)
def test_input_that_does_not_fit_raises_runner_error(inputs: Any, message: str) -> None:
    with pytest.raises(RunnerError) as raised:
        runner(copying(("N", 3, 2, "W")), RecordingPost("out"))(inputs)
    assert str(raised.value) == message


def test_input_that_is_no_array_raises_runner_error() -> None:
    with pytest.raises(RunnerError, match=r"inputs: tensor 'data' .*cannot be read as an array"):
        runner(copying(), RecordingPost("out"))({"data": [[1.0], [2.0, 3.0]]})


def test_input_without_name_for_a_model_of_two_raises_runner_error() -> None:
    made = runner(with_sizes(("N", 3, 2, 2), ("N", 3)), RecordingPost("out"))
    with pytest.raises(
        RunnerError, match=r"needs a model of one input; .*'data' .*'im_info' float32 \[N, 3\]"
    ):
        made(IMAGE)


def test_input_of_unknown_rank_is_left_to_onnx_runtime() -> None:
    data = helper.make_tensor_value_info("data", onnx.TensorProto.FLOAT, None)
    output = helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node("Identity", ["data"], ["out"])], "test", [data], [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    made = runner(model, RecordingPost("out"))
    assert marks(made(numbered(3, 5))) == [1, 2, 3]
    with pytest.raises(RunnerError, match="'data' is one number, without a batch axis"):
        made(np.float32(1))


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(numbered(2, 3, 2, 2).astype(">f4"), id="other byte order"),
        pytest.param(np.asfortranarray(numbered(2, 3, 2, 2)), id="Fortran order"),
        pytest.param(numbered(2, 3, 2, 4)[..., ::2], id="strided"),
        pytest.param(np.frombuffer(numbered(2, 3, 2, 2), np.float32).reshape(2, 3, 2, 2), id="read-only"),
        pytest.param(list(numbered(2, 3, 2, 2)), id="list of arrays"),
    ],
)
def test_input_in_another_memory_layout_gives_the_same(array: Any) -> None:
    post = RecordingPost("out")
    runner(copying(), post)(array)
    np.testing.assert_array_equal(post.tensors[0]["out"], numbered(2, 3, 2, 2))


def test_run_that_fails_raises_runner_error_with_cause() -> None:
    reshape = helper.make_node("Reshape", ["data", "shape"], ["out"])
    model = network(
        [reshape],
        {"data": (np.float32, ["N", None])},
        {"out": (np.float32, ["N", 2])},
        {"shape": np.array([-1, 2], np.int64)},
    )
    with pytest.raises(
        RunnerError, match=r"failed on the inputs 'data' float32 \(1, 3\): .*Reshape"
    ) as raised:
        runner(model, RecordingPost("out"))(np.zeros((1, 3), np.float32))
    assert raised.value.__cause__ is not None


def test_whole_numbers_become_integers_for_inputs_of_integers_only() -> None:
    infos = [Info("data", "tensor(float16)", ["N", 2]), Info("sizes", "tensor(int64)", ["N", 2])]
    inputs = NetworkInputs(infos, batched=True)
    whole, broken = np.array([[4, 6]], np.float32), np.array([[4, 6.5]], np.float32)
    given = inputs.as_integers({"data": whole, "sizes": whole, "other": whole})
    assert {name: array.dtype.name for name, array in given.items()} == {
        "data": "float32",
        "sizes": "int64",
        "other": "float32",
    }
    np.testing.assert_array_equal(given["sizes"], [[4, 6]])
    assert inputs.as_integers({"sizes": broken})["sizes"] is broken
