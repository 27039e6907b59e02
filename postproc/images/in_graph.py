"""Preprocessing inside of a network's file: images of 8 bits in, already resized."""

from __future__ import annotations

from typing import Any

import numpy as np

from postproc.errors import RunnerError
from postproc.fusing.names import free_name, free_scope, names_of
from postproc.images.input_tensors import AXES, ImageTensor
from postproc.images.preprocessor import Preprocessor
from postproc.installing import install

_OPERATORS: dict[np.ufunc, str] = {np.multiply: "Mul", np.divide: "Div", np.subtract: "Sub"}
_TYPES = {"FLOAT32": "FLOAT", "FLOAT16": "FLOAT16", "UINT8": "UINT8"}
_ENDING = "_uint8"


def with_image_inputs(model: Any, preprocessor: Preprocessor) -> Any:
    """Give a network whose image inputs take pixels.

    Where the document says how an image becomes the tensor ``data``, the network has an input ``data_uint8``
    (``data_uint8_2`` where that is taken) in its place: ``(B, H, W, 3)`` uint8 in RGB order whatever
    `color_channels` says; of grey ``(B, H, W, 1)``. Resizing and padding stay outside. The tensor
    is, bit for bit, that of the `Preprocessor` for an image of the input's size. Inputs that are constants
    stay as they are.

    Parameters
    ----------
    model : onnx.ModelProto
        The network, which stays as it is.
    preprocessor : Preprocessor
        Of the document.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    RunnerError
        If the network lacks an input of the document, or it has another rank, channels or data type.
    """
    try:
        from onnx import ModelProto
    except ImportError as error:
        raise RunnerError(
            f"preprocessing in the graph needs an extra: {install('onnx')} ({error})"
        ) from error
    changed = ModelProto()
    changed.CopyFrom(model)
    inputs = {info.name: info for info in changed.graph.input}
    for name, tensor in preprocessor.named_tensors.items():
        if name not in inputs:
            raise RunnerError(
                f"preprocessing: the network has no input {name!r}; its inputs are "
                f"{', '.join(map(repr, inputs))}"
            )
        _prepend(changed.graph, inputs[name], tensor, preprocessor.preprocessing.batched_input)
    return changed


def _prepend(graph: Any, info: Any, tensor: ImageTensor, is_batched: bool) -> None:
    """Put the nodes of an image input before all others."""
    from onnx import TensorProto, helper, numpy_helper

    image = tensor.image
    _check(info, tensor, is_batched)
    taken = names_of(graph)
    pixels_name = free_name(f"{info.name}{_ENDING}", taken)
    prefix = f"{free_scope('preprocessing', taken)}{info.name}/"
    nodes: list[Any] = []

    def add(operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"{prefix}{len(nodes)}"
        nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(values: Any) -> str:
        name = f"{prefix}constant{len(graph.initializer)}"
        graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    value = pixels_name
    shift = int(is_batched)
    if image.color_channels == "BGR":
        value = add("Gather", value, constant(np.array([2, 1, 0])), axis=2 + shift)
    order = [*range(shift), *(axis + shift for axis in AXES[image.dimension_order])]
    value = add("Transpose", value, perm=order)
    if not tensor.keeps_values:
        value = add("Cast", value, to=TensorProto.FLOAT)
        for step, operand in tensor.steps:
            value = add(_OPERATORS[step], value, constant(operand))
        if image.data_type == "UINT8":
            value = add("Add", value, constant(np.float32(0.5)))  # half up, as in images
        value = add("Cast", value, to=TensorProto.DataType.Value(_TYPES[image.data_type]))
    nodes[-1].output[0] = info.name
    for node in reversed(nodes):
        graph.node.insert(0, node)
    dims = [_axis(axis) for axis in info.type.tensor_type.shape.dim]
    pixels = helper.make_tensor_value_info(
        pixels_name, TensorProto.UINT8, [dims[order.index(axis)] for axis in range(len(dims))]
    )
    info.CopyFrom(pixels)


def _check(info: Any, tensor: ImageTensor, is_batched: bool) -> None:
    """Check that an input of the network is what its document says."""
    from onnx import TensorProto

    found = info.type.tensor_type
    image = tensor.image
    dims = [_axis(axis) for axis in found.shape.dim]
    expected = (*(image.fixed_shape or ("height", "width")), image.channels)
    shape = [*(["batch"] if is_batched else []), *(expected[axis] for axis in AXES[image.dimension_order])]
    kind = TensorProto.DataType.Value(_TYPES[image.data_type])
    fits = len(dims) == len(shape) and all(
        not isinstance(size, int) or not isinstance(wanted, int) or size == wanted
        for size, wanted in zip(dims, shape, strict=True)
    )
    if not fits or found.elem_type != kind:
        has = TensorProto.DataType.Name(found.elem_type)
        raise RunnerError(
            f"preprocessing: the network's input {info.name!r} is {has} {dims}, but its document makes "
            f"{image.data_type} [{', '.join(map(str, shape))}] of an image: "
            "correct target_size, data_type, dimension_order or color_channels"
        )


def _axis(axis: Any) -> int | str | None:
    return axis.dim_value if axis.dim_value > 0 else axis.dim_param or None
