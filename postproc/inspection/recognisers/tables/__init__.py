"""Single tables: of each box its four numbers, then scores, and what else a network says of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from postproc.inspection.evidence import Evidence, Part, Source, speaks_against, speaks_for
from postproc.inspection.observed import Observed
from postproc.inspection.readings import Reading
from postproc.inspection.recognisers.tables.objectness import landmarks, yolov5, yolox
from postproc.inspection.recognisers.tables.table import BoxTable, tables_of
from postproc.inspection.recognisers.tables.ultralytics import oriented, pose, rtdetr, segmenting, yolov8

__all__ = ["tables"]


def tables(observed: Observed) -> Iterator[Reading]:
    """Recognise tables of YOLO networks: boxes, scores, and keypoints, mask coefficients or an angle."""
    if observed.graph.selection_in_metadata:
        return  # the metadata says that its rows are finished
    found = tables_of(observed.graph)
    heads = {table.tensor.name for table in found}
    for table in found:
        shared = tuple(_shared(observed, table))
        for read in (yolov8, rtdetr, pose, segmenting, oriented, yolov5, landmarks, yolox):
            for reading in read(observed, table):
                yield replace(
                    reading.with_evidence(shared), checks=(*reading.checks, *_of_heads(heads, table))
                )


def _of_heads(heads: set[str], table: BoxTable) -> Iterator[str]:
    if len(heads) > 1:
        yield (
            f"{', '.join(sorted(heads))} are alike: where a network was trained with an auxiliary head, as "
            f"YOLOv9 is, the last output is the main one; this reads {table.tensor.name}"
        )


def _shared(observed: Observed, table: BoxTable) -> Iterator[Evidence]:
    selector = observed.graph.selector(table.tensor.name)
    if selector and selector != "TopK":  # by which RT-DETR selects its queries
        text = (
            f"{table.text} comes from {selector}, and what a network has suppressed is no table of candidates"
        )
        yield speaks_against(Source.OPERATORS, text, Part.KIND)
    if table.strides:
        each = "one a cell" if table.per_cell == 1 else f"{table.per_cell} a cell"
        strides = ", ".join(map(str, table.strides))
        text = f"{table.text}: {table.boxes} boxes are {each} of the grids of strides {strides}"
        yield speaks_for(Source.SHAPES, text, Part.KIND)
