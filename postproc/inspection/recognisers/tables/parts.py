"""What the readings of tables share: evidence of their columns, and a reading for each form of a box."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from postproc.inspection.evidence import Evidence, Part, Source, speaks_against, speaks_for
from postproc.inspection.graph import Graph, Tensor
from postproc.inspection.meanings import Detects
from postproc.inspection.nodes import SQUASHING
from postproc.inspection.observed import Columns, Observed
from postproc.inspection.presets import LETTERBOX, ULTRALYTICS, DetectionStyle, ImageStyle
from postproc.inspection.readings import Reading, Role
from postproc.inspection.recognisers.forms import BoxForm
from postproc.inspection.recognisers.tables.table import BOX, BoxTable
from postproc.inspection.roles import Boxes, Keypoints, LabelCount
from postproc.schema import DetectionOutput

# The ways to give a box; exporters that say who they are mean the first.
FORMS: tuple[BoxForm, ...] = tuple(itertools.product(("cxcywh", "xyxy", "yxyx"), ("pixels", "normalized")))


def readings_of(
    table: BoxTable,
    kind: type[DetectionOutput],
    fields: dict[str, Any],
    *,
    network: str,
    labels: int,
    columns: str,
    evidence: list[Evidence],
    roles: tuple[Role, ...],
    decision: DetectionStyle = ULTRALYTICS,
    image: ImageStyle = LETTERBOX,
    forms: tuple[BoxForm, ...] = FORMS,
    keypoints: Columns | None = None,
    dimensions: int = 3,
) -> Iterator[Reading]:
    """Give a reading for each way in which the boxes of a table may be meant."""
    is_exported = any(item.source is Source.METADATA for item in evidence)
    for box_format, units in forms:
        is_told = is_exported and (box_format, units) == forms[0]
        written = {"output_tensor": table.tensor.name, **fields}
        if units == "normalized":
            written["coordinates"] = units
        if box_format != "cxcywh":
            written["box_format"] = box_format
        if table.layout != "auto":
            written["layout"] = table.layout
        yield Reading(
            network,
            Detects(
                kind.load(written),
                labels,
                decision,
                image if is_exported else replace(image, is_guess=True),
                columns,
            ),
            tuple(evidence if is_told else _of_other_forms(evidence)),
            (
                Boxes(table.columns(0, BOX), box_format, units, table.strides, table.per_cell, is_told),
                LabelCount(labels),
                *roles,
                *([] if keypoints is None else [Keypoints(keypoints, dimensions, units)]),
            ),
        )


def _of_other_forms(evidence: Iterable[Evidence]) -> Iterator[Evidence]:
    """Leave out what exporters say of boxes, where boxes are read otherwise than they say."""
    for item in evidence:
        told = item.parts - {Part.BOX_FORMAT, Part.UNITS}
        yield replace(item, parts=told) if item.source is Source.METADATA else item


def of_bins(graph: Graph) -> Iterator[Evidence]:
    """Use that the graph sums distances up over bins."""
    if graph.bins:
        text = f"sides of boxes are sums over {graph.bins} bins (DFL), as heads of YOLOv8 and later have them"
        yield speaks_for(Source.OPERATORS, text, Part.KIND)


def scores_of(observed: Observed, table: BoxTable) -> int | None:
    """Count the columns after the box that are scores, where operators or a run tell them from others."""
    each = observed.graph.links.columns(table.tensor.name, table.columns(0).axis)
    if each is not None and len(set(each)) > 1:
        others = (row for row, column in enumerate(each[BOX:]) if not column or not column <= SQUASHING)
        return next(others, len(each) - BOX) or None
    rows = observed.rows(table.columns(BOX))
    if rows is None or not len(rows):
        return None
    within = ((rows >= 0) & (rows <= 1)).all(axis=0)
    return int(np.argmin(within)) or None if not within.all() else None


def counted(observed: Observed, table: BoxTable, scores: int, rest: int = 0) -> Iterator[Evidence]:
    """Compare the number of scores of a reading with that which operators or a run tell."""
    found = scores_of(observed, table)
    if found is None:
        return
    each = observed.graph.links.columns(table.tensor.name, table.columns(0).axis)
    source = Source.OPERATORS if each is not None and len(set(each)) > 1 else Source.RUN
    text = f"{table.text}: {found} columns after the box are scores"
    if found == scores and rest:
        yield speaks_for(source, f"{text}, and {rest} others follow", Part.KIND, Part.COLUMNS)
    elif found < scores:  # more of them may be other numbers that went through a sigmoid
        yield speaks_against(source, f"{text}, not {scores}", Part.COLUMNS)


def without_objectness(table: BoxTable) -> Iterator[Evidence]:
    """Use the shapes that tables of ultralytics have, and those that they never have."""
    if table.channels_first and table.strides:
        text = f"{table.text}: only ultralytics puts channels before boxes"
        yield speaks_for(Source.SHAPES, text, Part.KIND, Part.COLUMNS)
    if table.per_cell == 3:
        text = f"{table.text}: networks with three boxes a cell have an objectness"
        yield speaks_against(Source.SHAPES, text, Part.KIND)


def with_objectness(observed: Observed, table: BoxTable) -> Iterator[Evidence]:
    """Use what YOLOv5 and v7 have: anchors, and sizes that are squares times anchors, never bins."""
    graph = observed.graph
    if table.per_cell == 3:
        text = f"{table.text}: only networks with anchors have 3 boxes a cell, and these have an objectness"
        yield speaks_for(Source.SHAPES, text, Part.KIND, Part.COLUMNS)
        if "Pow" in graph.upstream(table.tensor.name):
            text = "sizes are squares times anchors, as those of YOLOv5 and v7 are"
            yield speaks_for(Source.OPERATORS, text, Part.KIND, Part.COLUMNS)


def constant_column(
    observed: Observed, table: BoxTable, part: Part, *, is_against: bool = False
) -> Iterator[Evidence]:
    """Use that an objectness that is 1 everywhere is no label's score: YOLOv6 puts it there."""
    rows = observed.rows(table.columns(BOX, 1))
    found = speaks_against if is_against else speaks_for
    if rows is not None and (len(rows) < 2 or (rows != 1).any()):
        return
    if rows is not None:
        text = f"{table.text}: the number after the box is 1 for all boxes, an objectness without a meaning"
        yield found(Source.RUN, text, part, Part.KIND)
    if observed.sources(table.columns(BOX, 1)) <= {"Constant", "ConstantOfShape", "Expand"}:
        text = f"{table.text}: the number after the box is a constant, an objectness without a meaning"
        yield found(Source.OPERATORS, text, part, Part.KIND)


def prototypes_of(graph: Graph) -> Tensor | None:
    """Find the one tensor that may hold prototypes of masks, (B, M, h, w)."""
    found = [tensor for tensor in graph.of_rank(4) if tensor.axis(1) is not None]
    return found[0] if len(found) == 1 else None


def of_prototypes(tensor: Tensor) -> Evidence:
    """Use that there are prototypes beside a table."""
    text = f"{tensor} holds as many prototypes of masks as there are coefficients"
    return speaks_for(Source.SHAPES, text, Part.KIND, Part.COLUMNS)
