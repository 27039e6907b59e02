"""Tables that no kind of output describes: YOLOv5 and v7 with masks."""

from __future__ import annotations

from collections.abc import Iterator

from postproc.inspection.observed import Observed
from postproc.inspection.readings import Reading
from postproc.inspection.recognisers.tables.parts import (
    counted,
    of_prototypes,
    prototypes_of,
    with_objectness,
)
from postproc.inspection.recognisers.tables.table import BOX, BoxTable
from postproc.inspection.roles import Boxes, LabelCount, Scores

_BOXES_ALONE = (
    "Cut its columns off (Slice) so that a box, an objectness and labels are left, and describe these as "
    "yolov5_output; or train the same as a YOLOv8 or later"
)


def segmenting_with_objectness(observed: Observed, table: BoxTable) -> Iterator[Reading]:
    """Read 4 + objectness + L + M with (B, M, h, w) prototypes: YOLOv5-seg and v7-seg."""
    prototypes = prototypes_of(observed.graph)
    if prototypes is None or observed.graph.is_ultralytics or table.per_cell == 1:
        return  # YOLOv5 and v7 have three boxes a cell
    count = prototypes.axis(1) or 0
    labels = table.channels - BOX - 1 - count
    if labels < 1:
        return
    text = (
        f"{table.text} with {prototypes} is YOLOv5's or v7's segmentation: a "
        f"box, an objectness, {labels} labels and {count} coefficients of masks"
    )
    yield Reading(
        "YOLOv5-seg",
        None,
        (
            of_prototypes(prototypes),
            *with_objectness(observed, table),
            *counted(observed, table, labels + 1, count),
        ),
        (
            Boxes(table.columns(0, BOX), "cxcywh", "pixels", table.strides, table.per_cell),
            Scores(table.columns(BOX, labels + 1)),
            LabelCount(labels),
        ),
        advice=f"{text}; no kind of output has an objectness and masks. {_BOXES_ALONE}",
    )
