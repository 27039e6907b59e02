"""Dense heads: what networks are known by that give boxes for each place of an image, to be merged by NMS."""

from __future__ import annotations

from collections.abc import Iterator

from postproc.inspection.claims import Claim
from postproc.inspection.evidence import Part, Source
from postproc.inspection.graph import Graph
from postproc.inspection.observed import Observed
from postproc.inspection.presets import DENSE as DENSE_DECISION
from postproc.inspection.presets import (
    DENSE_IMAGE,
    IMAGENET,
    RETINANET,
    SQUASH,
    SSD,
    SSD_IMAGE,
    YOLOV4,
    DetectionStyle,
    ImageStyle,
)
from postproc.inspection.recognisers.heads import DENSE, MOST_QUERIES, Head
from postproc.schema.outputs import Background, ScoreActivation

SCORES_OF_PLACES: tuple[tuple[ScoreActivation, Background], ...] = (
    ("none", "none"),
    ("none", "first"),
    ("none", "last"),
    ("sigmoid", "none"),
    ("sigmoid", "first"),  # TensorFlow's SSD
    ("softmax", "first"),
    ("softmax", "last"),
)


def style_of(graph: Graph, head: Head, background: str) -> tuple[str, DetectionStyle, ImageStyle]:
    """Give the networks that have such boxes, and what their users expect."""
    if background != "none":
        return "SSD exported with decoding", SSD, SSD_IMAGE
    if is_yolov4(head):
        return "YOLOv4 of pytorch-YOLOv4", YOLOV4, SQUASH
    if head.strides(graph)[1] == 1:
        return "YOLO-NAS, RTMDet, PP-YOLOE", DENSE_DECISION, DENSE_IMAGE
    return "RetinaNet, EfficientDet and similar", RETINANET, IMAGENET


def is_yolov4(head: Head) -> bool:
    """Tell whether names and shapes are those of pytorch-YOLOv4."""
    return head.boxes.rank == 4 and (head.boxes.name, head.scores.name) == ("boxes", "confs")


def dense_claims(observed: Observed, head: Head) -> Iterator[Claim]:
    """Claim what shapes, operators and names tell of boxes for each place."""
    graph = observed.graph
    strides, per_cell = head.strides(graph)
    if strides:
        listed = ", ".join(map(str, strides))
        text = f"{head.text}: {per_cell} box{'es' * (per_cell > 1)} a cell of the grids of strides {listed}"
        yield Claim(Source.SHAPES, text, {Part.KIND: DENSE})
    elif head.count is not None and head.count > MOST_QUERIES:
        text = f"{head.text}: {head.count} boxes are more than a network chooses, so they overlap"
        yield Claim(Source.SHAPES, text, {Part.KIND: DENSE})
    if graph.bins:
        text = f"sides of boxes are sums over {graph.bins} bins (DFL), as heads with a box a cell have them"
        yield Claim(Source.OPERATORS, text, {Part.KIND: DENSE})
    if is_yolov4(head):
        text = f"{head.text} are pytorch-YOLOv4's, whose boxes are corners in [0, 1]"
        says = {Part.KIND: DENSE, Part.BOX_FORMAT: "xyxy", Part.UNITS: "normalized"}
        yield Claim(Source.NAMES, text, says)
    is_softmax = observed.sources(head.score_columns) == {"Softmax"}
    if is_softmax and head.boxes.is_called("boxes") and head.scores.is_called("scores"):
        text = (
            f"{head.scores.name} ends in a Softmax, with {head.boxes.name} beside it, as pytorch-ssd and its "
            "kin name them: their background comes first, their boxes are corners in [0, 1]"
        )
        says = {Part.BACKGROUND: "first", Part.BOX_FORMAT: "xyxy", Part.UNITS: "normalized"}
        yield Claim(Source.NAMES, text, says)
