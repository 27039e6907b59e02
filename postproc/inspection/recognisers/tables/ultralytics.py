"""Tables of ultralytics: YOLOv8 and later without an objectness, and its RT-DETR."""

from __future__ import annotations

from collections.abc import Iterator

from postproc.inspection.evidence import Evidence, Part, Source, speaks_for
from postproc.inspection.graph import Graph
from postproc.inspection.observed import Observed
from postproc.inspection.presets import ULTRALYTICS_ORIENTED, ULTRALYTICS_QUERIES, ULTRALYTICS_SQUASH
from postproc.inspection.readings import Reading
from postproc.inspection.recognisers.exporters import keypoint_shape, of_ultralytics
from postproc.inspection.recognisers.tables.parts import (
    FORMS,
    constant_column,
    counted,
    of_bins,
    of_prototypes,
    prototypes_of,
    readings_of,
    scores_of,
    without_objectness,
)
from postproc.inspection.recognisers.tables.table import BOX, BoxTable
from postproc.inspection.roles import Scores
from postproc.schema import Yolov8ObbOutput, Yolov8Output, Yolov8PoseOutput, Yolov8SegOutput


def yolov8(observed: Observed, table: BoxTable) -> Iterator[Reading]:
    """Read 4 + L: YOLOv8 and what followed it in ultralytics, YOLOv3u and v5u too."""
    graph, labels = observed.graph, table.channels - BOX
    exported = of_ultralytics(graph, "detect")
    if (graph.is_ultralytics and graph.task and not exported) or _attends(graph, table):
        return
    evidence = [
        *exported,
        *_of_columns(observed, table, labels),
        *constant_column(observed, table, Part.COLUMNS, is_against=True),
    ]
    if graph.bins and scores_of(observed, table) == labels:
        text = f"{table.text}: all columns after the box are scores, and heads of bins have no objectness"
        evidence.append(speaks_for(Source.OPERATORS, text, Part.COLUMNS))
    yield from readings_of(
        table,
        Yolov8Output,
        {},
        network="YOLOv8, v9, v11, v12 and other exports of ultralytics",
        labels=labels,
        columns="box, scores",
        evidence=evidence,
        roles=(Scores(table.columns(BOX, labels)),),
    )


def _of_columns(observed: Observed, table: BoxTable, labels: int, rest: int = 0) -> Iterator[Evidence]:
    """Use what all tables of ultralytics have: bins, no objectness, and what follows the scores."""
    yield from of_bins(observed.graph)
    yield from without_objectness(table)
    yield from counted(observed, table, labels, rest)


def _attends(graph: Graph, table: BoxTable) -> bool:
    """Tell whether a table is one of queries that attend to an image, not of cells."""
    return not (table.channels_first or table.strides) and graph.is_deformable


def rtdetr(observed: Observed, table: BoxTable) -> Iterator[Reading]:
    """Read 4 + L, normalized and finished: RT-DETR as older releases of ultralytics exported it."""
    graph = observed.graph
    if not _attends(graph, table):
        return
    text = "it attends by GridSample (deformable attention), as RT-DETR does"
    evidence = [speaks_for(Source.OPERATORS, text, Part.KIND, Part.COLUMNS), *of_ultralytics(graph, "detect")]
    labels = table.channels - BOX
    yield from readings_of(
        table,
        Yolov8Output,
        {},
        network="RT-DETR as older releases of ultralytics export it",
        labels=labels,
        columns="box, scores",
        evidence=evidence,
        roles=(Scores(table.columns(BOX, labels)),),
        decision=ULTRALYTICS_QUERIES,
        image=ULTRALYTICS_SQUASH,
        forms=(("cxcywh", "normalized"),),
    )


_USUAL_POSES = {(17, 1), (5, 1), (21, 1)}  # of people, faces and hands


def pose(observed: Observed, table: BoxTable) -> Iterator[Reading]:
    """Read 4 + L + P x D: a YOLO of poses."""
    graph = observed.graph
    exported = of_ultralytics(graph, "pose")
    if graph.task and not exported:
        return
    known = keypoint_shape(graph)
    # Of one label, for which keypoints are usual, unless operators or a run tell the number of labels.
    labels = scores_of(observed, table) or 1
    if not (known or table.strides):
        return
    shapes = [known] if known else [((table.channels - BOX - labels) // each, each) for each in (3, 2)]
    for keypoints, each in shapes:
        labels = table.channels - BOX - keypoints * each if known else labels
        if min(labels, keypoints) < 1 or table.channels != BOX + labels + keypoints * each:
            continue
        evidence = [*exported, *_of_columns(observed, table, labels, keypoints * each)]
        if (keypoints, labels) in _USUAL_POSES:
            text = f"{table.text}: a box, a label and {keypoints} keypoints of {each} numbers, as usual"
            evidence.append(speaks_for(Source.SHAPES, text, Part.KIND, Part.COLUMNS))
        yield from readings_of(
            table,
            Yolov8PoseOutput,
            {"keypoints": keypoints, "dimensions": each},
            network="a YOLO of poses of ultralytics",
            labels=labels,
            columns=f"box, scores, {keypoints} keypoints of {each} numbers",
            evidence=evidence,
            roles=(Scores(table.columns(BOX, labels)),),
            keypoints=table.columns(BOX + labels, keypoints * each),
            dimensions=each,
        )


def segmenting(observed: Observed, table: BoxTable) -> Iterator[Reading]:
    """Read 4 + L + M with (B, M, h, w) prototypes: a YOLO of instance masks."""
    graph = observed.graph
    exported = of_ultralytics(graph, "segment")
    prototypes = prototypes_of(graph)
    if (graph.task and not exported) or prototypes is None:
        return
    count = prototypes.axis(1) or 0
    labels = table.channels - BOX - count
    if labels < 1:
        return
    evidence = [
        *exported,
        *_of_columns(observed, table, labels, count),
        of_prototypes(prototypes),
    ]
    yield from readings_of(
        table,
        Yolov8SegOutput,
        {"prototypes_tensor": prototypes.name, "keep_empty_masks": False},
        network="a YOLO of instance masks of ultralytics",
        labels=labels,
        columns=f"box, scores, {count} coefficients",
        evidence=evidence,
        roles=(Scores(table.columns(BOX, labels)),),
    )


def oriented(observed: Observed, table: BoxTable) -> Iterator[Reading]:
    """Read 4 + L + 1: a YOLO of oriented boxes."""
    graph = observed.graph
    exported = of_ultralytics(graph, "obb")
    turning = graph.upstream(table.tensor.name) >= {"Cos", "Sin"}
    labels = table.channels - BOX - 1
    if (graph.task and not exported) or not (exported or turning) or labels < 1:
        return
    evidence = [*exported, *_of_columns(observed, table, labels, 1)]
    if turning:
        text = f"{table.text} comes from cosines and sines, as oriented boxes do"
        evidence.append(speaks_for(Source.OPERATORS, text, Part.KIND, Part.COLUMNS))
    yield from readings_of(
        table,
        Yolov8ObbOutput,
        {},
        network="a YOLO of oriented boxes of ultralytics",
        labels=labels,
        columns="box, scores, angle",
        evidence=evidence,
        roles=(Scores(table.columns(BOX, labels)),),
        decision=ULTRALYTICS_ORIENTED,
        forms=FORMS[:2],
    )
