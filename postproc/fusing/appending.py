"""A network's graph with the post-processing behind it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from postproc.errors import FusingError
from postproc.fusing.fuse import FUSED, IR_VERSION, add_metadata, check, new_graph, write_all
from postproc.fusing.known_shapes import declare_types, known_shapes
from postproc.fusing.names import free_scope, names_of, rename, values_of
from postproc.fusing.options import LOWEST_OPSET, FuseOptions
from postproc.fusing.sizes import size_of_images
from postproc.fusing.tensors import Tensors

if TYPE_CHECKING:
    import onnx

    from postproc.pipeline import PostProcessor


def append(
    model: onnx.ModelProto,
    post: PostProcessor,
    options: FuseOptions | None = None,
    *,
    input_size: Sequence[int] | None = None,
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
        Of the images that the network takes, where its file leaves it open or does not tell where height and
        width are: their input then takes that size alone. As `postproc.onnx_runner.OnnxRunner` has it from
        the images fed, and used only for what the documents say is in pixels of it.
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
        If something cannot be written, if tensors are missing in the network or their sizes are free, if
        boxes are in pixels of an input whose size nothing tells, or is another than `input_size`, or if the
        network has its post-processing already.
    TensorError
        If shapes do not fit the documents.
    """
    options = FuseOptions() if options is None else options
    check(post, options)
    from onnx import ModelProto

    if not isinstance(model, ModelProto):
        raise FusingError(
            f"model: expected an onnx.ModelProto, as of onnx.load(path); got {type(model).__name__}"
        )
    fused = _raised(model, options)
    declare_types(fused, post.tensor_names)
    fused.ir_version = max(fused.ir_version, IR_VERSION)
    size = size_of_images(fused.graph, post, input_size, in_pixels=options.pixels)
    opsets = {one.domain: one.version for one in fused.opset_import}
    names_before = names_of(fused.graph)
    scope = free_scope("postproc", names_before)
    g = new_graph(options, opsets.get("", opsets.get("ai.onnx", 0)), scope)
    outputs_before = [one.name for one in fused.graph.output]
    inputs_before = [one.name for one in fused.graph.input]
    given = {one.name: one.type.tensor_type for one in (*fused.graph.input, *fused.graph.output)}
    missing = [name for name in post.tensor_names if name not in given]
    if missing:
        raise FusingError(
            f"tensor {missing[0]!r} is not among the network's outputs {', '.join(map(repr, outputs_before))}"
        )
    for info in (*fused.graph.input, *fused.graph.output):
        if info.name in post.tensor_names and not info.type.tensor_type.elem_type:
            kind = info.type.WhichOneof("value")
            if kind in (None, "tensor_type"):
                raise FusingError(
                    f"{info.name!r} of the network is of no type in its file, and its inputs tell none: "
                    "export the network with the types of its outputs, or write them into the file "
                    "(onnx.helper.make_tensor_value_info)"
                )
            raise FusingError(
                f"{info.name!r} of the network is {kind.removesuffix('_type').replace('_', ' ')}: expected a "
                "tensor of numbers; post-process by OnnxRunner, or have the network give one"
            )
    shapes = known_shapes(fused, {name: given[name] for name in post.tensor_names})
    for name in post.tensor_names:
        if name not in shapes:
            raise FusingError(
                f"tensor {name!r} has no shape in the file, and none follows from the network's inputs: "
                "export the network with inputs of fixed sizes"
            )
    dtypes = {name: _dtype(name, given[name].elem_type) for name in shapes}
    kept = outputs_before if keep_outputs else [*_of_rows(post)]
    taken = [*kept, *inputs_before]
    tensors = Tensors(g, shapes, dtypes)
    outputs, inputs, names = write_all(
        g, post, tensors, options, size if post.uses_input_size else None, taken, size
    )
    new = [one.name for one in (*outputs, *inputs)]
    # Values of the network that have such names make way.
    moved = free_scope("network", names_before)
    rename(fused.graph, {name: moved + name for name in values_of(fused.graph) if name in new})
    renamed = {name: moved + name for name in outputs_before if name in new}
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
        output: Any = getattr(stage.task, "output", None)  # a classification has none
        for field in ("prototypes_tensor", "masks_tensor"):
            if (name := getattr(output, field, None)) is not None:
                yield name


def _dtype(name: str, element: int) -> np.dtype[Any]:
    """Give the data type of a tensor; before 1.17 onnx has float32 for all that NumPy lacks."""
    import onnx

    dtype = onnx.helper.tensor_dtype_to_np_dtype(element)
    if onnx.helper.np_dtype_to_tensor_dtype(dtype) != element:
        kind = onnx.TensorProto.DataType.Name(element).lower()
        raise FusingError(
            f"tensor {name!r} is {kind}, which onnx {onnx.__version__} cannot express: install a newer onnx, "
            "or have the network give float32"
        )
    return dtype


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
    if model.functions:  # which the converter leaves out
        raise FusingError(
            f"the network has opset {found} and functions of its own, and cannot be raised to "
            f"{options.opset}: export it with opset {options.opset} or later"
        )
    from onnx import version_converter

    try:
        return version_converter.convert_version(model, options.opset)
    except Exception as error:  # of C++, of many kinds
        raise FusingError(
            f"the network has opset {found}, and cannot be raised to {options.opset}: {error}; export it "
            f"with opset {options.opset} or later"
        ) from None
