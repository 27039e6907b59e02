"""Shapes of a network's outputs that its file leaves open, though they follow from those of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from postproc.inspection.folding import inferred_shapes
from postproc.inspection.nodes import Shape

_BATCHES = (2, 3)  # an axis that is as long as each of them is that of the images
_LARGEST_INDICES = 65_536  # bytes: larger constants are weights, whose values no shape depends on


def with_known_shapes(network: Any, names: Sequence[str]) -> Any:
    """Give a network whose outputs are tensors of these names, of known shapes as far as they follow.

    Inputs among them become outputs as they are. The first axis stays free where it is that of the images.

    Parameters
    ----------
    network : onnx.ModelProto
        Stays as it is.
    names : sequence of str
    """
    import onnx

    found = onnx.ModelProto()
    found.CopyFrom(network)
    outputs = {info.name for info in found.graph.output}
    for info in found.graph.input:
        if info.name in names and info.name not in outputs:
            found.graph.output.add().CopyFrom(info)
    wanted = [info for info in found.graph.output if info.name in names]
    if all(axis.dim_value for info in wanted for axis in info.type.tensor_type.shape.dim[1:]):
        return found
    two, three = (_shapes(network, images) for images in _BATCHES)
    for info in wanted:
        shapes = two.get(info.name), three.get(info.name)
        if shapes[0] is not None and shapes[1] is not None and len(shapes[0]) == len(shapes[1]):
            _fill(info.type.tensor_type.shape, shapes[0], shapes[1])
    return found


def _fill(declared: Any, of_two: Shape, of_three: Shape) -> None:
    """Write down the sizes that two numbers of images tell of."""
    names = [axis.dim_param for axis in declared.dim]
    del declared.dim[:]
    for number, pair in enumerate(zip(of_two, of_three, strict=True)):
        axis = declared.dim.add()
        if pair[0] is not None and pair[0] == pair[1]:
            axis.dim_value = pair[0]
        elif number < len(names) and names[number]:
            axis.dim_param = names[number]
        elif pair == _BATCHES:
            axis.dim_param = "batch"


def _shapes(network: Any, images: int) -> dict[str, Shape]:
    """Follow the sizes of inputs through the graph, for so many images where their number is free."""
    import onnx

    light = onnx.ModelProto()
    light.CopyFrom(network)
    for weights in light.graph.initializer:
        if len(weights.raw_data) > _LARGEST_INDICES:
            weights.ClearField("raw_data")
    for info in light.graph.input:
        axes = info.type.tensor_type.shape.dim
        if axes and not axes[0].dim_value:
            axes[0].Clear()
            axes[0].dim_value = images
    for info in light.graph.output:
        info.type.tensor_type.ClearField("shape")
    del light.graph.value_info[:]  # they hold symbols that contradict the pinned sizes
    return inferred_shapes(light)[0]
