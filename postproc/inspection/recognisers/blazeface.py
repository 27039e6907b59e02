"""BlazeFace, whose priors MediaPipe makes and no file holds."""

from __future__ import annotations

from collections.abc import Iterator

from postproc.inspection.evidence import Part, Source, speaks_for
from postproc.inspection.meanings import Detects
from postproc.inspection.observed import Columns, Observed
from postproc.inspection.presets import BLAZEFACE, BLAZEFACE_IMAGE
from postproc.inspection.readings import Reading
from postproc.inspection.roles import Scores
from postproc.schema import SsdOutput

_OFFSETS, _SCORES = (896, 16), (896, 1)
_SIDES = {128: "short range (front)", 256: "back"}


def blazeface(observed: Observed) -> Iterator[Reading]:
    """Recognise (1, 896, 16) and (1, 896, 1) at an input of 128 or 256 pixels."""
    graph = observed.graph
    tensors = graph.of_rank(3)
    offsets = [tensor for tensor in tensors if (tensor.axis(1), tensor.axis(2)) == _OFFSETS]
    scores = [tensor for tensor in tensors if (tensor.axis(1), tensor.axis(2)) == _SCORES]
    side = graph.input_size[0] if graph.input_size else 0
    if len(offsets) != 1 or len(scores) != 1 or graph.input_size != (side, side) or side not in _SIDES:
        return
    text = (
        f"{offsets[0]} and {scores[0]} at an input of "
        f"{side}x{side}: a box and 6 keypoints for each of BlazeFace's 896 priors"
    )
    parts = (Part.KIND, Part.COLUMNS, Part.BACKGROUND, Part.BOX_FORMAT, Part.UNITS, Part.FACTORS)
    evidence = [speaks_for(Source.SHAPES, text, *parts)]
    if (offsets[0].name, scores[0].name) == ("regressors", "classificators"):
        text = "regressors and classificators are what MediaPipe calls them"
        evidence.append(speaks_for(Source.NAMES, text, *parts))
    for activation in ("sigmoid", "none"):
        output = SsdOutput.load(
            {
                "offsets_tensor": offsets[0].name,
                "scores_tensor": scores[0].name,
                "priors": _priors(),
                "offsets_scale": [1 / side] * 4,
                "size_coding": "linear",
                "score_activation": activation,
                "background": "none",
            }
        )
        yield Reading(
            f"MediaPipe's BlazeFace, {_SIDES[side]}",
            Detects(output, 1, BLAZEFACE, BLAZEFACE_IMAGE, "box and keypoints, score"),
            tuple(evidence),
            (Scores(Columns(scores[0].name), activation),),
            checks=(
                "the priors are not in the file: they are made as MediaPipe makes them",
                "keypoints are not read",
                "MediaPipe merges faces by weight: add nms_method weighted for the same boxes",
            ),
        )


def _priors() -> list[list[float]]:
    """Make MediaPipe's priors of size 1: 2 for each of 16 x 16 cells, 6 for each of 8 x 8."""
    return [
        [(column + 0.5) / cells, (row + 0.5) / cells, 1, 1]
        for cells, each in ((16, 2), (8, 6))
        for row in range(cells)
        for column in range(cells)
        for _ in range(each)
    ]
