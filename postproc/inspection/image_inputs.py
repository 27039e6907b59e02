"""How images become the inputs of a network that was inspected."""

from __future__ import annotations

from typing import Any

from postproc.inspection.graph import Graph, Tensor, image_axes
from postproc.inspection.presets import ImageStyle
from postproc.schema import Preprocessing
from postproc.schema.preprocessing import IMAGE_AXES
from postproc.transforms import Size

_DATA_TYPES = {"float32": "FLOAT32", "float16": "FLOAT16", "uint8": "UINT8"}

# Inputs beside the image that networks have, by name: what they hold, with the image's axes as h and w.
SIZES: dict[str, list[str | float]] = {
    "im_info": ["h", "w", 1.0],
    "im_shape": ["h", "w"],
    "image_shape": ["h", "w"],
    "scale_factor": [1.0, 1.0],
    "orig_target_sizes": ["w", "h"],
    "orig_size": ["w", "h"],
}


def preprocessing_for(
    graph: Graph, style: ImageStyle, size: Size | None, *, batched: bool = True
) -> tuple[Preprocessing | None, list[str]]:
    """Make the preprocessing of a network, and say what has to be checked about it."""
    tensor = graph.image
    axes = None if tensor is None else image_axes(tensor.declared)
    if tensor is None or axes is None or size is None:
        return None, [
            "no input is a batch of images of 1 or 3 channels, (N, C, H, W) or (N, H, W, C), or one image, "
            "(3, H, W), so there is no preprocessing: run the network with ONNX Runtime yourself, and give "
            "its tensors to PostProcessor"
        ]
    data_type = _DATA_TYPES.get(tensor.type)
    if data_type is None:
        return None, [
            f"input {tensor.name} is {tensor.type}, and images become {', '.join(_DATA_TYPES)}: there is no "
            "preprocessing"
        ]
    if graph.image_style is not None and not graph.is_ultralytics:  # which writes no such file
        style = graph.image_style
    order, channels, _, _ = axes
    image: dict[str, Any] = {
        "dimension_order": order,
        "target_size": f"{size[1]}x{size[0]}",
        **style.fields,
        "data_type": data_type,
    }
    if style.has_stride and graph.is_ultralytics and not any(isinstance(side, int) for side in axes[2:]):
        stride = int(graph.metadata["stride"]) if graph.metadata.get("stride", "").isdecimal() else 32
        if stride and not any(side % stride for side in size):
            image["stride"] = stride  # as its predict does for a network whose input has no fixed size
    checks = [*style.checks]
    if changing := graph.links.before_layers(tensor.name):
        checks.append(
            f"the graph itself changes pixels before its first layer ({', '.join(changing)}): where it "
            "scales them or swaps their colours, leave that out here"
        )
    if data_type == "UINT8":
        image["pixel_scaling"] = 255
        for name in ("mean", "std"):
            image.pop(name, None)
    if style.is_guess:
        reason = style.reason if channels == 3 else style.reason.replace("RGB", "grey")
        checks.append(f"how images are prepared is not in the file; guessed: {reason}")
    if channels == 1:
        image["color_channels"] = "L"
        for name in ("mean", "std"):
            if name in image:
                image[name] = [round(sum(image[name]) / 3, 4)]
    if graph.size_source == "cells":
        checks.append(
            f"the file calls the input's size free, but its outputs have the cells of {size[1]}x{size[0]} "
            "(width x height); give another with --size"
        )
    elif graph.size_source in ("assumed", "run"):
        checks.append(
            f"the input's size is free: {size[1]}x{size[0]} assumed (width x height); choose another with "
            "--size"
        )
    inputs: list[dict[str, Any]] = [{"tensor_name": tensor.name, "image": image}]
    for other in graph.inputs:
        if other is not tensor:
            constant = _size_input(other, tensor.name, order)
            if constant is None:
                checks.append(f"what input {other} takes is unknown: add it to the inputs")
            else:
                inputs.append(constant)
    document: dict[str, Any] = {"inputs": inputs}
    if tensor.rank == IMAGE_AXES:
        document["batched_input"] = False
    if not batched:
        document["batched_output"] = False
    return Preprocessing.load(document), checks


def _size_input(tensor: Tensor, image: str, order: str) -> dict[str, Any] | None:
    """Describe an input that takes the size of the image, known by its name."""
    items = SIZES.get(tensor.plain_name)
    if items is None:
        return None
    axes = {"h": f"{image}.{order.index('H') - 1}", "w": f"{image}.{order.index('W') - 1}"}
    data = [axes[item] if isinstance(item, str) else item for item in items]
    return {"tensor_name": tensor.name, "constant": {"shape": [len(data)], "data": data}}
