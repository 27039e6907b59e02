"""Outputs that no kind of output expresses: maps, indices of NMS, boxes with their score, texts."""

from __future__ import annotations

from collections.abc import Iterator

from postproc.inspection.evidence import Part, Source, speaks_for
from postproc.inspection.graph import Graph, Tensor, image_axes, listed
from postproc.inspection.observed import Columns, Observed
from postproc.inspection.readings import Reading
from postproc.inspection.recognisers.exporters import of_ultralytics
from postproc.inspection.roles import Boxes, Classes, Scores

_COARSEST = 4  # pixels of the input that a number of a map stands for; grids of boxes are coarser
_FINEST = 1 / 8  # of images that a network enlarges
_HIGHEST_LINE = 96  # pixels of a line of text
_MAPS = {"semantic": "semantic segmentation", "depth": "depth"}


def maps(observed: Observed) -> Iterator[Reading]:
    """Name maps: numbers of each pixel, such as labels, distances and heatmaps."""
    graph = observed.graph
    outputs = graph.outputs
    if not outputs or not all(_is_map(graph, tensor) for tensor in outputs):
        return
    texts = listed(outputs)
    told = of_ultralytics(graph, graph.task, Part.KIND) if graph.task in _MAPS else []
    if graph.task and not told:
        return
    what = _MAPS.get(graph.task, "segmentation, depth, heatmaps or images")
    evidence = [speaks_for(Source.SHAPES, f"{texts}: numbers for each part of the image", Part.KIND), *told]
    if any(
        graph.sources(tensor.name) & {"Resize", "Upsample", "ArgMax", "ConvTranspose"} for tensor in outputs
    ):
        text = f"{texts}: enlarged to the image, or the best label of each pixel"
        evidence.append(speaks_for(Source.OPERATORS, text, Part.KIND))
    yield Reading(
        "maps of an image",
        None,
        tuple(evidence),
        advice=f"{texts}: maps of the image ({what}), which no kind of output describes: they hold no boxes "
        "and no scores of whole images",
    )


def _is_map(graph: Graph, tensor: Tensor) -> bool:
    """Tell whether a tensor has numbers for each pixel, or for small squares of them."""
    if graph.input_size is None or tensor.rank not in (3, 4) or tensor.shape is None:
        return False
    axes = image_axes(graph.image.declared) if graph.image is not None else None
    sides = tensor.shape[1:3] if axes is not None and axes[0] == "NHWC" else tensor.shape[-2:]
    scales = {whole / side if side else 0.0 for whole, side in zip(graph.input_size, sides, strict=True)}
    return len(scales) == 1 and _FINEST <= scales.pop() <= _COARSEST


def chosen_indices(observed: Observed) -> Iterator[Reading]:
    """Name what NonMaxSuppression gives: which image, label and box it chose, not the boxes."""
    graph = observed.graph
    for tensor in graph.outputs:
        is_triple = tensor.rank in (2, 3) and tensor.axis(-1) in (3, None)  # image, label, box
        if is_triple and not tensor.is_float and graph.sources(tensor.name) == {"NonMaxSuppression"}:
            text = f"{tensor} holds indices that NonMaxSuppression chose"
            others = listed(other for other in graph.outputs if other is not tensor)
            yield Reading(
                "indices of NonMaxSuppression beside all boxes and scores",
                None,
                (
                    speaks_for(Source.OPERATORS, text, Part.KIND),
                    speaks_for(Source.SHAPES, text, Part.KIND),
                ),
                advice=f"{text} among {others or 'boxes that the network does not put out'}, and no kind of "
                "output has such indices. Export the network without NMS: describe its boxes and scores as "
                "standard_output, and postproc suppresses them",
            )


def scored_boxes(observed: Observed) -> Iterator[Reading]:
    """Name MMDeploy's boxes with their score in a fifth column, and classes beside them."""
    graph = observed.graph
    boxes = [tensor for tensor in graph.of_rank(2, 3) if tensor.axis(-1) == 5]
    if len(boxes) != 1:
        return
    classes = [
        tensor for tensor in graph.outputs if "int" in tensor.type and tensor.rank == boxes[0].rank - 1
    ]
    if len(classes) != 1:
        return
    (dets,), (labels,) = boxes, classes
    text = f"{dets} with {labels}: boxes with their score, and classes"
    evidence = [speaks_for(Source.SHAPES, text, Part.KIND)]
    if (dets.name, labels.name) == ("dets", "labels"):
        evidence.append(speaks_for(Source.NAMES, f"{text} have the names that MMDeploy gives", Part.KIND))
    score = Columns(dets.name, -1, 4, 1)
    yield Reading(
        "a detector of MMDeploy",
        None,
        tuple(evidence),
        (
            Boxes(Columns(dets.name, -1, 0, 4), "xyxy", "pixels", is_told=True, in_order=False),
            Scores(score, in_boxes=False),
            Classes(Columns(labels.name)),
        ),
        advice=f"{text}, as MMDeploy exports them, which no kind of output has. End the graph with a Split "
        f"of {dets.name} into four columns and one, and describe these as end_to_end_output",
    )


def keypoints(observed: Observed) -> Iterator[Reading]:
    """Name keypoints without boxes: of MoveNet, and of RTMPose, which scores each column and row."""
    graph = observed.graph
    outputs = graph.float_outputs
    text = listed(outputs)
    evidence = []
    if (
        len(outputs) == 1
        and outputs[0].rank == 4
        and (outputs[0].shape or ())[1:] in ((1, 17, 3), (6, 17, 3))
    ):
        evidence.append(speaks_for(Source.SHAPES, f"{text}: y, x and score of 17 keypoints", Part.KIND))
    elif len(outputs) == 2 and graph.input_size is not None and all(tensor.rank == 3 for tensor in outputs):
        height, width = graph.input_size
        if [tensor.axis(2) for tensor in outputs] == [2 * width, 2 * height]:
            found = f"{text}: scores of each half pixel along x and along y"
            evidence.append(speaks_for(Source.SHAPES, found, Part.KIND))
    if len(outputs) == 2 and all("simcc" in tensor.name.lower() for tensor in outputs):
        evidence.append(speaks_for(Source.NAMES, f"{text} are called simcc", Part.KIND))
    if evidence:
        yield Reading(
            "keypoints of one object",
            None,
            tuple(evidence),
            advice=f"{text}: keypoints (of MoveNet, or simcc of RTMPose) without boxes and scores of labels, "
            "which no kind of output describes; yolov8_pose_output reads those of a YOLO of poses",
        )


def texts(observed: Observed) -> Iterator[Reading]:
    """Name text recognition: a score for each character at each step along the image."""
    graph = observed.graph
    outputs = graph.float_outputs
    if len(outputs) != 1 or outputs[0].rank != 3 or graph.input_size is None:
        return
    height, width = graph.input_size
    (tensor,) = outputs
    steps = next((size for size in (tensor.shape or ())[:2] if size is not None and size > 1), None)
    if width < 2 * height or height > _HIGHEST_LINE or steps is None or not width / 9 <= steps <= width / 3:
        return
    text = str(tensor)
    evidence = [speaks_for(Source.SHAPES, f"{text}: {steps} steps along a line of text", Part.KIND)]
    if graph.sources(tensor.name) <= {"Softmax", "LogSoftmax"}:
        found = f"{tensor.name}: at each step the scores of all characters add up to 1 (Softmax)"
        evidence.append(speaks_for(Source.OPERATORS, found, Part.KIND))
    yield Reading(
        "text recognition",
        None,
        tuple(evidence),
        advice=f"{text}: a score for each character at each step, as text recognition gives it (CTC), which "
        "no kind of output describes",
    )
