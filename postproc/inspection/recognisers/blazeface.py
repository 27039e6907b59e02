"""BlazeFace, whose priors MediaPipe makes and no file holds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from postproc.inspection.evidence import Part, Source, speaks_for
from postproc.inspection.meanings import Detects
from postproc.inspection.observed import Columns, Observed
from postproc.inspection.presets import BLAZEFACE, BLAZEFACE_IMAGE
from postproc.inspection.readings import Reading
from postproc.inspection.roles import Scores
from postproc.schema import SsdOutput

# Side of the input, and of each grid the cells a side and the priors a cell.
_NETWORKS = {
    128: ("short range (front)", ((16, 2), (8, 6))),
    256: ("back", ((16, 2), (8, 6))),
    192: ("full range", ((48, 1),)),
}
_KEYPOINTS = 6


def blazeface(observed: Observed) -> Iterator[Reading]:
    """Recognise (1, N, 16) and (1, N, 1) of MediaPipe's N priors at an input of 128, 192 or 256 pixels."""
    graph = observed.graph
    side = graph.input_size[0] if graph.input_size else 0
    if graph.input_size != (side, side) or side not in _NETWORKS:
        return
    network, grids = _NETWORKS[side]
    priors = list(_priors(grids))
    tensors = [tensor for tensor in graph.of_rank(3) if tensor.axis(1) == len(priors)]
    offsets = [tensor for tensor in tensors if tensor.axis(2) == 4 + 2 * _KEYPOINTS]
    scores = [tensor for tensor in tensors if tensor.axis(2) == 1]
    if len(offsets) != 1 or len(scores) != 1:
        return
    text = (
        f"{offsets[0]} and {scores[0]} at an input of {side}x{side}: a box and {_KEYPOINTS} keypoints for "
        f"each of BlazeFace's {len(priors)} priors"
    )
    parts = (Part.KIND, Part.COLUMNS, Part.BACKGROUND, Part.BOX_FORMAT, Part.UNITS, Part.FACTORS)
    evidence = [speaks_for(Source.SHAPES, text, *parts)]
    names = offsets[0].name, scores[0].name
    if names == ("regressors", "classificators") or all("_face_" in name for name in names):
        text = f"{' and '.join(names)} are what MediaPipe calls them"
        evidence.append(speaks_for(Source.NAMES, text, *parts))
    for activation in ("sigmoid", "none"):
        output = SsdOutput.load(
            {
                "offsets_tensor": offsets[0].name,
                "scores_tensor": scores[0].name,
                "keypoints": _KEYPOINTS,
                "priors": priors,
                "offsets_scale": [1 / side] * 4,
                "size_coding": "linear",
                "score_activation": activation,
                "background": "none",
            }
        )
        yield Reading(
            f"MediaPipe's BlazeFace, {network}",
            Detects(output, 1, BLAZEFACE, BLAZEFACE_IMAGE, "box and keypoints, score"),
            tuple(evidence),
            (Scores(Columns(scores[0].name), activation),),
            checks=(
                "the priors are not in the file: they are made as MediaPipe makes them",
                "MediaPipe merges faces by weight: add nms_method weighted for the same boxes",
            ),
        )


def _priors(grids: Sequence[tuple[int, int]]) -> Iterator[list[float]]:
    """Make MediaPipe's priors of size 1: some for each of so many cells a side."""
    for cells, each in grids:
        for row, column, _ in itertools.product(range(cells), range(cells), range(each)):
            yield [(column + 0.5) / cells, (row + 0.5) / cells, 1, 1]
