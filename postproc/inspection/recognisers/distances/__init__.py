"""Heads of distances from the cells of grids: YOLOv8 to 26 before decoding, NanoDet, FCOS, SCRFD and more."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from postproc.inspection.claims import with_claims
from postproc.inspection.evidence import Evidence, Part, Source, speaks_against, speaks_for
from postproc.inspection.meanings import Detects
from postproc.inspection.observed import Observed
from postproc.inspection.readings import Reading, Role
from postproc.inspection.recognisers.distances.families import Form, family_of
from postproc.inspection.recognisers.distances.heads import KEYPOINTS, DistanceHead, distance_heads
from postproc.inspection.roles import Distances, LabelCount, Scores
from postproc.schema import DistanceOutput
from postproc.schema.outputs import ScoreActivation

__all__ = ["distances"]

_ACTIVATIONS: tuple[ScoreActivation, ...] = ("none", "sigmoid")
_SUM_TOLERANCE = 1e-2
_UNSEEN = (
    "where in its cell distances begin is not in the file, and follows from the network: cell_offset 0.5 for "
    "ultralytics, YOLOv6, PP-YOLOE, PicoDet, NanoDet of 2020, and FCOS of MMDetection and AdelaiDet; 0 for "
    "NanoDet-Plus, SCRFD, RTMDet, MMDetection's GFL and torchvision's FCOS"
)


def distances(observed: Observed) -> Iterator[Reading]:
    """Recognise scores and distances of the cells of grids."""
    for head in distance_heads(observed.graph):
        family = family_of(observed, head)
        evidence = (*_of_tensors(observed, head), *_of_sums(observed, head))
        has_factor = "centerness" in head.parts
        # No score is a background's: each label has a sigmoid. Bins are of strides, with nothing over them.
        without = {Part.BACKGROUND, *((Part.DISTANCES, Part.UNITS) if head.bins > 1 else ())}
        ways = list(itertools.product(family.forms, _ACTIVATIONS))
        is_out = any(item.is_against for item in evidence)  # whatever form and activation are
        for form, activation in ways[:1] if is_out else ways:
            values = {
                Part.CELL_OFFSET: f"{form.cell_offset:g}",
                Part.DISTANCES: form.distance_activation,
                Part.UNITS: form.distance_unit,
                **({Part.CONFIDENCE: form.confidence} if has_factor else {}),
            }
            meaning = Detects(
                _output(head, {**asdict(form), "score_activation": activation}),
                head.labels,
                family.decision,
                family.image,
                head.columns,
                in_pixels=True,
                batched=head.has_batch,
            )
            reading = Reading(
                family.network,
                meaning,
                evidence,
                tuple(_roles(head, form, activation)),
                values,
                checks=(_UNSEEN, *family.checks),
                without=frozenset(without),
            )
            yield with_claims(reading, family.claims)


def _output(head: DistanceHead, fields: dict[str, Any]) -> DistanceOutput:
    """Describe the tensors of a head; what is as it is by default is left out."""
    levels = {holds: [part.tensor.name for part in parts] for holds, parts in head.parts.items()}
    written: dict[str, Any]
    if head.packed:
        written = {"output_tensors": levels["scores"], "columns": list(head.packed)}
    else:
        written = {f"{holds}_tensors": names for holds, names in levels.items()}
    if "landmarks" in head.parts:
        written["keypoints"] = KEYPOINTS
    written |= {"strides": list(head.strides), "anchors_per_cell": head.per_cell, "bins": head.bins, **fields}
    defaults = {name: field.default for name, field in DistanceOutput.model_fields.items()}
    return DistanceOutput.load(
        {
            name: value
            for name, value in written.items()
            if (tuple(value) if isinstance(value, list) else value) != defaults[name]
        }
    )


def _roles(head: DistanceHead, form: Form, activation: ScoreActivation) -> Iterator[Role]:
    yield LabelCount(head.labels)
    for part in (*head.parts["scores"], *head.parts.get("centerness", ())):
        yield Scores(part.columns, activation)
    for part in head.parts["distances"]:
        strides = head.strides if part.stride is None else (part.stride,)
        yield Distances(part.columns, strides, head.bins, form.distance_activation, form.distance_unit)
    for part in head.parts.get("landmarks", ()):
        yield Distances(part.columns, head.strides, are_sides=False)


def _of_tensors(observed: Observed, head: DistanceHead) -> Iterator[Evidence]:
    """Tell what shapes and the Concats of the graph say for what the columns are."""
    strides = ", ".join(map(str, head.strides))
    text = f"{head.text}: {head.labels} score{'s' * (head.labels != 1)} and {head.columns}, for each cell of "
    text += f"the grids of strides {strides}"
    yield speaks_for(Source.SHAPES, text, Part.COLUMNS, *(() if head.packed else (Part.KIND,)))
    if not head.packed:
        return
    own = tuple(head.parts[holds][0].columns.count or 0 for holds in head.packed)
    found = {
        observed.graph.links.widths(part.tensor.name, part.columns.axis) for part in head.parts["scores"]
    } - {()}
    for widths in found:
        if widths == own:
            text = f"{head.text}: put together of {' and '.join(map(str, widths))} columns of several layers"
            yield speaks_for(Source.OPERATORS, text, Part.KIND, Part.COLUMNS)
        else:
            text = f"{head.text}: layers give {', '.join(map(str, widths))} of its columns"
            yield speaks_against(Source.OPERATORS, text, Part.COLUMNS)
    is_told = {len(set(observed.each(part.columns))) for part in head.parts["scores"]}
    if not found and is_told != {1}:
        text = f"{head.text}: not all of what would be scores come from the same operator"
        yield speaks_against(Source.OPERATORS, text, Part.COLUMNS)


def _of_sums(observed: Observed, head: DistanceHead) -> Iterator[Evidence]:
    """Tell sums of scores from another factor of them: by the graph's own sum, and by a run."""
    sums, factors = head.parts.get("score_sum", ()), head.parts.get("centerness", ())
    for part, scores in zip(sums or factors, head.parts["scores"], strict=False):
        name = part.tensor.name
        if "ReduceSum" in observed.graph.upstream(name):
            speaks = speaks_for if sums else speaks_against
            yield speaks(Source.OPERATORS, f"{name} is a ReduceSum", Part.COLUMNS)
        elif sums:
            text = f"{name} is no ReduceSum, as sums of scores are"
            yield speaks_against(Source.OPERATORS, text, Part.COLUMNS)
        each = observed.rows(scores.columns), observed.rows(part.columns)
        if each[0] is None or each[1] is None or len(each[0]) != len(each[1]):
            continue
        found = np.abs(np.minimum(each[0].sum(axis=1), 1) - each[1][:, 0]).max(initial=0) <= _SUM_TOLERANCE
        if sums and found:
            yield speaks_for(Source.RUN, f"{name} is the sum of {scores.tensor.name} in a run", Part.COLUMNS)
        elif sums:
            text = f"{name} is not the sum of {scores.tensor.name} in a run"
            yield speaks_against(Source.RUN, text, Part.COLUMNS)
