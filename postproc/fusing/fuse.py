"""A post-processor as a model of ONNX's standard."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from postproc.errors import FusingError, TensorError
from postproc.fusing.graph import Graph, Value
from postproc.fusing.names import free_name, free_scope
from postproc.fusing.options import LOWEST_OPSET, FuseOptions
from postproc.fusing.output import bind, reason_against, write_classification, write_detection
from postproc.fusing.tensors import Tensors
from postproc.installing import install
from postproc.schema import Detection

if TYPE_CHECKING:
    import onnx

    from postproc.pipeline import PostProcessor
    from postproc.pipeline.stages import BoundDetection, Stage

_DEFAULT = FuseOptions()
FUSED = "postproc.fused"
"""Key of a file's metadata: options of what is in its graph, and the names of outputs."""
IR_VERSION = 8  # of opset 17; ONNX Runtime 1.18 reads up to 10
_COLLIDING = "detected_"


def unsupported(post: PostProcessor, options: FuseOptions = _DEFAULT) -> str | None:
    """Why a post-processor cannot be written into a graph.

    Parameters
    ----------
    post : PostProcessor
    options : FuseOptions

    Returns
    -------
    A sentence that names the output and what of it; None if it can be written.
    """
    for index, stage in enumerate(post.stages):
        if reason := reason_against(stage, options):
            return f"post_processings[{index}] {reason}"
    return None


def to_onnx(
    post: PostProcessor,
    shapes: Mapping[str, Sequence[int | str]],
    options: FuseOptions = _DEFAULT,
    *,
    dtypes: Mapping[str, Any] | None = None,
    input_size: Sequence[int] | None = None,
) -> onnx.ModelProto:
    """Write a post-processor as a graph of its own.

    Parameters
    ----------
    post : PostProcessor
    shapes : mapping of str to sequence of int or str
        Of the network's output tensors, which are the graph's inputs, by name. The first axis may be free, a
        name in its place, if it is that of the images.
    options : FuseOptions
    dtypes : mapping of str to dtype, optional
        Of those that are not float32.
    input_size : (height, width), optional
        Of the network's input, as of a call.

    Returns
    -------
    A model whose outputs are for each detection of the spec, with ``_k`` behind the names of output k where
    there are several: ``boxes`` (B, P, 4) float32, ``scores`` (B, P) float32, ``labels`` (B, P) label ids and
    ``regions`` (B, P) int64, -1 where there is no row, ``count`` (B) int64 of rows, and ``complete`` (B)
    bool. That is true of an image in which at most K candidates passed, or in which P rows were found, after
    candidates with the K-th's score were dropped if others with it were left out; with `rounds`, rows from
    the first rank that the last round changed are dropped, too, and at most K are not enough unless it
    changed nothing. Where it is false the rows are the first of those that a call gives. An output that would
    have the name of an input has ``detected_`` before it. Outputs with keypoints also have ``keypoints`` (B,
    P, J, D), those with masks ``coefficients`` (B, P, M) of their prototypes, oriented ones ``polygons`` (B,
    P, 4, 2) and ``angles`` (B, P), all float32. A classification has ``scores``, ``labels``, ``count`` and
    ``complete`` alone. Inputs that options ask for are ``placement`` and
    ``thresholds``, with ``_k`` likewise.

    Raises
    ------
    FusingError
        If something of it cannot be written, or boxes are in pixels of an input whose size nothing tells.
    TensorError
        If shapes do not fit the documents.
    """
    check(post, options)
    from onnx import helper

    g = new_graph(options, options.opset, free_scope("postproc", post.tensor_names))
    tensors = Tensors(g, shapes, {} if dtypes is None else dtypes)
    _check_size(post, options, input_size)
    outputs, inputs, names = write_all(g, post, tensors, options, input_size, [*post.tensor_names])
    given = [
        helper.make_tensor_value_info(name, _element_type(tensors.dtypes[name]), tensors.shapes[name])
        for name in post.tensor_names
    ]
    model = helper.make_model(
        helper.make_graph(g.nodes, "postproc", [*given, *inputs], outputs, g.initializers),
        opset_imports=[helper.make_opsetid("", g.opset)],
        producer_name="postproc",
    )
    model.ir_version = IR_VERSION
    add_metadata(model, post, options, names)
    return model


def write_all(
    g: Graph,
    post: PostProcessor,
    tensors: Tensors,
    options: FuseOptions,
    input_size: Sequence[int] | None,
    taken: Sequence[Value],
    pixels: Sequence[int] | None = None,
) -> tuple[list[Any], list[Any], list[dict[str, str]]]:
    """Write all outputs of a post-processor; give the outputs, further inputs, and names of outputs.

    Boxes that are in [0, 1] by the documents are in `pixels`, height and width, where the options ask for it.
    """
    from onnx import TensorProto, helper

    outputs, inputs, all_names, batches = [], [], [], {}
    for index, stage in enumerate(post.stages):
        suffix = f"_{index}" if len(post.stages) > 1 else ""
        bound = bind(stage, tensors, input_size, not post.uses_input_size)
        batch = _batch(stage, tensors) or bound.batch
        batches[batch] = stage.tensor_names
        has_boxes = isinstance(stage.task, Detection)
        placement = thresholds = None
        if has_boxes and options.placement == "input":
            placement = f"placement{suffix}"
            inputs.append(helper.make_tensor_value_info(placement, TensorProto.DOUBLE, [batch, 2, 4]))
        if options.thresholds == "input":
            thresholds = f"thresholds{suffix}"
            shape = [len(stage.table.ids)]
            inputs.append(helper.make_tensor_value_info(thresholds, TensorProto.FLOAT, shape))
        if has_boxes:
            of_boxes = cast("BoundDetection", bound)
            found = write_detection(g, tensors, of_boxes, options, thresholds, placement, pixels)
        else:
            found = write_classification(g, tensors, stage, options, thresholds)
        names: dict[str, str] = {}
        for kind, (value, dtype, axes) in found.items():
            names[kind] = _output_name(f"{kind}{suffix}", taken)
            g.op("Identity", value, name=names[kind])
            element = _element_type(np.dtype(dtype))
            outputs.append(helper.make_tensor_value_info(names[kind], element, [batch, *axes]))
        all_names.append(names)
    _check_batches(batches)
    if clashing := {one.name for one in inputs} & {*taken}:
        raise FusingError(
            f"the network has an input or output {min(clashing)!r}, and the options need that name: rename it"
        )
    return outputs, inputs, all_names


def add_metadata(
    model: onnx.ModelProto, post: PostProcessor, options: FuseOptions, names: list[dict[str, str]]
) -> None:
    """Write into a model what it was made of: documents, options, and the names of outputs."""
    fused = {**dataclasses.asdict(options), "max_predictions": options.rows, "outputs": names}
    texts = {
        "postproc.spec": json.dumps(post.spec.dump()),
        "postproc.version": json.dumps(post.version.dump()),
        FUSED: json.dumps(fused),
    }
    for key, value in texts.items():
        set_metadata(model, key, value)


def set_metadata(model: onnx.ModelProto, key: str, value: str) -> None:
    """Write an entry into a model's metadata, in the place of one that is there."""
    for entry in [entry for entry in model.metadata_props if entry.key == key]:
        model.metadata_props.remove(entry)
    model.metadata_props.add(key=key, value=value)


def check(post: PostProcessor, options: FuseOptions) -> None:
    """Check that onnx is there, and that a post-processor can be written.

    Raises
    ------
    FusingError
        If not.
    """
    try:
        import onnx
    except ImportError:
        raise FusingError(f"writing graphs needs onnx: {install('onnx')}") from None
    if not isinstance(options, FuseOptions):
        raise FusingError(
            f"options: expected FuseOptions(candidates=..., ...), got {type(options).__name__} {options!r}"
        )
    if options.opset > (newest := onnx.defs.onnx_opset_version()):
        raise FusingError(
            f"opset: expected {LOWEST_OPSET} to {newest}, the newest that onnx {onnx.__version__} knows, got "
            f"{options.opset}: ask for less, or install a newer onnx"
        )
    if reason := unsupported(post, options):
        raise FusingError(reason)


def _check_size(post: PostProcessor, options: FuseOptions, input_size: Sequence[int] | None) -> None:
    """Check that the size is known by which a graph divides boxes in pixels, unless an input holds it."""
    if input_size is not None or options.placement == "input":
        return
    for index, stage in enumerate(post.stages):
        if isinstance(stage.task, Detection) and stage.uses_input_size and stage.task.input_size is None:
            can_tell = stage.task.output.declared_coordinates is not None
            raise FusingError(
                f"post_processings[{index}]: boxes are in pixels of the network's input, whose size nothing "
                "tells: give input_size, or declare the detection's input_size"
                + (' (if they are in [0, 1], coordinates "normalized" of its output)' if can_tell else "")
            )


def new_graph(options: FuseOptions, opset: int, scope: str = "postproc/") -> Graph:
    """Return a graph without nodes."""
    return Graph(opset, np.float64 if options.precision == "float64" else np.float32, scope)


def _batch(stage: Stage, tensors: Tensors) -> str | None:
    """Name of the axis of images, if it is free."""
    return next(iter(tensors.free(stage.tensor_names).values()), None)


def _check_batches(tensors: Mapping[int | str, Sequence[str]]) -> None:
    """Check that tensors, by their numbers of images, are of as many; of a free number they may be."""
    fixed = [(batch, names) for batch, names in tensors.items() if isinstance(batch, int)]
    if len(fixed) > 1:
        counts = ", ".join(f"{names} have {batch}" for batch, names in fixed)
        raise TensorError(f"tensors disagree on the number of images: {counts}")


def _output_name(name: str, taken: Sequence[Value]) -> str:
    return free_name(_COLLIDING + name, taken) if name in taken else name


def _element_type(dtype: np.dtype[Any]) -> int:
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(dtype))
