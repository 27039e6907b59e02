"""Tables with an objectness: YOLOv5, v6, v7 and YOLOX, and those with masks or landmarks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from postproc.inspection.evidence import Evidence, Part, Source, speaks_against, speaks_for
from postproc.inspection.graph import Tensor
from postproc.inspection.meanings import Detects
from postproc.inspection.observed import Observed
from postproc.inspection.presets import (
    LETTERBOX,
    YOLOV5,
    YOLOV5_FACE,
    YOLOV5_MASKS,
    YOLOX,
    YOLOX_IMAGE,
)
from postproc.inspection.readings import Reading, Role
from postproc.inspection.recognisers.exporters import of_yolov5
from postproc.inspection.recognisers.tables.parts import (
    constant_column,
    counted,
    of_prototypes,
    prototypes_of,
    readings_of,
    with_objectness,
)
from postproc.inspection.recognisers.tables.table import BOX, BoxTable
from postproc.inspection.roles import Coefficients, LabelCount, Raw, Scores
from postproc.schema import Yolov5Output, YoloxOutput

_UNIT = 0.95


def yolov5(observed: Observed, table: BoxTable) -> Iterator[Reading]:
    """Read 4 + objectness + L, decoded: YOLOv5, v6, v7, and YOLOX exported with decoding."""
    yield from _decoded(observed, table)
    prototypes = prototypes_of(observed.graph)
    if prototypes is not None and table.per_cell != 1:
        yield from _decoded(observed, table, prototypes)


def _decoded(observed: Observed, table: BoxTable, prototypes: Tensor | None = None) -> Iterator[Reading]:
    """Read boxes that are decoded; beside prototypes there are as many coefficients behind the labels."""
    graph, count = observed.graph, 0 if prototypes is None else prototypes.axis(1) or 0
    labels = table.channels - BOX - 1 - count
    if labels < 1 or (graph.is_ultralytics and graph.task):
        return
    is_yolox = table.per_cell != 3 and "Exp" in graph.upstream(table.tensor.name)
    constant = list(constant_column(observed, table, Part.COLUMNS))
    evidence = [*constant, *with_objectness(observed, table), *counted(observed, table, labels + 1, count)]
    if is_yolox:
        text = "sizes are exponentials without bins, as those of YOLOX are"
        evidence.append(speaks_for(Source.OPERATORS, text, Part.KIND, Part.COLUMNS))
    evidence += of_yolov5(graph)
    more: dict[str, Any] = {}
    network = "YOLOX exported with decoding" if is_yolox else "YOLOv6" if constant else "YOLOv5, v7"
    decision = YOLOX if is_yolox else YOLOV5
    behind = ""
    roles: list[Role] = [Scores(table.columns(BOX, labels + 1))]
    if prototypes is not None:
        evidence.append(of_prototypes(prototypes))
        more, network, decision = {"prototypes_tensor": prototypes.name}, "YOLOv5-seg, v7-seg", YOLOV5_MASKS
        behind = f", {count} coefficients"
        roles.append(Coefficients(table.columns(BOX + 1 + labels, count)))
    is_told = any(item.source is Source.METADATA for item in evidence)
    may_be_unset = not is_told and _may_be_unset(observed, table, labels)
    for confidence in ("product", "objectness")[: 1 + may_be_unset]:
        is_product = confidence == "product"
        yield from readings_of(
            table,
            Yolov5Output,
            more if is_product else {**more, "confidence": confidence},
            network=network,
            labels=labels,
            columns=f"box, objectness, {'scores' if is_product else 'a score that nothing sets'}{behind}",
            evidence=[*evidence, *(_of_confidence(observed, table, labels) if is_product else ())],
            roles=tuple(roles),
            decision=decision,
            image=YOLOX_IMAGE if is_yolox else LETTERBOX,
        )


def _may_be_unset(observed: Observed, table: BoxTable, labels: int) -> bool:
    """Tell whether a single label may have a score that training does not set; near 1 it changes nothing."""
    rows = observed.rows(table.columns(BOX + 1, 1))
    is_single = table.per_cell == 3 and labels == 1
    return is_single and (rows is None or not len(rows) or float(rows.min()) < _UNIT)


def _of_confidence(observed: Observed, table: BoxTable, labels: int) -> Iterator[Evidence]:
    """Speak against the product where operators are those of v7, which takes the objectness instead."""
    if _may_be_unset(observed, table, labels) and observed.sources(table.columns(0, 2)) == {"Add"}:
        text = f"{table.text}: centres end in an Add, as v7's, which takes the objectness of a single label"
        yield speaks_against(Source.OPERATORS, text, Part.COLUMNS)


def landmarks(observed: Observed, table: BoxTable) -> Iterator[Reading]:
    """Read a box, an objectness, keypoints and labels: faces of YOLOv5-face and v7-face, poses of YOLOv7."""
    if observed.graph.is_ultralytics:
        return
    for network, keypoints, each, is_first in (
        ("YOLOv5-face", 5, 2, True),
        ("YOLOv7-face", 5, 3, False),
        ("YOLOv7-pose", 17, 3, False),
    ):
        labels = table.channels - BOX - 1 - keypoints * each
        if labels < 1 or (labels > 1 and not is_first):
            continue
        marks, scores = BOX + 1 + labels * (not is_first), BOX + 1 + keypoints * each * is_first
        text = (
            f"{table.text} may be {network}'s: a box, an objectness, {keypoints} keypoints of {each} "
            f"numbers, and {labels} label{'s' * (labels > 1)}"
        )
        evidence = list(with_objectness(observed, table))
        if labels == 1:
            evidence.append(speaks_for(Source.SHAPES, text, Part.KIND, Part.COLUMNS))
        evidence += counted(observed, table, 1 if is_first else 2, keypoints * each)
        place = "before" if is_first else "behind"
        yield from readings_of(
            table,
            Yolov5Output,
            {
                "keypoints": keypoints,
                **({"dimensions": each} if each != 3 else {}),
                **({"keypoints_first": True} if is_first else {}),
            },
            network=network,
            labels=labels,
            columns=f"box, objectness, scores, {keypoints} keypoints of {each} numbers {place} the scores",
            evidence=evidence,
            roles=(Scores(table.columns(BOX, 1)), Scores(table.columns(scores, labels))),
            decision=YOLOV5_FACE if network.endswith("face") else YOLOV5,
            image=replace(LETTERBOX, is_guess=True),
            keypoints=table.columns(marks, keypoints * each),
            dimensions=each,
        )


def yolox(observed: Observed, table: BoxTable) -> Iterator[Reading]:
    """Read 4 + objectness + L with boxes as the last layers give them: YOLOX."""
    graph, labels = observed.graph, table.channels - BOX - 1
    if labels < 1 or table.per_cell != 1 or (graph.is_ultralytics and graph.task):
        return
    for activation in ("none", "sigmoid"):
        fields = {
            "output_tensor": table.tensor.name,
            **({"strides": list(table.strides)} if table.strides != (8, 16, 32) else {}),
            **({"score_activation": activation} if activation != "none" else {}),
            **({"layout": table.layout} if table.layout != "auto" else {}),
        }
        yield Reading(
            "YOLOX",
            Detects(
                YoloxOutput.load(fields),
                labels,
                YOLOX,
                replace(YOLOX_IMAGE, is_guess=True),
                "undecoded box, objectness, scores",
            ),
            tuple(counted(observed, table, labels + 1)) if activation == "none" else (),
            (
                Raw(table.columns(0, BOX)),
                Scores(table.columns(BOX, labels + 1), activation),
                LabelCount(labels),
            ),
        )
