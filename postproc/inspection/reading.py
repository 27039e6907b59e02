"""Read an ONNX file's graph, without its weights where they lie in files of their own."""

from __future__ import annotations

import ast
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from postproc.errors import InspectionError
from postproc.file_kinds import file_mistaken_for
from postproc.inspection.graph import Axis, Graph, Node, Size, Tensor, image_axes
from postproc.inspection.labels import labels_of_metadata
from postproc.installing import install

ASSUMED_SIDE = 640
_LARGEST_SIDE = 100_000
_LARGEST_INDICES = 65_536  # bytes: larger constants are weights, whose values no shape depends on


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
    input_size, source = _input_size(inputs, metadata, size)
    outputs = [_tensor(info) for info in model.graph.output]
    return Graph(
        name=Path(path).stem,
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        inputs=tuple(inputs),
        outputs=tuple(_with_inferred_shapes(model, inputs, outputs, input_size)),
        metadata=metadata,
        operators=Counter(node.op_type for node in _all_nodes(model.graph)),
        producers={
            name: Node(node.op_type, tuple(node.input))
            for node in model.graph.node
            if node.op_type != "Constant"
            for name in node.output
        },
        input_size=input_size,
        size_source=source,
        labels=labels_of_metadata(metadata),
    )


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
        model = onnx.load(path, load_external_data=False)
    except DecodeError:
        raise InspectionError(f"{path} is not an ONNX file; {advice}") from None
    except (OSError, ValueError) as error:
        raise InspectionError(f"{path} cannot be read as an ONNX file: {error}; {advice}") from None
    if not model.graph.output:
        raise InspectionError(f"{path} is not an ONNX file, or has no outputs; {advice}")
    return model


def _tensor(info: Any) -> Tensor:
    from onnx import helper

    kind = info.type.tensor_type
    try:
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    except (KeyError, TypeError, ValueError):
        dtype = info.type.WhichOneof("value") or "of unknown type"
    if not kind.HasField("shape"):
        return Tensor(info.name, dtype, None, None)
    declared: tuple[Axis, ...] = tuple(_axis(axis) for axis in kind.shape.dim)
    return Tensor(info.name, dtype, declared, tuple(a if isinstance(a, int) else None for a in declared))


def _axis(axis: Any) -> Axis:
    if axis.HasField("dim_value") and axis.dim_value > 0:
        return int(axis.dim_value)
    return str(axis.dim_param) or None


def _all_nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _all_nodes(attribute.g)


def _input_size(
    inputs: list[Tensor], metadata: dict[str, str], given: Size | None
) -> tuple[Size | None, str]:
    """Give height and width of the image input, and where they are from."""
    axes = next((axes for tensor in inputs if (axes := image_axes(tensor.declared))), None)
    if axes is None:  # torchvision's images have no batch axis
        shapes = [tensor.declared for tensor in inputs if tensor.rank == 3]
        axes = next((axes for shape in shapes if shape and (axes := image_axes((1, *shape)))), None)
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
    return (None, "assumed") if axes is None else ((ASSUMED_SIDE, ASSUMED_SIDE), "assumed")


def _embedded_size(text: str) -> Size | None:
    """Read ultralytics' ``imgsz``: ``[height, width]``, or one number for both."""
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    sides = [value, value] if isinstance(value, int) else value
    if not isinstance(sides, (list, tuple)) or len(sides) != 2:
        return None
    height, width = sides
    valid = all(isinstance(side, int) and 0 < side <= _LARGEST_SIDE for side in sides)
    return (height, width) if valid else None


def _with_inferred_shapes(
    model: Any, inputs: list[Tensor], outputs: list[Tensor], size: Size | None
) -> list[Tensor]:
    """Follow the size of the input through the graph, where outputs leave some of theirs open.

    The model's shapes and weights are of no use afterwards.
    """
    import onnx

    if all(tensor.shape is not None and None not in tensor.shape for tensor in outputs):
        return outputs
    for weights in model.graph.initializer:
        if len(weights.raw_data) > _LARGEST_INDICES:
            weights.ClearField("raw_data")
    for info, tensor in ((i, t) for i in model.graph.input for t in inputs if t.name == i.name):
        _pin(info, tensor, size)
    for info in model.graph.output:
        info.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]  # they hold symbols that contradict the pinned sizes
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception:  # its errors have no base class of their own; what it cannot tell stays open
        return outputs
    shapes = {info.name: _tensor(info).shape for info in inferred.graph.output}
    return [_completed(tensor, shapes.get(tensor.name)) for tensor in outputs]


def _completed(tensor: Tensor, inferred: tuple[int | None, ...] | None) -> Tensor:
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
    for axis, pinned in zip(info.type.tensor_type.shape.dim, sizes, strict=True):
        if pinned is not None and not axis.dim_value:
            axis.Clear()
            axis.dim_value = pinned
