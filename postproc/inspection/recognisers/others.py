"""Outputs that no kind of output expresses: indices of NMS, keypoints without boxes, lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from postproc.inspection.evidence import Part, Source, speaks_for
from postproc.inspection.graph import listed
from postproc.inspection.observed import Observed
from postproc.inspection.readings import Reading

_HIGHEST_LINE = 96  # pixels of a line of text
_FEWEST_CHARACTERS = 11  # digits, and what stands for none


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
    # Batch, steps and characters come in several orders.
    lengths = [size for size in tensor.shape or () if size is not None]
    steps = next((size for size in lengths if width / 9 <= size <= width / 3), None)
    if width < 2 * height or height > _HIGHEST_LINE or steps is None or max(lengths) < _FEWEST_CHARACTERS:
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
        advice=f"{text}: a score for each character at each step, as text recognition gives it (CRNN and "
        "others by CTC), which no kind of output describes",
    )
