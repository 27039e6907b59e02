"""Sizes that a graph computes: once those of its input are fixed they are constants, and shapes follow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Shape = tuple["int | None", ...]

# What exporters compute sizes with.
_OF_SIZES = {
    *("Identity", "Cast", "Gather", "Slice", "Concat", "Squeeze", "Unsqueeze", "Reshape", "ConstantOfShape"),
    *(
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Mod",
        "Neg",
        "Min",
        "Max",
        "Floor",
        "Ceil",
        "ReduceProd",
        "Equal",
        "Where",
    ),
}
_LARGEST_INDICES = 65_536  # bytes: larger constants are weights, whose values no shape depends on
_MOST_NUMBERS = 64  # a tensor of sizes is small
_CHANNELS = (1, 3, 4)
_MOST_PASSES = 16  # a shape that was found may lead to further sizes


def image_axes(shape: Sequence[int | str | None]) -> tuple[int, int] | None:
    """Give the axes of height and width in a tensor of images, by where its 1, 3 or 4 channels are."""
    if len(shape) == 4 and shape[1] in _CHANNELS:
        return 2, 3
    if len(shape) == 4 and shape[3] in _CHANNELS:
        return 1, 2
    return None


def drop_weights(model: Any) -> None:
    """Leave out the content of weights, which no shape depends on."""
    for weights in model.graph.initializer:
        if len(weights.raw_data) > _LARGEST_INDICES:
            weights.ClearField("raw_data")


def inferred_shapes(model: Any) -> tuple[dict[str, Shape], frozenset[str]]:
    """Follow the sizes of the inputs through a graph: give shapes, and the names of tensors of integers.

    Parameters
    ----------
    model : ModelProto
        The network, whose inputs have fixed sizes. Its nodes, shapes and weights are of no use afterwards.
    """
    import onnx

    drop_weights(model)
    for info in model.graph.output:
        info.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]  # they hold symbols that contradict the pinned sizes

    shapes: dict[str, Shape] = {}
    integers: frozenset[str] = frozenset()
    for _ in range(_MOST_PASSES):
        try:
            inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        except Exception:  # its errors have no base class of their own; what it cannot tell stays open
            break
        infos = (*inferred.input, *inferred.value_info, *inferred.output)
        shapes = {info.name: _shape(info) for info in infos if info.type.tensor_type.HasField("shape")}
        shapes |= {tensor.name: tuple(tensor.dims) for tensor in inferred.initializer}
        integers |= {info.name for info in infos if _is_integer(info)}
        if not _folds(model, shapes):
            break
    return shapes, integers


def _is_integer(info: Any) -> bool:
    from onnx import TensorProto

    return "INT" in TensorProto.DataType.Name(info.type.tensor_type.elem_type)


def _shape(info: Any) -> Shape:
    axes = info.type.tensor_type.shape.dim
    # A size below 0 is a free one, as older exporters write it.
    return tuple(
        axis.dim_value if axis.HasField("dim_value") and axis.dim_value >= 0 else None for axis in axes
    )


def _folds(model: Any, shapes: Mapping[str, Shape]) -> bool:
    """Replace nodes that compute sizes by constants; tell whether there were any."""
    from onnx import numpy_helper

    values = {
        tensor.name: tensor
        for tensor in model.graph.initializer
        if _is_small(shapes.get(tensor.name)) and not tensor.external_data
    }
    sizes: dict[str, Any] = {}
    computed: list[Any] = []
    left: list[Any] = []
    names: set[str] = set(values)
    for node in model.graph.node:
        shape = shapes.get(node.input[0]) if node.op_type == "Shape" else None
        is_small = all(_is_small(shapes.get(name)) for name in node.output)
        if node.op_type == "Constant" and is_small:
            values.update((node.output[0], item.t) for item in node.attribute if item.name == "value")
            names |= values.keys()
            left.append(node)
        elif shape is not None and None not in shape:
            ends = {item.name: item.i for item in node.attribute}
            array = np.array(shape[slice(ends.get("start"), ends.get("end"))], np.int64)
            sizes[node.output[0]] = numpy_helper.from_array(array, node.output[0])
            names.update(node.output)
        elif is_small and node.op_type in _OF_SIZES and names.issuperset(filter(None, node.input)):
            computed.append(node)
            names.update(node.output)
        else:
            left.append(node)
    if len(left) == len(model.graph.node):
        return False
    found = _evaluated(model, computed, {**values, **sizes})
    if found is None:
        return False
    del model.graph.node[:]
    model.graph.node.extend(left)
    model.graph.initializer.extend([*sizes.values(), *found])
    return True


def _is_small(shape: Shape | None) -> bool:
    return (
        shape is not None and math.prod(_MOST_NUMBERS + 1 if n is None else n for n in shape) <= _MOST_NUMBERS
    )


def _evaluated(model: Any, nodes: Sequence[Any], values: Mapping[str, Any]) -> list[Any] | None:
    """Compute the outputs of nodes that depend on constants only; None where that fails."""
    from onnx import TensorProto, helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    names = [name for node in nodes for name in node.output]
    constants = []
    for name, tensor in values.items():
        copy = TensorProto()
        copy.CopyFrom(tensor)
        copy.name = name
        constants.append(copy)
    outputs = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in names]
    graph = helper.make_graph(nodes, "sizes", [], outputs, constants)
    try:
        sizes = ReferenceEvaluator(helper.make_model(graph, opset_imports=model.opset_import)).run(None, {})
    except Exception:  # what the evaluator raises is not documented: a size that it cannot tell stays open
        return None
    return [numpy_helper.from_array(np.asarray(size), name) for name, size in zip(names, sizes, strict=True)]
