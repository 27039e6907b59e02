"""Boxes with a score per label, in two tensors: DETR and its kin, RetinaNet, YOLO-NAS, decoded SSD."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from postproc.inspection.claims import Claim, with_claims
from postproc.inspection.evidence import Part, Source, speaks_against
from postproc.inspection.meanings import Detects
from postproc.inspection.observed import Observed
from postproc.inspection.presets import DetectionStyle, ImageStyle
from postproc.inspection.readings import Reading, Role
from postproc.inspection.recognisers import dense, queries
from postproc.inspection.recognisers.beyond_boxes import beyond_boxes
from postproc.inspection.recognisers.heads import (
    MOST_QUERIES,
    Head,
    box_claims,
    heads_of,
    is_undecoded,
    of_tensors,
)
from postproc.inspection.roles import Boxes, LabelCount, Scores
from postproc.schema import StandardOutput
from postproc.schema.outputs import Background, BoxFormat, Coordinates, ScoreActivation

_UNITS: tuple[Coordinates, ...] = ("normalized", "pixels")
_OF_QUERIES: tuple[BoxFormat, ...] = ("cxcywh", "xyxy")
_OF_PLACES: tuple[BoxFormat, ...] = ("xyxy", "cxcywh", "yxyx")
_TELLING = {Source.OPERATORS, Source.CONFIG}  # what boxes are, whatever a network that is not trained gives


def boxes_and_scores(observed: Observed) -> Iterator[Reading]:
    """Recognise boxes and a score of each label for each: queries, and boxes for each place of an image."""
    graph = observed.graph
    heads = heads_of(graph)
    beyond = list(beyond_boxes(observed, heads))
    yield from beyond
    for head in heads if not beyond else []:
        tensors = [*of_tensors(observed, head)]
        if is_undecoded(observed, head.box_columns):
            text = f"{head.boxes.name} comes from a layer as it is: nothing makes boxes of its numbers"
            tensors.append(speaks_against(Source.OPERATORS, text, Part.BOX_FORMAT))
        claims = (
            *box_claims(observed, head),
            *queries.query_claims(observed, head),
            *dense.dense_claims(observed, head),
        )
        for reading in (*_of_queries(observed, head, claims), *_of_places(observed, head)):
            yield with_claims(reading.with_evidence(tensors), claims)


def _of_queries(observed: Observed, head: Head, claims: tuple[Claim, ...]) -> Iterator[Reading]:
    """Read boxes of which each object has one."""
    if head.boxes.rank != 3 or (head.count or 0) > MOST_QUERIES:
        return
    told = {Part.BOX_FORMAT: "cxcywh", Part.UNITS: "normalized"}.items()
    claimed = {item for claim in claims if claim.source in _TELLING for item in claim.says.items()}
    for box_format, units, (activation, background) in itertools.product(
        _OF_QUERIES, _UNITS, queries.scores_of_queries(observed.graph)
    ):
        is_told = (box_format, units) == ("cxcywh", "normalized") and told <= claimed
        boxes = Boxes(head.box_columns, box_format, units, is_told=is_told)
        style = queries.style_of(observed.graph, head, activation, background)
        yield from _reading(observed, head, boxes, activation, background, *style)


def _of_places(observed: Observed, head: Head) -> Iterator[Reading]:
    """Read boxes of which an object has many."""
    strides, per_cell = head.strides(observed.graph)
    for box_format, units, (activation, background) in itertools.product(
        _OF_PLACES, _UNITS, dense.SCORES_OF_PLACES
    ):
        boxes = Boxes(head.box_columns, box_format, units, strides, per_cell)
        style = dense.style_of(observed.graph, head, background)
        yield from _reading(observed, head, boxes, activation, background, *style)


def _reading(
    observed: Observed,
    head: Head,
    boxes: Boxes,
    activation: ScoreActivation,
    background: Background,
    network: str,
    decision: DetectionStyle,
    image: ImageStyle,
) -> Iterator[Reading]:
    labels = head.columns - (background != "none")
    if labels < 1:
        return
    defaults = {"box_format": "xyxy", "score_activation": "none", "background": "none", "layout": "auto"}
    fields = {
        "box_format": boxes.box_format,
        "score_activation": activation,
        "background": background,
        "layout": head.layout,
    }
    output = StandardOutput.load(
        {
            "boxes_tensor": head.boxes.name,
            "scores_tensor": head.scores.name,
            **{name: value for name, value in fields.items() if value != defaults[name]},
        }
    )
    roles: tuple[Role, ...] = (
        boxes,
        Scores(head.score_columns, activation, background),
        LabelCount(labels, background),
    )
    meaning = Detects(
        output,
        labels,
        decision,
        image,
        f"{head.boxes.name} boxes, {head.scores.name} scores",
        in_pixels=boxes.units == "pixels",
    )
    checks = observed.graph.unread(head.boxes, head.scores)
    yield Reading(network, meaning, (), roles, checks=checks)
