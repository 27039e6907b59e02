"""Finished detections in one packed tensor: a box, a score and a class in each row."""

from __future__ import annotations

from collections.abc import Iterator

from postproc.inspection.documents import detection
from postproc.inspection.graph import Graph
from postproc.inspection.presets import (
    FINISHED,
    LETTERBOX,
    SQUASH,
    SSD_IMAGE,
    ULTRALYTICS_END_TO_END,
    ULTRALYTICS_SQUASH,
)
from postproc.inspection.proposal import Certainty, Proposal
from postproc.inspection.recognisers.tables import table_of
from postproc.schema import EndToEndOutput

_MOST_ROWS = 3000  # of a network that has chosen: beyond it rows are candidates


def packed_rows(graph: Graph) -> Iterator[Proposal]:
    """Recognise (B, N, 6): YOLOv10, YOLO26, RT-DETR of ultralytics, exports with NMS in the graph."""
    tensors = graph.of_rank(3)
    if len(graph.float_outputs) != 1 or not tensors:
        return
    tensor = tensors[0]
    rows, columns = tensor.axis(1), tensor.axis(2)
    embedded = _embedded_selection(graph)
    is_detr = graph.metadata.get("head") == "RTDETRDecoder"
    if columns not in (6, None) or (columns is None and not embedded) or (rows or 0) > _MOST_ROWS:
        return
    table = table_of(graph)
    chosen = graph.suppression or next((name for name in ("TopK",) if name in graph.operators), None)
    if not (embedded or is_detr) and (chosen is None and table is not None and table.strides):
        return  # a box for each cell: a table of candidates
    reasons = [f"{tensor.name} is {tensor.text}: rows of a box, a score and a class"]
    checks = []
    if embedded or is_detr:
        reasons.append(
            f"ultralytics exported it with the selection of boxes in the graph: {embedded or 'RT-DETR'}"
        )
    elif chosen:
        reasons.append(f"the graph chooses its boxes itself: {chosen}")
    else:
        checks.append("no operator of the graph chooses boxes: are the rows finished detections?")
    if not (embedded or is_detr):
        checks.append(
            "the order of the columns, and that boxes are xyxy in pixels of the input, are YOLOv10's; "
            "see columns, box_format and input_size"
        )
    fields: dict[str, str] = {"output_tensor": tensor.name}
    if is_detr:
        fields["box_format"] = "cxcywh"
        reasons.append("its head is RTDETRDecoder: boxes are normalized centres and sizes")
    certainty = (
        Certainty.CERTAIN if embedded or is_detr else Certainty.LIKELY if chosen else Certainty.POSSIBLE
    )
    yield detection(
        graph,
        EndToEndOutput.load(fields),
        network="RT-DETR of ultralytics" if is_detr else "YOLOv10, YOLO26, or a YOLO with NMS in the graph",
        certainty=certainty,
        labels=None,
        decision=ULTRALYTICS_END_TO_END,
        image=ULTRALYTICS_SQUASH if is_detr else LETTERBOX,
        reasons=reasons,
        checks=checks,
        in_pixels=not is_detr,
    )


def _embedded_selection(graph: Graph) -> str:
    """Tell what in ultralytics' metadata says that the graph chooses its boxes, or nothing."""
    if graph.is_ultralytics and graph.metadata.get("end2end") == "True":
        return "end2end in its metadata"
    if graph.is_ultralytics and "'nms': True" in graph.metadata.get("args", ""):
        return "nms=True in its metadata"
    return ""


def rows_with_image(graph: Graph) -> Iterator[Proposal]:
    """Recognise (M, 7), whose first column is the image: YOLOv7 exported end to end."""
    for tensor in graph.of_rank(2):
        if len(graph.float_outputs) == 1 and tensor.axis(1) == 7 and tensor.axis(0) is None:
            yield detection(
                graph,
                EndToEndOutput(output_tensor=tensor.name, columns=("image", "box", "class", "score")),
                network="YOLOv7 exported with --end2end",
                certainty=Certainty.CERTAIN if graph.suppression else Certainty.LIKELY,
                labels=None,
                decision=ULTRALYTICS_END_TO_END,
                image=LETTERBOX,
                reasons=[
                    f"{tensor.name} is {tensor.text}: any number of rows of image, box, class and score",
                    *(
                        [f"the graph chooses its boxes itself: {graph.suppression}"]
                        if graph.suppression
                        else []
                    ),
                ],
                checks=["the order of the columns is YOLOv7's: image, xyxy, class, score"],
                in_pixels=True,
            )


def detection_list(graph: Graph) -> Iterator[Proposal]:
    """Recognise (1, 1, N, 7): the DetectionOutput layer of Caffe and OpenVINO."""
    for tensor in graph.of_rank(4):
        if tensor.axis(-1) == 7 and tensor.axis(1) == 1 and tensor.axis(0) in (1, None):
            yield detection(
                graph,
                EndToEndOutput(
                    output_tensor=tensor.name, columns=("image", "class", "score", "box"), classes="ids"
                ),
                network="SSD with the DetectionOutput layer of Caffe or OpenVINO",
                certainty=Certainty.CERTAIN,
                labels=None,
                decision=FINISHED,
                image=SSD_IMAGE,
                reasons=[
                    f"{tensor.name} is {tensor.text}: rows of image, class, score and a normalized box, as "
                    "DetectionOutput makes them"
                ],
                checks=["classes are taken as label ids from 1, since 0 is the background there"],
                first_id=1,
            )


def rows_and_count(graph: Graph) -> Iterator[Proposal]:
    """Recognise (M, 6) with a count of rows per image: PaddleDetection."""
    rows = [tensor for tensor in graph.of_rank(2) if tensor.axis(1) == 6]
    counts = [tensor for tensor in graph.outputs if not tensor.is_float and tensor.rank in (1, 2)]
    if len(rows) != 1 or len(counts) != 1 or len(graph.outputs) != 2:
        return
    tensor, count = rows[0], counts[0]
    reasons = [
        f"{tensor.name} is {tensor.text}: rows of class, score and box",
        f"{count.name} {count.text} {count.type} counts the rows of each image",
    ]
    if graph.suppression:
        reasons.append(f"the graph chooses its boxes itself: {graph.suppression}")
    yield detection(
        graph,
        EndToEndOutput(output_tensor=tensor.name, columns=("class", "score", "box"), count_tensor=count.name),
        network="PaddleDetection: PP-YOLOE, PicoDet, RT-DETR",
        certainty=Certainty.CERTAIN,
        labels=None,
        decision=FINISHED,
        image=SQUASH,
        reasons=reasons,
        checks=[
            "with scale_factor 1, boxes are in pixels of the input; another factor needs another input_size"
        ],
        in_pixels=True,
    )
