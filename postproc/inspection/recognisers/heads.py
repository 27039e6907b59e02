"""Boxes with a score per label, in two tensors: DETR and its kin, RetinaNet, YOLO-NAS, decoded SSD."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from postproc.inspection.documents import detection
from postproc.inspection.graph import Graph, Tensor
from postproc.inspection.presets import (
    DENSE,
    DENSE_IMAGE,
    DETR,
    DETR_SOFTMAX,
    IMAGENET,
    RETINANET,
    SQUASH,
    SSD,
    SSD_IMAGE,
)
from postproc.inspection.proposal import Certainty, Proposal
from postproc.schema import StandardOutput

_MOST_QUERIES = 1000
_DENSE_STRIDES = (8, 16, 32)


@dataclass(frozen=True, slots=True)
class Head:
    """Boxes and their scores.

    Parameters
    ----------
    boxes, scores : Tensor
        (B, N, 4), (B, N, 1, 4) or (B, N, L, 4), and (B, N, C) or (B, C, N).
    count : int or None
        N, if it is known.
    columns : int
        C: labels, and a background if there is one.
    """

    boxes: Tensor
    scores: Tensor
    count: int | None
    columns: int

    @property
    def text(self) -> str:
        """The tensors and their shapes."""
        return f"{self.boxes.name} {self.boxes.text} and {self.scores.name} {self.scores.text}"


def head_of(graph: Graph) -> Head | None:
    """Find one tensor of boxes and one of scores for them, whatever else there is (masks, features)."""
    boxes = [tensor for tensor in graph.float_outputs if tensor.rank in (3, 4) and tensor.axis(-1) == 4]
    boxes = [tensor for tensor in boxes if not graph.is_constant(tensor.name)]
    if len(boxes) > 1:  # scores of four labels have the same last axis: names tell
        boxes = [tensor for tensor in boxes if "box" in tensor.name.lower() or "det" in tensor.name.lower()]
    if len(boxes) != 1:
        return None
    count = boxes[0].axis(1)
    for tensor in graph.of_rank(3):
        if tensor is not boxes[0]:
            for rows, columns in ((tensor.axis(1), tensor.axis(2)), (tensor.axis(2), tensor.axis(1))):
                if columns is not None and len({rows, count} - {None}) < 2 and (columns != count):
                    return Head(boxes[0], tensor, count, columns)
    return None


def detr(graph: Graph) -> Iterator[Proposal]:
    """Recognise queries: RT-DETR, D-FINE, RF-DETR with a sigmoid a label, DETR with a softmax."""
    head = head_of(graph)
    if head is None or head.boxes.rank != 3 or head.count is None or head.count > _MOST_QUERIES:
        return
    is_squashed = graph.ends_in(head.boxes.name, "Sigmoid")
    is_named = "logit" in head.scores.name.lower() or head.boxes.name == "pred_boxes"
    if not (is_squashed or is_named or head.boxes.name == "dets" or "GridSample" in graph.operators):
        return
    reasons = [f"{head.text}: {head.count} queries, each with a box and {head.columns} scores"]
    if is_squashed:
        reasons.append(
            "boxes end in a Sigmoid: normalized centre and size, as networks of the DETR kind have them"
        )
    deformable = "GridSample" in graph.operators
    activated = graph.ends_in(head.scores.name, "Sigmoid")
    if deformable:
        reasons.append("it attends by GridSample (deformable attention), as RT-DETR, D-FINE and RF-DETR do")
    focal = deformable or activated or head.boxes.name == "dets"
    evident = deformable or activated
    for sigmoid in (True, False) if focal else (False, True):
        if (sigmoid or not (focal or activated)) or not evident:
            yield _query_proposal(graph, head, sigmoid, activated, sigmoid == focal, evident, reasons)


def _query_proposal(
    graph: Graph, head: Head, sigmoid: bool, activated: bool, first: bool, evident: bool, reasons: list[str]
) -> Proposal:
    activation = "none" if activated else "sigmoid" if sigmoid else "softmax"
    checks = [
        "no queries of its kind are told apart by their shape: sigmoid if each label has its own score, "
        "softmax with the background last if the scores of a query add up to 1"
    ]
    return detection(
        graph,
        StandardOutput.load(
            {
                "boxes_tensor": head.boxes.name,
                "scores_tensor": head.scores.name,
                "box_format": "cxcywh",
                "score_activation": activation,
                **({} if sigmoid else {"background": "last"}),
            }
        ),
        network="RT-DETR, D-FINE, RF-DETR, Deformable DETR" if sigmoid else "DETR, YOLOS, Table Transformer",
        certainty=Certainty.POSSIBLE if not first else Certainty.CERTAIN if evident else Certainty.LIKELY,
        labels=head.columns if sigmoid else head.columns - 1,
        decision=DETR if sigmoid else DETR_SOFTMAX,
        image=(IMAGENET if head.boxes.name == "dets" else SQUASH) if sigmoid else IMAGENET,
        reasons=reasons,
        checks=[] if evident else checks,
    )


def dense(graph: Graph) -> Iterator[Proposal]:
    """Recognise decoded boxes of grids or anchors: RetinaNet, YOLO-NAS, RTMDet, decoded SSD."""
    head = head_of(graph)
    if head is None or graph.is_raw(head.boxes.name) or any(True for _ in detr(graph)):
        return
    softmax = graph.ends_in(head.scores.name, "Softmax")
    cells = _cells(graph)
    fields = {"boxes_tensor": head.boxes.name, "scores_tensor": head.scores.name}
    reasons = [f"{head.text}: a box and {head.columns} scores a row"]
    checks = ["boxes are taken as xyxy; see box_format"]
    if softmax:
        fields["background"] = "first"
        reasons.append("scores end in a Softmax, so that one of them is the background's; first in SSD")
        network, decision, image, pixels = "SSD exported with decoding", SSD, SSD_IMAGE, False
        fields["clip"] = "before"
        checks.append("boxes are taken as normalized; add input_size if they are in pixels")
    elif head.count is not None and head.count == cells:
        network, decision, image, pixels = "YOLO-NAS, RTMDet, PP-YOLOE", DENSE, DENSE_IMAGE, True
        reasons.append(f"{head.count} boxes are one a cell of the grids of strides 8, 16, 32")
    else:
        network, decision, image, pixels = "RetinaNet, EfficientDet and similar", RETINANET, IMAGENET, True
        fields["clip"] = "before"
        checks.append("boxes are taken as pixels of the input; leave input_size out if they lie in [0, 1]")
    sources = graph.sources(head.scores.name)
    if not softmax and sources and sources <= {"Conv", "Gemm", "MatMul", "Add"}:
        fields["score_activation"] = "sigmoid"
        reasons.append("scores end in a layer, without a Sigmoid: they are logits")
    if _is_channels_first(head):
        fields["layout"] = "channels_first"
    yield detection(
        graph,
        StandardOutput.load(fields),
        network=network,
        certainty=Certainty.LIKELY,
        labels=head.columns - 1 if softmax else head.columns,
        decision=decision,
        image=image,
        reasons=reasons,
        checks=checks,
        in_pixels=pixels,
    )


def _cells(graph: Graph) -> int | None:
    if graph.input_size is None:
        return None
    height, width = graph.input_size
    return sum((height // stride) * (width // stride) for stride in _DENSE_STRIDES)


def _is_channels_first(head: Head) -> bool:
    """Tell whether the scores are (B, C, N) where N is known to be the last axis."""
    return head.scores.axis(1) == head.columns and head.scores.axis(2) == head.count
