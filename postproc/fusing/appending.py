"""A network's graph with the post-processing behind it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from postproc.errors import FusingError
from postproc.fusing.fuse import FUSED, IR_VERSION, add_metadata, check, new_graph, write_all
from postproc.fusing.graph import Value
from postproc.fusing.known_shapes import known_shapes
from postproc.fusing.options import LOWEST_OPSET, FuseOptions
from postproc.fusing.tensors import Tensors

if TYPE_CHECKING:
    import onnx

    from postproc.pipeline import PostProcessor
    from postproc.schema import Detection

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
        Whose tensors are outputs of the network, or inputs such as the size of its images.
    options : FuseOptions, optional
    input_size : (height, width), optional
        Of the network's input, as of a call.
    keep_outputs : bool
        Whether all outputs of the network stay outputs, behind those of `to_onnx`. Prototypes and masks,
        which rows refer to, stay in any case.

    Returns
    -------
    The network with the outputs of `to_onnx`. Sizes that its file leaves open, but that follow from those of
    its inputs, count as fixed. One of an opset before 13 is raised to that of the options.

    Raises
    ------
    FusingError
        If something cannot be written, if tensors are missing in the network or their sizes are free, or if
        it has its post-processing already.
    TensorError
        If shapes do not fit the documents.
    """
    options = options or FuseOptions()
    check(post, options)
    from onnx import helper

    fused = _raised(model, options)
    fused.ir_version = max(fused.ir_version, IR_VERSION)
    opsets = {one.domain: one.version for one in fused.opset_import}
    g = new_graph(options, opsets.get("", opsets.get("ai.onnx", 0)))
    outputs_before = [one.name for one in fused.graph.output]
    inputs_before = [one.name for one in fused.graph.input]
    given = {one.name: one.type.tensor_type for one in (*fused.graph.input, *fused.graph.output)}
    missing = [name for name in post.tensor_names if name not in given]
    if missing:
        raise FusingError(
            f"tensor {missing[0]!r} is not among the network's outputs {', '.join(map(repr, outputs_before))}"
        )
    shapes = known_shapes(fused, {name: given[name] for name in post.tensor_names})
    for name in post.tensor_names:
        if name not in shapes:
            raise FusingError(
                f"tensor {name!r} has no shape in the file, and none follows from the network's inputs: "
                "export the network with inputs of fixed sizes"
            )
    dtypes = {name: helper.tensor_dtype_to_np_dtype(given[name].elem_type) for name in shapes}
    kept = outputs_before if keep_outputs else [*_of_rows(post)]
    taken = [*kept, *inputs_before]
    tensors = Tensors(g, shapes, dtypes)
    outputs, inputs, names = write_all(g, post, tensors, options, input_size, taken)
    new = [one.name for one in (*outputs, *inputs)]
    if clashing := {one.name for one in inputs} & {*inputs_before}:
        raise FusingError(
            f"the network has an input {min(clashing)!r}, which the options need a name for: rename it"
        )
    # Values of the network that have such names make way.
    _rename(fused.graph, {name: _NETWORK + name for name in _names(fused.graph) if name in new})
    renamed = {name: _NETWORK + name for name in outputs_before if name in new}
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


def _of_rows(post: PostProcessor) -> Iterator[str]:
    """Yield names of tensors by which coefficients and regions of rows become masks."""
    for stage in post.stages:
        output: Any = cast("Detection", stage.task).output
        for field in ("prototypes_tensor", "masks_tensor"):
            if (name := getattr(output, field, None)) is not None:
                yield name


def _raised(model: onnx.ModelProto, options: FuseOptions) -> onnx.ModelProto:
    """Return a copy, in the opset of the options where its own lacks what is needed."""
    if any(one.key == FUSED for one in model.metadata_props):
        raise FusingError(
            "the network has its post-processing in its graph already: take the file without it"
        )
    found = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), None)
    if found is None:
        raise FusingError("the network names no opset of ONNX's operators")
    if found >= LOWEST_OPSET:
        return copy.deepcopy(model)
    from onnx import version_converter

    try:
        return version_converter.convert_version(model, options.opset)
    except Exception as error:  # of C++, of many kinds
        raise FusingError(
            f"the network has opset {found}, and cannot be raised to {options.opset}: {error}; export it "
            f"with opset {options.opset} or later"
        ) from None


def _names(graph: Any) -> Iterator[Value]:
    """Yield names of values that a graph, and graphs in it, make."""
    for node in graph.node:
        yield from node.output
        for inner in _inner(node):
            yield from [one.name for one in inner.input]
            yield from _names(inner)
    for one in graph.initializer:
        yield one.name


def _inner(node: Any) -> Iterator[Any]:
    """Yield the graphs of a node."""
    for attribute in node.attribute:
        yield from attribute.graphs
        if attribute.HasField("g"):
            yield attribute.g


def _rename(graph: Any, names: Mapping[Value, Value]) -> None:
    """Rename values in a graph, and where graphs in it use them."""
    if not names:
        return
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for inner in _inner(node):
            for one in inner.input:
                one.name = names.get(one.name, one.name)
            _rename(inner, names)
    for one in (*graph.initializer, *graph.value_info, *graph.output):
        one.name = names.get(one.name, one.name)
