"""OnnxNetwork: the tensors of a network, joined over its runs."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from postproc.errors import RunnerError
from postproc.onnx_runner import OnnxRunner
from postproc.onnx_runner.network import OnnxNetwork
from postproc.onnx_runner.session import CPU
from tests.models import Shape, copying, network, numbered, passthrough
from tests.stand_ins import Info, RecordingPost, RecordingSession, marks

TWO_OUTPUTS = passthrough({"data": ("N", 2), "sizes": ("N", 3)}, {"a": "data", "b": "sizes"})


def opened(model: object, **options: bool) -> OnnxNetwork:
    return OnnxNetwork(model, [CPU], **options)


def counting(batch: int | str) -> bytes:
    """Build a network of a row for each number that is not zero."""
    nodes = [
        helper.make_node("NonZero", ["data"], ["places"]),
        helper.make_node("Transpose", ["places"], ["rows"]),
        helper.make_node("Cast", ["rows"], ["found"], to=1),
    ]
    return network(nodes, {"data": (np.float32, (batch, 2))}, {"found": (np.float32, ("K", 2))})


def with_constant(batch: int | str, rows: int | str) -> bytes:
    """Build a network with an output of 5 rows, declared as `rows`, beside one a row an image."""
    nodes = [
        helper.make_node("Identity", ["data"], ["out"]),
        helper.make_node("Identity", ["table"], ["fixed"]),
    ]
    shapes = {"out": (np.float32, (batch, 2)), "fixed": (np.float32, (rows, 1))}
    table = np.arange(5, dtype=np.float32).reshape(5, 1)
    return network(nodes, {"data": (np.float32, (batch, 2))}, shapes, {"table": table})


def test_network_returns_all_outputs_by_default() -> None:
    feed = {"data": numbered(3, 2), "sizes": numbered(3, 3)}
    tensors = opened(TWO_OUTPUTS)(feed)
    assert list(tensors) == ["a", "b"]
    np.testing.assert_array_equal(tensors["a"], feed["data"])
    np.testing.assert_array_equal(tensors["b"], feed["sizes"])


def test_network_asked_for_names_computes_those_alone() -> None:
    session = RecordingSession(
        [Info("data", "tensor(float)", ("N", 2))],
        [Info("a", "tensor(float)", ("N", 2)), Info("b:0", "tensor(float)", ("N", 2))],
        [CPU],
    )
    tensors = OnnxNetwork(session)(numbered(2, 2), ["b", "data"])
    assert list(tensors) == ["b", "data"]
    assert session.calls == [("run", ("b:0",), ("data",))]


def test_network_unknown_name_names_the_closest() -> None:
    with pytest.raises(RunnerError, match=r"the caller needs the tensor 'aa'.*closest match"):
        opened(TWO_OUTPUTS)({"data": numbered(1, 2), "sizes": numbered(1, 3)}, ["aa"])


@pytest.mark.parametrize("images", [1, 3, 4, 7])
def test_network_fixed_batch_axis_joins_runs_and_drops_the_padding(images: int) -> None:
    tensors = opened(copying((3, 2)))(numbered(images, 2))
    np.testing.assert_array_equal(tensors["out"], numbered(images, 2))


@pytest.mark.parametrize("images", [1, 2, 5])
def test_network_output_of_another_fixed_length_is_shared_by_the_runs(images: int) -> None:
    tensors = opened(with_constant(2, 5))(numbered(images, 2))
    assert tensors["out"].shape == (images, 2)
    assert tensors["fixed"].ravel().tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("images", [1, 3])
def test_network_output_whose_rows_are_not_the_images_cannot_be_joined(images: int) -> None:
    with pytest.raises(RunnerError, match=r"takes 2 images a run, and its output 'found' .* not with 2 rows"):
        opened(counting(2))(numbered(images, 2))


@pytest.mark.parametrize("images", [2, 3])
def test_network_of_one_run_returns_outputs_as_they_are(images: int) -> None:
    assert opened(counting("N"))(numbered(images, 2))["found"].shape == (2 * images, 2)


def test_network_without_images_returns_no_rows() -> None:
    tensors = opened(with_constant("N", 5))(numbered(0, 2))
    assert tensors["out"].shape == (0, 2)
    assert tensors["fixed"].shape == (5, 1)


def test_network_without_batch_axis_takes_one_image() -> None:
    model = opened(copying(("N", 2)), batched=False)
    assert model(numbered(1, 2))["out"].shape == (1, 2)
    with pytest.raises(RunnerError, match=r"no batch axis to join those of 2 images on"):
        model(numbered(2, 2))


@pytest.mark.parametrize(
    ("inputs", "output", "expected"),
    [
        pytest.param("N", "N", True, id="the same symbol"),
        pytest.param(4, 4, True, id="the same length"),
        pytest.param("N", "K", False, id="another symbol"),
        pytest.param("N", 5, False, id="a length"),
        pytest.param(None, None, False, id="unknown"),
    ],
)
def test_network_tells_which_outputs_have_a_row_an_image(
    inputs: int | str | None, output: int | str | None, expected: bool
) -> None:
    shapes: tuple[Shape, Shape] = (inputs, 2), (output, 2)
    session = RecordingSession(
        [Info("data", "tensor(float)", shapes[0])], [Info("out", "tensor(float)", shapes[1])], [CPU]
    )
    assert OnnxNetwork(session).is_per_image("out") is expected
    assert OnnxNetwork(session).is_per_image("data") is False


def test_runners_share_an_open_network() -> None:
    model = opened(passthrough({"data": ("N", 1)}, {"a": "data", "b": "data"}))
    first, second = (OnnxRunner(model, RecordingPost(name)) for name in ("a", "b"))
    assert first.network is second.network is model
    assert first.session is model.session
    assert marks(first(numbered(2, 1))) == marks(second(numbered(2, 1))) == [1, 2]
    with pytest.raises(RunnerError, match="belong to a model to be opened"):
        OnnxRunner(model, RecordingPost("a"), [CPU])
