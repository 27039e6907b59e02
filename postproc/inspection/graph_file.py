"""Read an ONNX file's graph, without its weights where they lie in files of their own."""

from __future__ import annotations

import contextlib
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from postproc.errors import InspectionError
from postproc.file_kinds import file_mistaken_for
from postproc.graph_shapes import Shape, inferred_shapes
from postproc.inspection.configs import config_beside, image_style_beside, labels_of_config
from postproc.inspection.graph import UNDEFINED, Axis, Graph, Tensor, image_axes, image_input
from postproc.inspection.labels import labels_of_metadata
from postproc.inspection.literals import parsed
from postproc.inspection.nodes import Node
from postproc.inspection.presets import ImageStyle
from postproc.inspection.provenance import Operators
from postproc.installing import install
from postproc.onnx_runner.session import NUMPY_TYPES
from postproc.onnx_runner.weights import external_tensors, location
from postproc.transforms import Size

_Read = TypeVar("_Read")

ASSUMED_SIDE = 640
_LARGEST_SIDE = 100_000
_SMALL = 256  # numbers: a constant that tells where columns are cut, or how bins count


def read_graph(path: str | os.PathLike[str], size: Size | None = None) -> Graph:
    """Read an ONNX file.

    Parameters
    ----------
    path : path
        The file.
    size : (int, int), optional
        Height and width of the network's input where the file leaves them free.

    Raises
    ------
    InspectionError
        If the file is no ONNX network, or its input has another size than the given one.
    ImportError
        If the package onnx is missing.
    """
    model = _load(Path(path))
    metadata = {item.key: item.value for item in model.metadata_props}
    constants = {item.name for item in model.graph.initializer}
    inputs = [_tensor(info) for info in model.graph.input if info.name not in constants]
    unused: list[str] = []
    config = _read_beside(lambda: config_beside(path), unused)
    config_labels = _read_beside(lambda: labels_of_config(config), unused)
    image_style = _read_beside(lambda: image_style_beside(path), unused)
    input_size, source = _input_size(inputs, metadata, image_style, size)
    outputs = [_tensor(info) for info in model.graph.output]
    operators = Counter(node.op_type for node in _all_nodes(model.graph))
    nodes, values = _links(model.graph)
    shapes, integers = _inferred(model, inputs, input_size)
    return Graph(
        name=Path(path).stem,
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        inputs=tuple(inputs),
        outputs=tuple(_completed(tensor, shapes.get(tensor.name)) for tensor in outputs),
        metadata=metadata,
        operators=operators,
        links=Operators(nodes, frozenset(tensor.name for tensor in inputs), shapes, values, integers),
        input_size=input_size,
        size_source=source,
        labels=labels_of_metadata(metadata) or config_labels,
        config_labels=config_labels,
        image_style=image_style,
        unused=tuple(unused),
        weights=tuple(dict.fromkeys(Path(path).parent / location(item) for item in external_tensors(model))),
        config={} if config is None else config.fields,
    )


def _read_beside(read: Callable[[], _Read | None], unused: list[str]) -> _Read | None:
    """Read a file beside the network, which is there by the way: one that is broken is no reason to fail."""
    try:
        return read()
    except InspectionError as error:
        unused.append(f"{error}; it is not used")
        return None


def _load(path: Path) -> Any:
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise ImportError(f"to inspect a network needs an extra: {install('inspect')} ({error})") from error
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise InspectionError(f"{path} {found}; expected an .onnx file")
    advice = "expected an .onnx file, as exporters write it with its weights inside or beside it"
    if kind := file_mistaken_for(path):
        raise InspectionError(f"expected an ONNX network; {path} is {kind}")
    try:
        # The weights are not needed, and a file of tens of kilobytes may have gigabytes of them beside it.
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except DecodeError:
        raise InspectionError(f"{path} is not an ONNX file; {advice}") from None
    except (OSError, ValueError) as error:
        raise InspectionError(f"{path} cannot be read as an ONNX file: {error}; {advice}") from None
    if not model.graph.output:
        raise InspectionError(f"{path} is not an ONNX file, or has no outputs; {advice}")
    return model


def _tensor(info: Any) -> Tensor:
    kind = info.type.tensor_type
    name = _kind(info.type)
    dtype = NUMPY_TYPES[name].name if name in NUMPY_TYPES else name
    if not kind.HasField("shape"):
        return Tensor(info.name, dtype, None, None)
    declared: tuple[Axis, ...] = tuple(_axis(axis) for axis in kind.shape.dim)
    return Tensor(info.name, dtype, declared, tuple(a if isinstance(a, int) else None for a in declared))


def _kind(declared: Any) -> str:
    """Give ONNX Runtime's name of a type, ``seq(map(int64,tensor(float)))``; "undefined" where it is open."""
    form = declared.WhichOneof("value")
    if form in ("sequence_type", "optional_type"):
        outer = "seq" if form == "sequence_type" else "optional"
        return f"{outer}({_kind(getattr(declared, form).elem_type)})"
    if form == "map_type":
        return f"map({_element(declared.map_type.key_type)},{_kind(declared.map_type.value_type)})"
    if form == "sparse_tensor_type":
        return f"sparse_tensor({_element(declared.sparse_tensor_type.elem_type)})"
    return (
        f"tensor({_element(declared.tensor_type.elem_type)})" if declared.tensor_type.elem_type else UNDEFINED
    )


def _element(number: int) -> str:
    from onnx import TensorProto

    return next((name.lower() for name, known in TensorProto.DataType.items() if known == number), UNDEFINED)


def _axis(axis: Any) -> Axis:
    if axis.HasField("dim_value") and axis.dim_value > 0:
        return int(axis.dim_value)
    name = str(axis.dim_param)
    return int(name) if name.isdecimal() and int(name) else name or None  # YOLOv6 writes sizes as names


def _all_nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _all_nodes(attribute.g)


def _input_size(
    inputs: list[Tensor], metadata: dict[str, str], style: ImageStyle | None, given: Size | None
) -> tuple[Size | None, str]:
    """Give height and width of the image input, and where they are from."""
    image = image_input(inputs)
    axes = None if image is None else image_axes(image.declared)
    fixed = None if axes is None else axes[2:]
    if fixed is not None and isinstance(fixed[0], int) and isinstance(fixed[1], int):
        size = (fixed[0], fixed[1])
        if given is not None and given != size:
            raise InspectionError(
                f"size: the network's input is fixed at {size[1]}x{size[0]} (width x height), got "
                f"{given[1]}x{given[0]}; leave the size out, or export the network with the other one"
            )
        return size, "graph"
    if given is not None:
        return given, "given"
    embedded = _embedded_size(metadata.get("imgsz", ""))
    if embedded is not None:
        return embedded, "metadata"
    if style is not None and style.size is not None:
        return style.size, "config"
    return (None, "assumed") if axes is None else ((ASSUMED_SIDE, ASSUMED_SIDE), "assumed")


def _embedded_size(text: str) -> Size | None:
    """Read ultralytics' ``imgsz``: ``[height, width]``, or one number for both."""
    value = parsed(text)
    sides = [value, value] if isinstance(value, int) else value
    if not isinstance(sides, (list, tuple)) or len(sides) != 2:
        return None
    height, width = sides
    valid = all(isinstance(side, int) and 0 < side <= _LARGEST_SIDE for side in sides)
    return (height, width) if valid else None


def _links(graph: Any) -> tuple[tuple[Node, ...], dict[str, Any]]:
    """Give the operators of the main graph, and the values of its small constants."""
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        values = {item.name: item for item in node.attribute}
        if node.op_type == "Constant":
            tensors |= {name: values["value"].t for name in node.output if "value" in values}
            continue
        integers: dict[str, int | tuple[int, ...]] = {
            name: tuple(item.ints) if item.ints else int(item.i)
            for name, item in values.items()
            if item.type in (item.INT, item.INTS)
        }
        if node.op_type == "ConstantOfShape" and "value" in values:
            filling = numpy_helper.to_array(values["value"].t)
            if filling.dtype.kind == "i" and filling.size == 1:
                integers["value"] = int(filling.reshape(-1)[0])
        nodes.append(Node(node.op_type, tuple(node.input), tuple(node.output), integers))
    small = {}
    for name, tensor in tensors.items():
        if math.prod(tensor.dims) <= _SMALL and not tensor.external_data:
            with contextlib.suppress(Exception):  # a type that NumPy lacks: nothing follows from it
                small[name] = numpy_helper.to_array(tensor)
    return tuple(nodes), small


def _inferred(model: Any, inputs: list[Tensor], size: Size | None) -> tuple[dict[str, Shape], frozenset[str]]:
    """Follow the size of the input through the graph: give shapes, and the names of tensors of integers.

    The model's nodes, shapes and weights are of no use afterwards.
    """
    for info, tensor in ((i, t) for i in model.graph.input for t in inputs if t.name == i.name):
        _pin(info, tensor, size)
    return inferred_shapes(model)


def _completed(tensor: Tensor, inferred: Shape | None) -> Tensor:
    """Fill in the sizes that a tensor's declaration leaves open."""
    if inferred is None:
        return tensor
    if tensor.shape is None:
        return replace(tensor, declared=(None,) * len(inferred), shape=inferred)
    if len(inferred) != len(tensor.shape):
        return tensor
    sizes = (size if size is not None else other for size, other in zip(tensor.shape, inferred, strict=True))
    return replace(tensor, shape=tuple(sizes))


def _pin(info: Any, tensor: Tensor, size: Size | None) -> None:
    """Give the free axes of an input the sizes of one image."""
    axes = image_axes(tensor.declared)
    if tensor.declared is None or not tensor.declared:
        return
    sizes: list[int | None] = [1, *(None for _ in tensor.declared[1:])]
    if axes is not None and size is not None:
        sizes = [1, axes[1], *size] if axes[0] == "NCHW" else [1, *size, axes[1]]
        sizes = sizes[-len(tensor.declared) :]  # an image may have no batch axis
    for axis, pinned in zip(info.type.tensor_type.shape.dim, sizes, strict=True):
        if pinned is not None and not axis.dim_value:
            axis.Clear()
            axis.dim_value = pinned
