"""What exporters write into the metadata of their networks."""

from __future__ import annotations

from collections.abc import Iterator

from postproc.inspection.evidence import PARTS_OF_ANSWERS, Evidence, Part, Source, speaks_for
from postproc.inspection.graph import Graph
from postproc.inspection.literals import parsed


def of_ultralytics(graph: Graph, task: str, *parts: Part) -> list[Evidence]:
    """Tell that ultralytics exported a network for a task, which speaks for some parts: by default all."""
    if not (graph.is_ultralytics and graph.task == task):
        return []
    text = f"ultralytics exported it for the task {task}"
    if graph.selection_in_metadata:
        text = f"{text}, with {graph.selection_in_metadata}"
    return [speaks_for(Source.METADATA, text, *(parts or PARTS_OF_ANSWERS))]


def of_yolov5(graph: Graph, *parts: Part) -> Iterator[Evidence]:
    """Use that YOLOv5's own export writes strides and names, and not more."""
    if {"stride", "names"} <= set(graph.metadata) and not graph.is_ultralytics:
        text = "its metadata holds stride and names, as YOLOv5's export.py writes them"
        yield speaks_for(Source.METADATA, text, *(parts or PARTS_OF_ANSWERS))


def keypoint_shape(graph: Graph) -> tuple[int, int] | None:
    """Read ultralytics' ``kpt_shape``: how many keypoints, and numbers of each."""
    try:
        count, each = parsed(graph.metadata.get("kpt_shape", ""))
    except (ValueError, TypeError):
        return None
    is_shape = isinstance(count, int) and count > 0 and each in (2, 3)
    return (count, each) if is_shape else None
