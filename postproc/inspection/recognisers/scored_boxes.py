"""Boxes with their score in a column more, and their classes in a tensor of integers: MMDeploy's exports."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from postproc.inspection.evidence import PARTS_OF_ANSWERS, Evidence, Part, Source, speaks_for
from postproc.inspection.graph import Graph
from postproc.inspection.observed import Observed
from postproc.inspection.presets import FINISHED, MMDETECTION
from postproc.inspection.readings import Reading
from postproc.inspection.recognisers.forms import BoxForm, forms_of
from postproc.inspection.recognisers.of_instances import OfInstances, of_instances
from postproc.inspection.recognisers.rows import More, Origin, PackedRows, reading_of
from postproc.inspection.roles import Angles

_UPRIGHT = ("box", "score")
_TURNED = ("box", "angle", "score")
_ORDERS = {5: _UPRIGHT, 6: _TURNED}
_NAMES = ("dets", "labels")
_FORMS: dict[tuple[str, ...], BoxForm] = {_UPRIGHT: ("xyxy", "pixels"), _TURNED: ("cxcywh", "pixels")}


def scored_boxes(observed: Observed) -> Iterator[Reading]:
    """Recognise boxes with a score, and classes beside them, with masks of the boxes too."""
    graph = observed.graph
    rows = _rows_of(graph)
    if rows is None:
        return
    order = _ORDERS[rows.width]
    usual = _FORMS[order]
    evidence = [speaks_for(Source.SHAPES, f"{rows.text}: boxes with their score, and classes", Part.KIND)]
    is_named = rows.classes is not None and (rows.tensor.name, rows.classes.name) == _NAMES
    if is_named:
        evidence.append(_of_names(rows, usual))
    forms = [usual] if is_named or order == _TURNED else list(forms_of(graph))
    firsts: tuple[int, ...] = (0,) if is_named else (0, 1)
    only = (order, usual) if is_named else None
    for form, first in itertools.product(forms, firsts):
        beside = of_instances(observed, rows.tensor, form[1]) if order == _UPRIGHT else OfInstances()
        origin = Origin("a detector of MMDeploy", FINISHED, MMDETECTION, (*evidence, *beside.evidence), only)
        reading = reading_of(graph, rows, origin, order, form, first, more=_more(rows, order, beside))
        checks = graph.unread(rows.tensor, rows.classes, beside.tensor)
        yield reading.with_checks(checks)


def _rows_of(graph: Graph) -> PackedRows | None:
    """Find the one tensor (..., N, 5 or 6) beside one of as many integers."""
    tensors = [tensor for tensor in graph.of_rank(2, 3) if tensor.axis(-1) in _ORDERS]
    if len(tensors) != 1:
        return None
    (tensor,) = tensors
    classes = [
        other
        for other in graph.outputs
        if "int" in other.type
        and other.rank == tensor.rank - 1
        and (other.axis(-1) == tensor.axis(-2) or None in (other.axis(-1), tensor.axis(-2)))
    ]
    return PackedRows(tensor, tensor.axis(-1) or 0, None, classes[0]) if len(classes) == 1 else None


def _of_names(rows: PackedRows, form: BoxForm) -> Evidence:
    what = "corners" if form[0] == "xyxy" else "centres, sizes and angles"
    text = f"{rows.text} have the names that MMDeploy gives: {what} in pixels, scores, and classes from 0"
    return speaks_for(Source.NAMES, text, *PARTS_OF_ANSWERS)


def _more(rows: PackedRows, order: tuple[str, ...], beside: OfInstances) -> More:
    if order == _TURNED:
        return More({}, "an angle, classes", (Angles(rows.column(order, "angle")),))
    text = ", ".join(filter(None, ("classes", beside.text)))
    return More(beside.fields, text, beside.roles)
