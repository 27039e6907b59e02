"""Preprocessing in the graph: the tensors of the host, bit for bit, at every level of optimisation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from postproc.errors import RunnerError
from postproc.images import Preprocessor
from postproc.images.in_graph import with_image_inputs
from tests.models import passthrough

HEIGHT, WIDTH = 5, 7
AXES = {"C": 3, "H": HEIGHT, "W": WIDTH}
TYPES = {"FLOAT32": np.float32, "FLOAT16": np.float16, "UINT8": np.uint8}
LEVELS = [
    onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
]


def network(order: str, channels: int, dtype: Any) -> onnx.ModelProto:
    sizes = {**AXES, "C": channels, "N": "batch"}
    shape = [sizes[letter] for letter in order]
    return onnx.load_from_string(passthrough({"data": shape}, {"out": "data"}, dtype))


def document(**image: Any) -> dict[str, Any]:
    return {"inputs": [{"tensor_name": "data", "image": {"target_size": f"{WIDTH}x{HEIGHT}", **image}}]}


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize(
    "image",
    [
        pytest.param({}, id="as they are"),
        pytest.param({"pixel_scaling": 1.0, "dimension_order": "NHWC"}, id="scaled"),
        pytest.param(
            {"color_channels": "BGR", "dimension_order": "NCWH", "mean": [103.9, 116.8, 123.7]}, id="mean"
        ),
        pytest.param(
            {"pixel_scaling": 1.0, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}, id="std"
        ),
        pytest.param({"pixel_scaling": 2.0, "data_type": "FLOAT16", "dimension_order": "NWHC"}, id="half"),
        pytest.param({"data_type": "UINT8", "color_channels": "BGR"}, id="bytes"),
        pytest.param({"data_type": "UINT8", "pixel_scaling": 100.0}, id="bytes that are scaled"),
        pytest.param({"color_channels": "L", "mean": [3.5]}, id="grey"),
        pytest.param({"mean_file": "mean.npy"}, id="mean of each pixel"),
    ],
)
def test_image_in_the_graph_becomes_the_tensor_of_the_preprocessor(
    image: dict[str, Any], level: Any, tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    np.save(tmp_path / "mean.npy", rng.uniform(0, 200, (3, HEIGHT, WIDTH)).astype(np.float32))
    preprocessor = Preprocessor(document(**image), tmp_path)
    channels = 1 if image.get("color_channels") == "L" else 3
    pixels = rng.integers(0, 256, (2, HEIGHT, WIDTH, channels), np.uint8)
    dtype = TYPES[image.get("data_type", "FLOAT32")]
    model = with_image_inputs(network(image.get("dimension_order", "NCHW"), channels, dtype), preprocessor)
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (taken,) = session.get_inputs()
    assert (taken.name, taken.shape) == ("data_uint8", ["batch", HEIGHT, WIDTH, channels])
    (found,) = session.run(None, {"data_uint8": pixels})
    expected = preprocessor(
        [np.repeat(one, 4 - channels, axis=-1) if channels == 1 else one for one in pixels]
    )
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, expected.tensors["data"])


def test_image_without_a_batch_axis_goes_without_it() -> None:
    model = onnx.load_from_string(passthrough({"data": (3, HEIGHT, WIDTH)}, {"out": "data"}))
    preprocessor = Preprocessor({**document(pixel_scaling=1.0), "batched_input": False})
    session = onnxruntime.InferenceSession(
        with_image_inputs(model, preprocessor).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    pixels = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    (found,) = session.run(None, {"data_uint8": pixels})
    np.testing.assert_array_equal(found, preprocessor([pixels]).tensors["data"][0])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        pytest.param(
            {"dimension_order": "NHWC"},
            r"FLOAT \['batch', 3, 5, 7\].*\[batch, 5, 7, 3\]",
            id="order",
        ),
        pytest.param({"color_channels": "L"}, r"\[batch, 1, 5, 7\] of an image", id="channels"),
        pytest.param({"target_size": "7x4"}, r"\[batch, 3, 4, 7\].*correct target_size", id="size"),
        pytest.param({"data_type": "UINT8"}, "is FLOAT .* makes UINT8", id="type"),
    ],
)
def test_document_that_does_not_fit_the_network_is_refused(image: dict[str, Any], message: str) -> None:
    with pytest.raises(RunnerError, match=message):
        with_image_inputs(network("NCHW", 3, np.float32), Preprocessor(document(**image)))


def test_document_of_another_input_is_refused() -> None:
    other = {"inputs": [{"tensor_name": "images", "image": {"target_size": "7x5"}}]}
    with pytest.raises(RunnerError, match=r"the network has no input 'images'; its inputs are 'data'"):
        with_image_inputs(network("NCHW", 3, np.float32), Preprocessor(other))


def test_names_that_the_network_has_are_not_taken() -> None:
    shape: list[int | str | None] = ["batch", 3, HEIGHT, WIDTH]
    values = {"data": shape, "data_uint8": shape}
    model = onnx.load_from_string(passthrough(values, {"preprocessing/data/0": "data", "out": "data_uint8"}))
    changed = with_image_inputs(model, Preprocessor(document(pixel_scaling=1.0)))
    onnx.checker.check_model(changed, full_check=True)
    assert [info.name for info in changed.graph.input] == ["data_uint8_2", "data_uint8"]
