"""One output of a version, written into a graph."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from postproc.call_options import CallOptions
from postproc.decoding import ACTIVATIONS
from postproc.errors import FusingError, TensorError
from postproc.fusing.finishing import Output, clipped, divided, finish, finish_labels, placed, scaled
from postproc.fusing.graph import Graph, Operand, Value
from postproc.fusing.heads import HEADS, Fusion
from postproc.fusing.heads.decoded import Place, Scored
from postproc.fusing.heads.fusion import activated
from postproc.fusing.options import FuseOptions
from postproc.fusing.selection import select
from postproc.fusing.sizes import Divisors
from postproc.fusing.suppression import suppress
from postproc.fusing.tensors import FREE, Tensors
from postproc.schema import Classification, Detection

if TYPE_CHECKING:  # the pipeline stands on this package
    from postproc.pipeline.stages import Bound, BoundDetection, Stage

_ADVICE = (
    "A graph takes as many boxes of each image as its file says: export the network with a fixed number of "
    "boxes (and a batch axis), or post-process its tensors by the kernels, as OnnxRunner does"
)


def reason_against(stage: Stage, options: FuseOptions) -> str | None:
    """Why an output cannot be written into a graph; None if it can."""
    task = stage.task
    if not isinstance(task, Detection):
        return None
    if task.kind not in HEADS:
        return f"is a {task.kind}, which is not among {', '.join(HEADS)}"
    if task.nms_method != "hard":
        return f'has nms_method "{task.nms_method}"; only "hard" can be written'
    if (task.yolox_output or task.distance_output) and task.normalize_wrt_tensor:
        return "has the cells of its grids from normalize_wrt_tensor, at run time: declare input_size instead"
    output: Any = task.output
    if not getattr(output, "keep_empty_masks", True):
        return "leaves out rows whose masks are empty, which takes the masks: declare keep_empty_masks true"
    if task.end_to_end_output and "image" in output.columns:
        return "has rows that name their images, in any order and number"
    if output.yields == "oriented boxes" and options.nms == "operator":
        return "has oriented boxes, which NonMaxSuppression does not know: take another nms"
    return None


def bind(stage: Stage, tensors: Tensors, input_size: Sequence[int] | None, size_is_for_all: bool) -> Bound:
    """Give what the kernels would be given for tensors of these shapes.

    Raises
    ------
    FusingError
        If shapes are missing, not all known, or free in an axis that is not that of the images.
    TensorError
        If shapes do not fit the document.
    """
    tensors.check(stage.tensor_names)
    copied: Any = copy.copy(stage)
    copied.signs = copy.copy(copied.signs)  # whose looks are for what a network returns
    sized = getattr(stage.task, "normalize_wrt_tensor", None)
    examples = {name: tensors.example(name, int(name == sized)) for name in stage.tensor_names}
    options = CallOptions.checked(False, 1, input_size, None, None, size_is_for_all)
    tensors.read_as(copied._quantizations)
    free = tensors.free(stage.tensor_names)
    try:
        bound = copied.bind(examples, options)
    except TensorError as error:
        if not free:
            raise
        name, axis = next(iter(free.items()))
        raise TensorError(f"{error} ({FREE} stands for the free axis {axis!r} of {name!r})") from None
    if free and bound.batch != FREE:
        name, axis = next(iter(free.items()))
        raise FusingError(
            f"tensor {name!r} has shape {tensors.shapes[name]}, whose first axis is free, and not that of "
            f"images: {axis!r} counts what is found in one. {_ADVICE}"
        )
    return cast("Bound", getattr(bound, "boxes", bound))  # without what adds more than boxes


def write_classification(
    g: Graph,
    tensors: Tensors,
    stage: Stage,
    options: FuseOptions,
    thresholds: Operand | None,
) -> dict[str, Output]:
    """Write all operators of a classification; `thresholds` are an input, if given."""
    task, table = cast("Classification", stage.task), stage.table
    if thresholds is None:
        thresholds = np.array(table.thresholds, np.float32)
    labels = len(table.ids)
    values = g.op("Reshape", tensors.numbers(task.output_tensor), [-1, labels, 1])
    scores = activated(g, values, ACTIVATIONS[task.score_activation])
    selected = select(g, Scored(scores, labels, 1), thresholds, True, options.candidates)
    return finish_labels(g, selected, table.ids, options.rows)


def write_detection(
    g: Graph,
    tensors: Tensors,
    bound: BoundDetection,
    options: FuseOptions,
    thresholds: Operand | None,
    placement: Value | None,
    pixels: Sequence[int] | None,
) -> dict[str, Output]:
    """Write all operators of a detection; `thresholds` and `placement` are inputs, if given."""
    stage = bound.stage
    decision, task = stage.decision, stage.task
    size = _size(g, tensors, bound)
    rule = decision.rule
    if thresholds is None:
        thresholds = np.asarray(rule.thresholds)
    decoded = HEADS[task.kind](Fusion(g, tensors, task.output, bound, size, thresholds))
    selected = select(g, decoded, thresholds, bool(rule.multi_label), options.candidates)
    corners = decoded.corners(selected.boxes, selected.labels)
    valid = g.all_of(g.op("Greater", selected.scores, 0.0), *[g.is_finite(side) for side in corners])
    if decoded.has_area is not None:
        valid = g.op("And", valid, decoded.has_area(selected.boxes))
    corners = [g.op("Where", valid, side, 0.0) for side in corners]
    if len(bound.bounds):
        limits: Sequence[Operand] = (np.float32(1), np.float32(1)) * 2 if size is None else size.sides
        corners = [clipped(g, side, limit) for side, limit in zip(corners, limits, strict=True)]
    keep, are_all_known = suppress(
        g,
        corners,
        selected.labels,
        valid,
        np.asarray(rule.iou_thresholds),
        bool(rule.class_agnostic),
        selected.count,
        options,
        index=None if decoded.index is None else partial(decoded.index, selected.boxes),
        fast=decoded.fast,
    )
    in_image = divided(g, corners, size) if placement is None else placed(g, corners, placement)
    scale = _scale(bound, size, pixels) if options.pixels else None
    finished = finish(
        g,
        selected,
        in_image,
        keep,
        are_all_known,
        ids=decision.ids,
        columns=int(bound.candidates.columns),
        rows=options.rows,
        scale=scale,
    )
    place = _placer(g, size, placement, scale)
    extras = {
        name: Output(
            _of_rows(g, extra.of(finished.box_numbers, place), finished.is_row, extra.shape),
            np.float32,
            (options.rows, *extra.shape),
        )
        for name, extra in decoded.extras.items()
    }
    return {**finished.of_rows, **extras, **finished.of_images}


def _placer(g: Graph, size: Divisors | None, placement: Value | None, scale: Divisors | None) -> Place:
    """Give what places points as corners are placed."""

    def place(x: Value, y: Value) -> tuple[Value, Value]:
        pair = divided(g, [x, y], size) if placement is None else placed(g, [x, y], placement)
        return tuple(pair) if scale is None else tuple(scaled(g, pair, scale))  # type: ignore[return-value]

    return place


def _of_rows(g: Graph, values: Value, is_row: Value, shape: tuple[int, ...]) -> Value:
    """Values (B, P, ...), zeros where there is no row."""
    axes = range(2, 2 + len(shape))
    return g.op("Where", g.unsqueeze(is_row, *axes) if shape else is_row, values, np.float32(0))


def _size(g: Graph, tensors: Tensors, bound: BoundDetection) -> Divisors | None:
    """Width and height that boxes are in pixels of; None if they are relative already."""
    if bound.sizes is None:
        return None
    if name := bound.stage.task.normalize_wrt_tensor:
        sizes = tensors.numbers(name, 2)
        return Divisors(g.slice(sizes, 1, 1, 2), g.slice(sizes, 1, 0, 1))
    height, width = cast("tuple[float, float]", bound.sizes)
    return Divisors(np.float32(width), np.float32(height))


def _scale(bound: BoundDetection, size: Divisors | None, pixels: Sequence[int] | None) -> Divisors:
    """Width and height of the input, by which boxes in [0, 1] are in pixels."""
    if size is not None:
        return size
    given: Any = pixels or bound.options.input_size or bound.stage.task.input_size
    if given is None:
        raise FusingError(
            f"boxes of {bound.stage.tensor_names} in pixels need the size of the network's input: declare "
            "the detection's input_size, or give input_size"
        )
    height, width = given
    return Divisors(np.float32(width), np.float32(height))
