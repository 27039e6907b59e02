"""YuNet: for each stride a score, an objectness, a box and landmarks, in outputs of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from postproc.inspection.evidence import Part, Source, speaks_for
from postproc.inspection.graph import Graph, listed
from postproc.inspection.meanings import Detects
from postproc.inspection.observed import Observed
from postproc.inspection.presets import YUNET, YUNET_IMAGE
from postproc.inspection.readings import Reading
from postproc.inspection.recognisers.grids import Grid, by_stride, grids_of
from postproc.inspection.roles import Raw, Scores
from postproc.schema import YoloxOutput
from postproc.schema.outputs import ScoreActivation

_KEYPOINTS = 5
_NUMBERS = (1, 1, 4, 2 * _KEYPOINTS)  # a cell of each output of a stride
_FIELDS = ("scores_tensors", "objectness_tensors", "boxes_tensors", "landmarks_tensors")
_NAMES = (("cls", "score"), ("obj",), ("box",), ("kps", "landmark"))
_STRIDES = (8, 16, 32)


def levels_of(graph: Graph) -> dict[int, tuple[Grid, ...]]:
    """Find the four outputs of each stride, in the order of `_FIELDS`; none if they are not YuNet's.

    The score is a square root of a product, whose factors may change places: where no name tells which of
    two is the objectness, it is the second.
    """
    levels = {}
    for stride, grids in by_stride(grids_of(graph)).items():
        found = sorted(grids, key=lambda grid: (grid.channels, grid.tensor.is_called("obj")))
        if tuple(grid.channels for grid in found) != _NUMBERS:
            return {}
        levels[stride] = tuple(found)
    return levels


def yunet(observed: Observed) -> Iterator[Reading]:
    """Recognise one face a cell: a score, an objectness, a box and 5 landmarks."""
    graph = observed.graph
    levels = levels_of(graph)
    if not levels:
        return
    grids = [grid for level in levels.values() for grid in level]
    parts = (Part.KIND, Part.COLUMNS)
    text = (
        f"{listed(grids)}: of each stride a score, an objectness, a box and {_KEYPOINTS} landmarks of a "
        "face a cell, as YuNet has them"
    )
    evidence = [speaks_for(Source.SHAPES, text, *parts)]
    named = (
        grid.tensor.is_called(*names)
        for level in levels.values()
        for grid, names in zip(level, _NAMES, strict=True)
    )
    if all(named):
        text = f"{', '.join(grid.tensor.name for grid in grids)} are named as YuNet's outputs are"
        evidence.append(speaks_for(Source.NAMES, text, *parts))
    activations: tuple[ScoreActivation, ...] = ("none", "sigmoid")
    for activation in activations:
        fields: dict[str, Any] = {
            field: [level[row].tensor.name for level in levels.values()] for row, field in enumerate(_FIELDS)
        }
        fields |= {"keypoints": _KEYPOINTS, "confidence": "sqrt_product"}
        if tuple(levels) != _STRIDES:
            fields["strides"] = list(levels)
        if activation != "none":
            fields["score_activation"] = activation
        yield Reading(
            "YuNet",
            Detects(YoloxOutput.load(fields), 1, YUNET, YUNET_IMAGE, "scores, objectness, boxes, landmarks"),
            tuple(evidence),
            (
                *(Scores(grid.columns, activation) for grid in grids if grid.channels == 1),
                *(Raw(grid.columns) for grid in grids if grid.channels > 1),
            ),
        )
