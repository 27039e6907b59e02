"""Small ONNX networks for tests, built on the spot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import DTypeLike, NDArray
from onnx import helper, numpy_helper

Shape = Sequence[int | str | None]

# What ONNX Runtime 1.18, the oldest supported, reads.
IR_VERSION, OPSET = 8, 17


def network(
    nodes: Sequence[Any],
    inputs: Mapping[str, tuple[DTypeLike, Shape]],
    outputs: Mapping[str, tuple[DTypeLike, Shape]],
    constants: Mapping[str, NDArray[Any]] | None = None,
) -> bytes:
    """Serialize a network of `nodes`, after checking it."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [_value_info(name, *info) for name, info in inputs.items()],
        [_value_info(name, *info) for name, info in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def passthrough(
    inputs: Mapping[str, Shape], outputs: Mapping[str, str], dtype: DTypeLike = np.float32
) -> bytes:
    """Build a network whose outputs are copies of its inputs: `outputs` maps an output to an input."""
    nodes = [helper.make_node("Identity", [source], [name]) for name, source in outputs.items()]
    return network(
        nodes,
        {name: (dtype, shape) for name, shape in inputs.items()},
        {name: (dtype, inputs[source]) for name, source in outputs.items()},
    )


def copying(shape: Shape = ("N", 3, 2, 2), output: str = "out", dtype: DTypeLike = np.float32) -> bytes:
    """Build a network of one input, ``data``, that comes out as it is."""
    return passthrough({"data": shape}, {output: "data"}, dtype)


def endless() -> bytes:
    """Build a network that counts to 2 ** 62."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["state", "state"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("row", 7, []),
            helper.make_tensor_value_info("go", 9, []),
            helper.make_tensor_value_info("state", 1, None),
        ],
        [
            helper.make_tensor_value_info("go_on", 9, []),
            helper.make_tensor_value_info("next", 1, None),
        ],
    )
    loop = helper.make_node("Loop", ["count", "true", "data"], ["out"], body=body)
    constants = {"count": np.array(1 << 62, np.int64), "true": np.array(True)}
    shape = ("N", 3, 2, 2)
    return network([loop], {"data": (np.float32, shape)}, {"out": (np.float32, shape)}, constants)


def with_sizes(images: Shape, sizes: Shape) -> bytes:
    """Build a network of the inputs ``data`` and ``im_info`` whose output is a copy of ``data``."""
    return passthrough({"data": images, "im_info": sizes}, {"out": "data"})


def numbered(images: int, *shape: int, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Give images of which the i-th is filled with i + 1."""
    marks = np.arange(1, images + 1, dtype=dtype).reshape(-1, *(1 for _ in shape))
    return np.array(np.broadcast_to(marks, (images, *shape)))


def answering(
    answers: Mapping[str, NDArray[Any]],
    image_shape: Shape = ("N", 3, "H", "W"),
    image_name: str = "data",
    image_dtype: DTypeLike = np.float32,
) -> bytes:
    """Build a network that gives the same answers for each image, whatever it shows.

    `answers` are one image's, without a batch axis; the outputs have it.
    """
    nodes = [
        helper.make_node("Shape", [image_name], ["image_shape"]),
        helper.make_node("Slice", ["image_shape", "zero", "one"], ["batch"]),
    ]
    constants = {"zero": np.zeros(1, np.int64), "one": np.ones(1, np.int64)}
    for name, answer in answers.items():
        constants[f"{name}_answer"] = answer
        constants[f"{name}_shape"] = np.array(answer.shape, np.int64)
        nodes += [
            helper.make_node("Concat", ["batch", f"{name}_shape"], [f"{name}_batch_shape"], axis=0),
            helper.make_node("Expand", [f"{name}_answer", f"{name}_batch_shape"], [name]),
        ]
    outputs = {name: (answer.dtype, (image_shape[0], *answer.shape)) for name, answer in answers.items()}
    return network(nodes, {image_name: (image_dtype, image_shape)}, outputs, constants)


def torchvision_detector(
    boxes: NDArray[np.float32], labels: NDArray[np.int64], scores: NDArray[np.float32], image_shape: Shape
) -> bytes:
    """Build a network with the inputs and outputs of torchvision's detectors: none has a batch axis.

    It finds the first n of some boxes, n being the greatest number in the image.
    """
    answers = {"boxes": boxes, "labels": labels, "scores": scores}
    nodes = [
        helper.make_node("ReduceMax", ["image"], ["brightest"], keepdims=0),
        helper.make_node("Round", ["brightest"], ["rounded"]),
        helper.make_node("Cast", ["rounded"], ["count"], to=onnx.TensorProto.INT64),
        helper.make_node("Unsqueeze", ["count", "zero"], ["end"]),
        *(helper.make_node("Slice", [f"all_{name}", "zero", "end"], [name]) for name in answers),
    ]
    return network(
        nodes,
        {"image": (np.float32, image_shape)},
        {name: (answer.dtype, ("n", *answer.shape[1:])) for name, answer in answers.items()},
        {"zero": np.zeros(1, np.int64), **{f"all_{name}": answer for name, answer in answers.items()}},
    )


def _value_info(name: str, dtype: DTypeLike, shape: Shape) -> Any:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
