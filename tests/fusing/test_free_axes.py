"""The axis of images may be free; one that counts boxes may not."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from postproc import (
    DirectOutput,
    EndToEndOutput,
    PostProcessor,
    StandardOutput,
    Yolov5Output,
    Yolov8Output,
)
from postproc.errors import FusingError, TensorError
from postproc.fusing import append, to_onnx
from postproc.onnx_runner import DevicePostProcessor
from tests.fusing.graphs import yolov8
from tests.models import passthrough

TENSORS = {"boxes_tensor": "b", "scores_tensor": "s"}
LISTS = {**TENSORS, "classes_tensor": "c"}
KINDS: list[tuple[Any, dict[str, tuple[int, ...]]]] = [
    (DirectOutput(**LISTS), {"b": (4,), "s": (), "c": ()}),
    (StandardOutput(**TENSORS), {"b": (4,), "s": (3,)}),
    (EndToEndOutput(output_tensor="t", columns=("box", "score", "class")), {"t": (6,)}),
    (EndToEndOutput(**LISTS), {"b": (4,), "s": (), "c": ()}),
    (Yolov8Output(output_tensor="t", coordinates="normalized"), {"t": (7,)}),
    (Yolov5Output(output_tensor="t", coordinates="normalized"), {"t": (8,)}),
]


@pytest.mark.parametrize(("output", "inner"), KINDS)
def test_number_of_boxes_that_is_free_is_refused(output: Any, inner: dict[str, tuple[int, ...]]) -> None:
    post = PostProcessor.for_detection(["x", "y", "z"], output, thresholds=0.3)
    shapes = {name: ("n", *sizes) for name, sizes in inner.items()}
    text = "whose first axis is free, and not that of images: 'n' .*export the network with a fixed number"
    with pytest.raises(FusingError, match=text):
        to_onnx(post, shapes)
    with pytest.raises(FusingError, match=text):
        DevicePostProcessor(post, shapes, "cpu")
    inputs = {f"{name}_in": shape for name, shape in shapes.items()}
    network = onnx.load_from_string(passthrough(inputs, {name: f"{name}_in" for name in shapes}))
    with pytest.raises(FusingError, match=text):
        append(network, post)
    to_onnx(post, {name: (9, *sizes) for name, sizes in inner.items()})
    to_onnx(post, {name: ("batch", 9, *sizes) for name, sizes in inner.items()})


def test_tensors_of_which_one_counts_boxes_are_an_error_that_names_it() -> None:
    post = PostProcessor.for_detection(["x", "y"], StandardOutput(**TENSORS))
    with pytest.raises(TensorError, match=r"2 stands for the free axis 'n' of 'b'"):
        to_onnx(post, {"b": ("n", 4), "s": ("batch", 9, 2)})


@pytest.mark.parametrize("shape", [None, 7, "N57", (1, 5, 9.0), (1, 5, True), (None, 5, 9), (-1, 5, 9)])
def test_what_is_no_shape_is_an_error(shape: Any) -> None:
    with pytest.raises(FusingError, match="'output0': expected a shape, a sequence of whole numbers"):
        to_onnx(yolov8(), {"output0": shape})


def test_arguments_of_other_types_are_errors_that_say_what_was_expected() -> None:
    wrong: Any = None
    with pytest.raises(FusingError, match=r"shapes: expected a mapping .* got NoneType"):
        to_onnx(yolov8(), wrong)
    with pytest.raises(FusingError, match=r"model: expected an onnx.ModelProto.* got str"):
        append("net.onnx", yolov8())  # type: ignore[arg-type]
    with pytest.raises(FusingError, match="dtypes: 'output' has no shape; those with one are 'output0'"):
        to_onnx(yolov8(), {"output0": (1, 5, 9)}, dtypes={"output": np.float16})
    with pytest.raises(FusingError, match="'output0': expected a dtype, got 'half a float'"):
        to_onnx(yolov8(), {"output0": (1, 5, 9)}, dtypes={"output0": "half a float"})


def test_sizes_may_be_numpys() -> None:
    shape: Any = tuple(np.array([1, 5, 9]))
    dims = to_onnx(yolov8(), {"output0": shape}).graph.input[0].type.tensor_type.shape.dim
    assert [one.dim_value for one in dims] == [1, 5, 9]
