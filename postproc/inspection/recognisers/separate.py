"""Finished detections in separate tensors: boxes, scores and classes, with or without a count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from postproc.inspection.documents import detection
from postproc.inspection.graph import Graph, Tensor
from postproc.inspection.presets import FINISHED, LETTERBOX, PIXELS, SQUASH, Decision, ImageStyle
from postproc.inspection.proposal import Certainty, Proposal
from postproc.schema import DirectOutput, EndToEndOutput

_CLASSES = ("labels", "classes", "det_classes", "detection_classes", "nms_classes", "class_ids", "label")
_SCORES = ("scores", "det_scores", "detection_scores", "nms_scores", "score")


@dataclass(frozen=True, slots=True)
class Detections:
    """The tensors of finished detections."""

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    count: Tensor | None

    @property
    def reason(self) -> str:
        """What the shapes say."""
        names = [
            f"{tensor.name} {tensor.text}"
            for tensor in (self.boxes, self.scores, self.classes, self.count)
            if tensor
        ]
        return f"{', '.join(names)}: one box, score and class a row" + (
            ", and how many rows count" if self.count else ""
        )


def detections_of(graph: Graph) -> Detections | None:
    """Find boxes (B, N, 4) with scores and classes (B, N), or the same without the batch axis."""
    for rank in (3, 2):
        boxes = [tensor for tensor in graph.of_rank(rank) if tensor.axis(-1) == 4]
        rows = [tensor for tensor in graph.outputs if tensor.rank == rank - 1 and tensor not in boxes]
        if len(boxes) != 1:
            continue
        rows = [tensor for tensor in rows if _is_as_long(tensor, boxes[0])]
        classes = _named(rows, _CLASSES) or next((row for row in rows if not row.is_float), None)
        scores = _named(rows, _SCORES) or next((row for row in rows if row.is_float and row != classes), None)
        if classes is not None and scores is not None:
            others = [tensor for tensor in graph.outputs if tensor not in (boxes[0], classes, scores)]
            counts = [
                tensor for tensor in others if tensor.rank in (0, 1, 2) and tensor.axis(-1) in (1, None)
            ]
            counts = [tensor for tensor in counts if "num" in tensor.name.lower() or not tensor.is_float]
            return Detections(boxes[0], scores, classes, counts[0] if counts and rank == 3 else None)
    return None


def _is_as_long(tensor: Tensor, boxes: Tensor) -> bool:
    lengths = {tensor.axis(-1), boxes.axis(-2)} - {None}
    return len(lengths) < 2 and not (tensor.axis(-1) == 1 and boxes.axis(-2) != 1)


def _named(tensors: list[Tensor], names: tuple[str, ...]) -> Tensor | None:
    for name in names:
        for tensor in tensors:
            if tensor.name.removesuffix(":0").lower().rpartition("/")[2] == name:
                return tensor
    return None


def tensorflow(graph: Graph) -> Iterator[Proposal]:
    """Recognise TensorFlow's detection API by its names: normalized boxes, y first."""
    boxes, scores = graph.find("detection_boxes"), graph.find("detection_scores")
    classes = graph.find("detection_classes")
    if boxes is None or scores is None or classes is None:
        return
    yield detection(
        graph,
        DirectOutput(
            boxes_tensor=boxes.name, scores_tensor=scores.name, classes_tensor=classes.name, box_format="yxyx"
        ),
        network="TensorFlow's detection API",
        certainty=Certainty.CERTAIN,
        labels=None,
        decision=FINISHED,
        image=PIXELS,
        reasons=[
            f"{boxes.name}, {scores.name} and {classes.name} are the names that TensorFlow's detection API "
            "gives",
            "its boxes are normalized, y first, and its classes label ids from 1",
        ],
        first_id=1,
    )


def separate(graph: Graph) -> Iterator[Proposal]:
    """Recognise boxes, scores and classes: EfficientNMS, torchvision, RT-DETR with its post-processor."""
    if graph.find("detection_boxes"):
        return
    found = detections_of(graph)
    if found is None:
        return
    chosen = graph.suppression or ("TopK" if "TopK" in graph.operators else None)
    reasons = [found.reason]
    if chosen:
        reasons.append(f"the graph chooses its boxes itself: {chosen}")
    origin = _origin(graph, found)
    certain = origin.is_known and chosen is not None
    yield detection(
        graph,
        EndToEndOutput.load(
            {
                "boxes_tensor": found.boxes.name,
                "scores_tensor": found.scores.name,
                "classes_tensor": found.classes.name,
                **({"count_tensor": found.count.name} if found.count else {}),
                **({"classes": "ids"} if origin.first_id else {}),
            }
        ),
        network=origin.network,
        certainty=Certainty.CERTAIN if certain else Certainty.LIKELY,
        labels=None,
        decision=origin.decision,
        image=origin.image,
        reasons=[*reasons, *origin.reasons],
        checks=origin.checks,
        first_id=origin.first_id,
        in_pixels=origin.in_pixels,
        batched=found.boxes.rank == 3,
    )
    if not origin.is_known and found.boxes.rank == 3:
        yield detection(
            graph,
            DirectOutput(
                boxes_tensor=found.boxes.name,
                scores_tensor=found.scores.name,
                classes_tensor=found.classes.name,
                classes="rows",
            ),
            network="decoded boxes that still overlap",
            certainty=Certainty.POSSIBLE,
            labels=None,
            decision=Decision(0.5, 0.5, "thresholds and nms_threshold 0.5"),
            image=SQUASH,
            reasons=reasons,
            checks=[
                "right if one object comes out as several boxes, so that NMS is still needed",
                *origin.checks,
            ],
            in_pixels=origin.in_pixels,
        )


@dataclass(frozen=True, slots=True)
class _Origin:
    """Who makes such detections, and what else that says of them."""

    network: str
    decision: Decision
    image: ImageStyle
    reasons: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    first_id: int = 0
    in_pixels: bool = True
    is_known: bool = True


def _origin(graph: Graph, found: Detections) -> _Origin:
    if any(tensor.name in ("orig_target_sizes", "orig_size") for tensor in graph.inputs):
        return _Origin(
            "RT-DETR, D-FINE or DEIM with its post-processor",
            FINISHED,
            SQUASH,
            ("it takes the size to which its boxes are scaled; preprocessing gives it the input's",),
        )
    if graph.suppression and graph.suppression.endswith("_TRT"):
        return _Origin(
            f"TensorRT's {graph.suppression.removesuffix('_TRT')} after a YOLO",
            FINISHED,
            LETTERBOX,
            (f"{graph.suppression} gives classes from 0, and boxes in pixels of the input",),
            (
                f"ONNX Runtime has no {graph.suppression}: run it with TensorRT, and give postproc the "
                "tensors",
            ),
        )
    if found.count is None and found.boxes.rank == 2:
        return _Origin(
            "a detector of torchvision",
            FINISHED,
            SQUASH,
            (
                "outputs without a batch axis, in pixels of the input, are torchvision's; its classes are "
                "ids "
                "from 1, 0 being the background",
            ),
            first_id=1,
        )
    normalized = "Div" in graph.sources(found.boxes.name) or "Sigmoid" in graph.sources(found.boxes.name)
    return _Origin(
        "a detector with selection in the graph",
        FINISHED,
        SQUASH,
        (),
        (
            "boxes are taken as normalized xyxy; add input_size if they are in pixels"
            if normalized
            else "boxes are taken as xyxy in pixels of the input; leave input_size out if they lie in [0, 1]",
            'classes are taken as rows of labels, from 0; "classes": "ids" if they are ids',
        ),
        in_pixels=not normalized,
        is_known=found.count is not None,
    )
