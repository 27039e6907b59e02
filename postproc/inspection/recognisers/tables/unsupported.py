"""Tables that no kind of output describes: NanoDet, and YOLOv5 and v7 with landmarks or masks."""

from __future__ import annotations

from collections.abc import Iterator

from postproc.inspection.evidence import Part, Source, speaks_for
from postproc.inspection.observed import Observed
from postproc.inspection.readings import Reading
from postproc.inspection.recognisers.tables.parts import (
    counted,
    of_prototypes,
    prototypes_of,
    with_objectness,
)
from postproc.inspection.recognisers.tables.table import BOX, BoxTable
from postproc.inspection.roles import Boxes, Keypoints, LabelCount, Raw, Scores

_BOXES_ALONE = (
    "Cut its columns off (Slice) so that a box, an objectness and labels are left, and describe these as "
    "yolov5_output; or train the same as a YOLOv8 or later"
)


def nanodet(observed: Observed, table: BoxTable) -> Iterator[Reading]:
    """Read L + 4 x bins: NanoDet, whose distances are in bins still."""
    if table.per_cell == 3 or table.channels_first:
        return
    for bins in (8, 16, 17, 33):
        labels = table.channels - 4 * bins
        if labels > 0:
            text = (
                f"{table.text}: {labels} scores and 4 x {bins} bins of distances a cell, as NanoDet has them"
            )
            yield Reading(
                "NanoDet",
                None,
                (),
                (
                    Scores(table.columns(0, labels)),
                    Raw(table.columns(labels, 4 * bins)),
                    LabelCount(labels),
                ),
                advice=f"{text}. No kind of output decodes bins (DFL). End the graph with their decoding "
                "(softmax, mean, distances from the cell's centre to corners), as boxes and scores for "
                "standard_output",
            )


def landmarks(observed: Observed, table: BoxTable) -> Iterator[Reading]:
    """Read a box, an objectness, keypoints and labels: faces of YOLOv5-face and v7-face, poses of YOLOv7."""
    if observed.graph.is_ultralytics:
        return
    for network, keypoints, each, labels_first in (
        ("YOLOv5-face", 5, 2, False),
        ("YOLOv7-face", 5, 3, True),
        ("YOLOv7-pose", 17, 3, True),
    ):
        labels = table.channels - BOX - 1 - keypoints * each
        if labels < 1 or (labels_first and labels > 1):
            continue
        marks = BOX + 1 + labels * labels_first
        scores = BOX + 1 if labels_first else BOX + 1 + keypoints * each
        text = (
            f"{table.text} may be {network}'s: a box, an objectness, {keypoints} keypoints of {each} "
            f"numbers, and {labels} label{'s' * (labels > 1)}"
        )
        evidence = list(with_objectness(observed, table))
        if labels == 1:
            evidence.append(speaks_for(Source.SHAPES, text, Part.KIND, Part.COLUMNS))
        evidence += counted(observed, table, 2 if labels_first else 1, keypoints * each)
        yield Reading(
            network,
            None,
            tuple(evidence),
            (
                Boxes(table.columns(0, BOX), "cxcywh", "pixels", table.strides, table.per_cell),
                Scores(table.columns(BOX, 1)),
                Scores(table.columns(scores, labels)),
                Keypoints(table.columns(marks, keypoints * each), each),
                LabelCount(labels),
            ),
            advice=f"{text}; no kind of output has an objectness and keypoints. {_BOXES_ALONE}",
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
