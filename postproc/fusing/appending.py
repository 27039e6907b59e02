"""A network's graph with the post-processing behind it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from postproc.errors import FusingError
from postproc.fusing.fuse import add_metadata, check, new_graph, write_all
from postproc.fusing.graph import Value
from postproc.fusing.options import FuseOptions
from postproc.fusing.tensors import Tensors

if TYPE_CHECKING:
    import onnx

    from postproc.pipeline import PostProcessor

_NETWORK = "network/"


def append(
    model: onnx.ModelProto,
    post: PostProcessor,
    options: FuseOptions | None = None,
    *,
    input_size: tuple[int, int] | None = None,
    keep_outputs: bool = False,
) -> onnx.ModelProto:
    """Write a post-processor behind a network.

    Parameters
    ----------
    model : onnx.ModelProto
        Stays as it is.
    post : PostProcessor
        Whose tensors are outputs of the network.
    options : FuseOptions, optional
    input_size : (height, width), optional
        Of the network's input, as of a call.
    keep_outputs : bool
        Whether the network's outputs stay outputs, behind those of `to_onnx`.

    Returns
    -------
    The network with the outputs of `to_onnx`, in a later opset where its own is too early.

    Raises
    ------
    FusingError
        If something cannot be written, or outputs of the network are missing or of free shapes.
    TensorError
        If shapes do not fit the documents.
    """
    options = options or FuseOptions()
    check(post, options)
    from onnx import helper

    fused = _raised(model, options)
    opsets = {one.domain: one.version for one in fused.opset_import}
    g = new_graph(options, opsets.get("", opsets.get("ai.onnx", 0)))
    found = {output.name: output.type.tensor_type for output in fused.graph.output}
    missing = [name for name in post.tensor_names if name not in found]
    if missing:
        raise FusingError(
            f"tensor {missing[0]!r} is not among the network's outputs {', '.join(map(repr, found))}"
        )
    shapes = {name: _shape(found[name]) for name in post.tensor_names}
    dtypes = {name: helper.tensor_dtype_to_np_dtype(found[name].elem_type) for name in post.tensor_names}
    kept = [*found] if keep_outputs else []
    taken = [*kept, *[one.name for one in fused.graph.input]]
    tensors = Tensors(g, shapes, dtypes, {})
    outputs, inputs, names = write_all(g, post, tensors, options, input_size, taken)
    new = [one.name for one in (*outputs, *inputs)]
    # Values of the network that have such names make way.
    _rename(fused.graph, {name: _NETWORK + name for name in _names(fused.graph) if name in new})
    renamed = {name: _NETWORK + name for name in found if name in new}
    for node in g.nodes:
        node.input[:] = [renamed.get(name, name) if name in shapes else name for name in node.input]
    raw = [one for one in fused.graph.output if one.name in kept]
    del fused.graph.output[:]
    fused.graph.node.extend(g.nodes)
    fused.graph.initializer.extend(g.initializers)
    fused.graph.input.extend(inputs)
    fused.graph.output.extend([*outputs, *raw])
    add_metadata(fused, post, options, names)
    return fused


def _raised(model: onnx.ModelProto, options: FuseOptions) -> onnx.ModelProto:
    """Return a copy of at least the opset of the options."""
    found = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), None)
    if found is None:
        raise FusingError("the network names no opset of ONNX's operators")
    if found >= options.opset:
        return copy.deepcopy(model)
    from onnx import version_converter

    try:
        return version_converter.convert_version(model, options.opset)
    except Exception as error:  # of C++, of many kinds
        raise FusingError(
            f"the network has opset {found}, and cannot be raised to {options.opset}: {error}; export it "
            f"with opset {options.opset} or later"
        ) from None


def _shape(tensor: Any) -> list[int | str]:
    """Sizes of an output's axes, a text for each that is free."""
    return [
        size.dim_value if size.HasField("dim_value") else size.dim_param or f"axis_{axis}"
        for axis, size in enumerate(tensor.shape.dim)
    ]


def _names(graph: Any) -> Iterator[Value]:
    """Yield names of values that nodes and constants of a graph make."""
    for node in graph.node:
        yield from node.output
    for one in graph.initializer:
        yield one.name


def _rename(graph: Any, names: Mapping[Value, Value]) -> None:
    """Rename values in a graph, and where graphs in it use them."""
    if not names:
        return
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _rename(inner, names)
    for one in (*graph.initializer, *graph.value_info, *graph.output):
        one.name = names.get(one.name, one.name)
