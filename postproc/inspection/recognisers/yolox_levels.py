"""YOLOX and YuNet level by level: scores, an objectness and a box of each stride, in outputs of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from postproc.inspection.evidence import Evidence, Part, Source, speaks_against, speaks_for
from postproc.inspection.graph import Graph, listed
from postproc.inspection.meanings import Detects
from postproc.inspection.observed import Observed
from postproc.inspection.presets import YOLOX, YOLOX_IMAGE, YUNET, YUNET_IMAGE, DetectionStyle, ImageStyle
from postproc.inspection.readings import Reading
from postproc.inspection.recognisers.grids import Grid, by_stride, grids_of
from postproc.inspection.roles import LabelCount, Raw, Scores
from postproc.schema import YoloxOutput
from postproc.schema.outputs import ScoreActivation

_KEYPOINTS = 5
_BOX = 4
_NUMBERS = (1, 1, _BOX, 2 * _KEYPOINTS)  # a cell of each output of a stride of YuNet
_SCORES, _OBJECTNESS, _BOXES, _LANDMARKS = _FIELDS = (
    "scores_tensors",
    "objectness_tensors",
    "boxes_tensors",
    "landmarks_tensors",
)
_NAMES: Mapping[str, tuple[str, ...]] = {
    _SCORES: ("cls", "score"),
    _OBJECTNESS: ("obj",),
    _BOXES: ("box", "reg"),
    _LANDMARKS: ("kps", "landmark"),
}
_STRIDES = (8, 16, 32)
_STRIDES_OF_FCOS = (8, 16, 32, 64, 128)
_KIND = (Part.KIND, Part.COLUMNS)
_NO_CENTREDNESS = (
    "the single number of a cell is taken for an objectness, and boxes for YOLOX's: where they are a "
    "centredness and distances, as FCOS has them, describe them as distance_output"
)


@dataclass(frozen=True)
class _Head:
    """A way to read the outputs of all strides.

    Parameters
    ----------
    network : str
        What has them.
    levels : mapping of str to sequence of Grid
        The outputs by field, in the order of the strides.
    holds, columns : str
        What a cell has, for people to read.
    decision, image : DetectionStyle, ImageStyle
        What users of such networks expect.
    fields : mapping
        Further fields of the output.
    evidence : tuple of Evidence
        What else speaks for it and against it.
    checks : tuple of str
        What should be looked at.
    raw_tells : tuple of Part
        What it speaks for that boxes are as layers give them.
    """

    network: str
    levels: Mapping[str, Sequence[Grid]]
    holds: str
    columns: str
    decision: DetectionStyle
    image: ImageStyle
    fields: Mapping[str, Any] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    checks: tuple[str, ...] = ()
    raw_tells: tuple[Part, ...] = _KIND


def yolox_levels(observed: Observed) -> Iterator[Reading]:
    """Recognise one box a cell, with an objectness beside its scores, of each stride."""
    groups = by_stride(grids_of(observed.graph))
    for head in (*_yunet(groups), *_yolox(observed.graph, groups)):
        yield from _readings(head, tuple(groups))


def _yunet(groups: Mapping[int, Sequence[Grid]]) -> Iterator[_Head]:
    """Read four outputs of each stride as a face a cell.

    The score is a square root of a product, whose factors may change places: where no name tells which of
    two is the objectness, it is the second.
    """
    found = [
        sorted(group, key=lambda grid: (grid.channels, grid.tensor.is_called("obj")))
        for group in groups.values()
    ]
    if not found or any(tuple(grid.channels for grid in level) != _NUMBERS for level in found):
        return
    yield _Head(
        "YuNet",
        dict(zip(_FIELDS, zip(*found, strict=True), strict=True)),
        f"a score, an objectness, a box and {_KEYPOINTS} landmarks of a face a cell, as YuNet has them",
        "scores, objectness, boxes, landmarks",
        YUNET,
        YUNET_IMAGE,
        {"keypoints": _KEYPOINTS, "confidence": "sqrt_product"},
    )


def _yolox(graph: Graph, groups: Mapping[int, Sequence[Grid]]) -> Iterator[_Head]:
    """Read three outputs of each stride, whose numbers have the same order in all, as a box a cell."""
    each = [
        sorted(group, key=lambda grid: (grid.channels, grid.tensor.is_called("obj")))
        for group in groups.values()
    ]
    widths = {tuple(grid.channels for grid in level) for level in each}
    grids = [grid for level in each for grid in level]
    if len(groups) < 2 or len(widths) != 1 or not all(map(_has_one_box, grids)):
        return
    (found,) = widths
    # Scores and objectness of one label may change places: the score is their product.
    orders = {
        (_SCORES, _OBJECTNESS, _BOXES): found[:2] == (1, 1) and found[2:] == (_BOX,),
        (_OBJECTNESS, _SCORES, _BOXES): found[:1] == (1,) and found[1:2] != (1,) and found[2:] == (_BOX,),
        (_OBJECTNESS, _BOXES, _SCORES): found[:2] == (1, _BOX) and len(found) == 3,
    }
    for order, fits in orders.items():
        if fits:
            levels = dict(zip(order, zip(*each, strict=True), strict=True))
            labels = levels[_SCORES][0].channels
            yield _Head(
                "YOLOX, level by level",
                levels,
                f"a box, an objectness and {labels} score{'s' * (labels != 1)} a cell, as YOLOX has them",
                "scores, objectness, undecoded boxes",
                YOLOX,
                replace(YOLOX_IMAGE, is_guess=True),
                evidence=tuple(_of_distances(graph, levels, tuple(groups))),
                checks=(_NO_CENTREDNESS,),
                raw_tells=(Part.COLUMNS,),  # an FCOS cut before its activation has such numbers, too
            )


def _has_one_box(grid: Grid) -> bool:
    """Tell whether the numbers of a cell are those of one box."""
    return grid.per_anchor is None and grid.tensor.axis(grid.axis) == grid.channels


def _of_distances(
    graph: Graph, levels: Mapping[str, Sequence[Grid]], strides: tuple[int, ...]
) -> Iterator[Evidence]:
    """Speak against YOLOX where boxes are distances, and the objectness is a centredness or a sum."""
    if strides == _STRIDES_OF_FCOS:
        yield speaks_against(Source.SHAPES, "strides 8 to 128 are those of FCOS", *_KIND)
    if graph.links.have_one_layer([grid.tensor.name for grid in levels[_BOXES]]):
        text = f"{listed(levels[_BOXES])} are from one layer, as FCOS's distances; YOLOX has a layer a stride"
        yield speaks_against(Source.OPERATORS, text, *_KIND)
    for grid in levels[_BOXES]:
        if found := graph.upstream(grid.tensor.name) & {"Exp", "Relu"}:
            text = f"{grid.tensor.name}: {' and '.join(sorted(found))} went over boxes, as over distances"
            yield speaks_against(Source.OPERATORS, text, *_KIND)
    for grid in levels[_OBJECTNESS]:
        if "ReduceSum" in graph.upstream(grid.tensor.name):
            text = f"{grid.tensor.name} is a ReduceSum, and no objectness"
            yield speaks_against(Source.OPERATORS, text, *_KIND)
        elif grid.tensor.is_called("ctr", "center", "centre", "score_factor"):
            text = f"{grid.tensor.name} is named as a centredness is"
            yield speaks_against(Source.NAMES, text, *_KIND)


def _readings(head: _Head, strides: tuple[int, ...]) -> Iterator[Reading]:
    """Read outputs whose scores are probabilities, or logits."""
    levels = {name: head.levels[name] for name in _FIELDS if name in head.levels}
    grids = [grid for row in zip(*levels.values(), strict=True) for grid in row]
    evidence = [speaks_for(Source.SHAPES, f"{listed(grids)}: of each stride {head.holds}", *_KIND)]
    if all(grid.tensor.is_called(*_NAMES[name]) for name, level in levels.items() for grid in level):
        text = f"{', '.join(grid.tensor.name for grid in grids)} are named as outputs of {head.network} are"
        evidence.append(speaks_for(Source.NAMES, text, *_KIND))
    labels = levels[_SCORES][0].channels
    activations: tuple[ScoreActivation, ...] = ("none", "sigmoid")
    for activation in activations:
        fields: dict[str, Any] = {
            name: [grid.tensor.name for grid in level] for name, level in levels.items()
        }
        fields |= head.fields
        if strides != _STRIDES:
            fields["strides"] = list(strides)
        if activation != "none":
            fields["score_activation"] = activation
        yield Reading(
            head.network,
            Detects(YoloxOutput.load(fields), labels, head.decision, head.image, head.columns),
            (*evidence, *head.evidence),
            (
                LabelCount(labels),
                *(
                    Scores(grid.columns, activation)
                    for name in (_SCORES, _OBJECTNESS)
                    for grid in levels[name]
                ),
                *(
                    Raw(grid.columns, tells=head.raw_tells)
                    for name, level in levels.items()
                    if name in (_BOXES, _LANDMARKS)
                    for grid in level
                ),
            ),
            checks=head.checks,
        )
