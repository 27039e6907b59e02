"""Networks that take more than they look like, most of them once an image is white: a check's is black."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper
from onnx.helper import make_node as node

from tests.models import network

SIDE = 8  # pixels of an input
_IMAGE = "image"
_FLOAT, _INT64, _BOOL = 1, 7, 9  # of onnx.TensorProto


def preprocessing(images: int = 1) -> str:
    """Return what makes tensors of grey images: white is 1."""
    inputs = [
        {
            "tensor_name": _IMAGE if row == 0 else f"{_IMAGE}{row}",
            "image": {
                "dimension_order": "NCHW",
                "resize_type": "SQUASH",
                "target_size": f"{SIDE}x{SIDE}",
                "color_channels": "L",
                "pixel_scaling": 1.0,
                "data_type": "FLOAT32",
            },
        }
        for row in range(images)
    ]
    return json.dumps({"inputs": inputs, "batched_output": True})


def small(images: int = 1) -> bytes:
    """Return a network that finds how grey images are."""
    names = [_IMAGE, *(f"{_IMAGE}{row}" for row in range(1, images))]
    nodes = [
        node("Sum", names, ["sum"]),
        node("ReduceMean", ["sum"], ["grey"], axes=[1, 2, 3], keepdims=0),
    ]
    shape = np.float32, ("N", 1, SIDE, SIDE)
    return network(nodes, dict.fromkeys(names, shape), {"grey": (np.float32, ("N",))})


def endless() -> bytes:
    """Return a network that counts for ever, whatever it sees: its check does not end."""
    return _plus([_loop("most")], {"most": np.array(1 << 62, np.int64)})


def hanging() -> bytes:
    """Return a network that counts for ever where a pixel is white, which ONNX Runtime can interrupt."""
    nodes = [node("Mul", ["is_white", "most"], ["count"]), _loop("count")]
    return _plus(nodes, {"most": np.array(1 << 62, np.int64)})


def multiplying(rows: int = 3000) -> bytes:
    """Return a network with a product that takes minutes where a pixel is white; nothing interrupts it."""
    nodes = [
        *_sized("rows", rows),
        node("Concat", ["rows", "one", "one", "inner"], ["left_shape"], axis=0),
        node("Concat", ["one", "rows", "inner", "one"], ["right_shape"], axis=0),
        node("ConstantOfShape", ["left_shape"], ["left"]),
        node("ConstantOfShape", ["right_shape"], ["right"]),
        node("MatMul", ["left", "right"], ["products"]),
        node("ReduceSum", ["products"], ["more"], keepdims=0),
    ]
    return _plus(nodes, {"inner": np.array([10_000], np.int64)})


def swelling(numbers: int = 1 << 28, *, is_always: bool = False) -> bytes:
    """Return a network with three intermediates of 1 GiB where a pixel is white, or always."""
    nodes = [
        *_sized("size", numbers, "one" if is_always else "is_white"),
        node("ConstantOfShape", ["size"], ["first"]),
        node("Exp", ["first"], ["second"]),
        node("Add", ["first", "second"], ["third"]),
        node("ReduceMax", ["third"], ["more"], keepdims=0),
    ]
    return _plus(nodes, {})


def heavy(number: int, numbers: int = 1 << 27) -> bytes:
    """Return a network with weights of 512 MiB, which are made when it is loaded: its file is tiny."""
    value = helper.make_tensor("value", _FLOAT, [1], [float(number)])
    nodes = [
        node("ConstantOfShape", ["size"], ["weights"], value=value),
        node("Gather", ["weights", "is_white"], ["more"]),
    ]
    return _plus(nodes, {"size": np.array([numbers], np.int64)})


def wide(numbers: int = 2_000_000) -> bytes:
    """Return a network whose result is two million numbers of twelve characters each."""
    nodes = [
        node("ReduceMean", [_IMAGE], ["grey"], axes=[1, 2, 3], keepdims=0),
        node("Unsqueeze", ["grey", "one"], ["column"]),
        node("Expand", ["column", "shape"], ["row"]),
        node("Add", ["row", "third"], ["out"]),
    ]
    constants: dict[str, NDArray[Any]] = {
        "one": np.array([1], np.int64),
        "shape": np.array([1, numbers], np.int64),
        "third": np.array(1 / 3, np.float32),
    }
    image = np.float32, ("N", 1, SIDE, SIDE)
    return network(nodes, {_IMAGE: image}, {"out": (np.float32, ("N", numbers))}, constants)


def _plus(nodes: list[Any], constants: dict[str, NDArray[Any]]) -> bytes:
    """Return a network of how grey an image is, plus what nodes call "more"; they know "is_white"."""
    first = [
        node("ReduceMean", [_IMAGE], ["mean"], axes=[1, 2, 3], keepdims=0),
        node("ReduceMax", [_IMAGE], ["brightest"], keepdims=0),
        node("Cast", ["brightest"], ["is_white"], to=_INT64),
    ]
    last = [node("Add", ["mean", "more"], ["grey"])]
    image = np.float32, ("N", 1, SIDE, SIDE)
    given: dict[str, NDArray[Any]] = {
        "one": np.array([1], np.int64),
        "true": np.array(True),
        "zero": np.array(0, np.float32),
    }
    used = {name for item in nodes for name in item.input}
    return network(
        [*first, *nodes, *last],
        {_IMAGE: image},
        {"grey": (np.float32, ("N",))},
        {**{name: array for name, array in given.items() if name in used}, **constants},
    )


def _loop(count: str) -> Any:
    body = helper.make_graph(
        [node("Identity", ["go"], ["go_on"]), node("Add", ["state", "state"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("row", _INT64, []),
            helper.make_tensor_value_info("go", _BOOL, []),
            helper.make_tensor_value_info("state", _FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("go_on", _BOOL, []),
            helper.make_tensor_value_info("next", _FLOAT, []),
        ],
    )
    return node("Loop", [count, "true", "zero"], ["more"], body=body)


def _sized(name: str, size: int, factor: str = "is_white") -> list[Any]:
    """Return nodes that make a length of `size` where a factor is 1, and of one where it is 0."""
    length = helper.make_tensor("length", _INT64, [1], [size - 1])
    return [
        node("Constant", [], [f"{name}_most"], value=length),
        node("Mul", [factor, f"{name}_most"], [f"{name}_more"]),
        node("Add", [f"{name}_more", "one"], [name]),
    ]
