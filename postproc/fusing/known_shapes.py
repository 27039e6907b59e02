"""Shapes of a network's tensors, also those that its file leaves open though they follow from its inputs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from postproc.graph_shapes import Shape, drop_weights, inferred_shapes

_BATCHES = (2, 3)  # an axis that is as long as each of them is that of the images


def known_shapes(network: Any, tensors: Mapping[str, Any]) -> dict[str, list[int | str]]:
    """Give the sizes of tensors, and a name for each axis that is free.

    Parameters
    ----------
    network : onnx.ModelProto
    tensors : mapping of str to onnx.TypeProto.Tensor
        As outputs or inputs of it are declared.

    Returns
    -------
    A shape for each; none of those that are neither declared nor follow.
    """
    inputs = [info.type.tensor_type.shape.dim for info in network.graph.input]
    is_batch_free = any(axes and axes[0].dim_value <= 0 for axes in inputs)
    declared = {name: _declared(tensor) for name, tensor in tensors.items() if tensor.HasField("shape")}
    if declared.keys() == tensors.keys() and all(
        isinstance(size, int) for shape in declared.values() for size in shape[is_batch_free:]
    ):
        return {name: _named(shape) for name, shape in declared.items()}
    two, three = (_inferred(network, images) for images in _BATCHES)
    found = {}
    for name in tensors:
        inferred = _joined(two.get(name), three.get(name))
        shape = declared.get(name, inferred)
        if shape is not None:
            found[name] = _named(shape if inferred is None else _completed(shape, inferred))
    return found


def declare_types(network: Any, names: Collection[str]) -> None:
    """Write types of outputs that the file leaves out, as far as they follow from those of its inputs."""
    import onnx

    lacking = {
        info.name: info
        for info in network.graph.output
        if info.name in names
        and info.type.WhichOneof("value") in (None, "tensor_type")
        and not info.type.tensor_type.elem_type
    }
    if not lacking:
        return
    copy = onnx.ModelProto()
    copy.CopyFrom(network)
    for info in copy.graph.output:
        if info.name in lacking:
            info.ClearField("type")
    drop_weights(copy)
    try:
        inferred = onnx.shape_inference.infer_shapes(copy).graph.output
    except Exception:  # of many kinds: what it cannot tell stays open
        return
    for info in inferred:
        if info.name in lacking and info.type.WhichOneof("value") == "tensor_type":
            lacking[info.name].type.tensor_type.elem_type = info.type.tensor_type.elem_type
        elif info.name in lacking:
            lacking[info.name].type.CopyFrom(info.type)


def _declared(tensor: Any) -> list[int | str | None]:
    return [  # a size below 0 is a free one, as older exporters write it
        axis.dim_param or None if axis.dim_value < 0 or not axis.HasField("dim_value") else axis.dim_value
        for axis in tensor.shape.dim
    ]


def _joined(of_two: Shape | None, of_three: Shape | None) -> list[int | str | None] | None:
    """Sizes that two numbers of images tell of."""
    if of_two is None or of_three is None or len(of_two) != len(of_three):
        return None
    pairs = zip(of_two, of_three, strict=True)
    return [one if one == other else "batch" if (one, other) == _BATCHES else None for one, other in pairs]


def _completed(
    declared: Sequence[int | str | None], inferred: Sequence[int | str | None]
) -> list[int | str | None]:
    if len(declared) != len(inferred):
        return [*declared]
    return [
        other if isinstance(other, int) and not isinstance(one, int) else one or other
        for one, other in zip(declared, inferred, strict=True)
    ]


def _named(shape: Iterable[int | str | None]) -> list[int | str]:
    return [f"axis_{axis}" if size is None else size for axis, size in enumerate(shape)]


def _inferred(network: Any, images: int) -> dict[str, Shape]:
    """Follow the sizes of inputs through the graph, for so many images where their number is free."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(network)
    for info in copy.graph.input:
        axes = info.type.tensor_type.shape.dim
        if axes and axes[0].dim_value <= 0:
            axes[0].Clear()
            axes[0].dim_value = images
    return inferred_shapes(copy)[0]
