"""Detections in separate tensors: boxes, scores and classes, a row each, with or without a count."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from postproc.inspection.evidence import PARTS_OF_ANSWERS, Evidence, Part, Source, speaks_for
from postproc.inspection.graph import Graph, Tensor, listed
from postproc.inspection.meanings import Detects
from postproc.inspection.observed import Columns, Observed
from postproc.inspection.presets import (
    FINISHED,
    GUESSED_LETTERBOX,
    PIXELS,
    SQUASH,
    UNSUPPRESSED,
    ImageStyle,
)
from postproc.inspection.readings import Reading, Role
from postproc.inspection.recognisers.forms import OVERLAPPING, BoxForm, forms_of
from postproc.inspection.recognisers.of_instances import OfInstances, of_instances
from postproc.inspection.roles import Boxes, Classes, Finished, LabelCount, Scores
from postproc.inspection.roles.classes import labels_behind
from postproc.schema import DetectionOutput, DirectOutput, EndToEndOutput

_NAMES = {
    "boxes": ("boxes", "box", "bboxes", "bbox", "det_boxes", "detection_boxes", "nms_boxes", "pred_boxes"),
    "scores": ("scores", "score", "det_scores", "detection_scores", "nms_scores", "pred_scores", "conf"),
    "classes": (
        *("labels", "label", "classes", "class", "class_ids", "class_idx", "label_ids"),
        *("pred_classes", "det_classes", "detection_classes", "nms_classes", "det_labels"),
    ),
}
_TENSORFLOW = ("detection_boxes", "detection_scores", "detection_classes")
# Names of tensors of corners in pixels with classes from 0, and who gives them.
_KNOWN = {
    ("det_boxes", "det_scores", "det_classes"): "YOLOv6 and v7",
    ("pred_boxes", "pred_scores", "pred_classes"): "super-gradients, such as of YOLO-NAS,",
}
_SIZE_INPUTS = ("orig_target_sizes", "orig_size", "target_sizes")
_USUAL: BoxForm = ("xyxy", "pixels")


@dataclass(frozen=True, slots=True)
class _Rows:
    """Tensors that may be detections."""

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    count: Tensor | None

    @property
    def text(self) -> str:
        """The tensors and their shapes."""
        tensors = (self.boxes, self.scores, self.classes, self.count)
        return listed(tensor for tensor in tensors if tensor is not None)

    @property
    def named(self) -> dict[str, Tensor]:
        """The tensors by what they are."""
        return {"boxes": self.boxes, "scores": self.scores, "classes": self.classes}

    @property
    def is_batch(self) -> bool:
        """Whether there is an axis of images."""
        return self.boxes.rank == 3


@dataclass(frozen=True, slots=True)
class _Origin:
    """Who made such detections, and what that says of them.

    `usual` is evidence for the usual form, corners in pixels.
    """

    network: str
    image: ImageStyle
    evidence: tuple[Evidence, ...] = ()
    forms: tuple[BoxForm, ...] = ()
    usual: tuple[Evidence, ...] = ()
    firsts: tuple[int, ...] = (0, 1)
    checks: tuple[str, ...] = ()
    is_told: bool = False


def separate_rows(observed: Observed) -> Iterator[Reading]:
    """Recognise boxes with scores and classes: TensorFlow's, EfficientNMS', torchvision's and others."""
    graph = observed.graph
    candidates = list(_candidates(graph))
    if len({rows.boxes for rows in candidates}) > 1:
        yield from _of_several_images(graph, candidates)
        return
    for rows in candidates:
        origin = _origin(graph, rows)
        shared = (*origin.evidence, *_of_names(rows))
        for form in origin.forms or tuple(forms_of(graph)):
            chosen = (True,) if origin.forms or origin.usual else (True, False)  # by who made them
            for first, is_suppressed in itertools.product(origin.firsts, chosen):
                usual = origin.usual if form == _USUAL else ()
                more = of_instances(observed, rows.boxes, form[1]) if is_suppressed else OfInstances()
                reading = _reading(graph, rows, origin, form, first, is_suppressed, more)
                yield reading.with_evidence((*shared, *usual, *more.evidence))


def _of_several_images(graph: Graph, candidates: list[_Rows]) -> Iterator[Reading]:
    """Name detections of several images in tensors of their own: what torchvision exports for several."""
    boxes = {rows.boxes.name: rows.boxes for rows in candidates}.values()
    if len(graph.inputs) != len(boxes) or any(tensor.rank != 2 for tensor in boxes):
        return
    text = f"{', '.join(tensor.name for tensor in boxes)} are the boxes of {len(boxes)} images"
    yield Reading(
        "a detector of torchvision for several images",
        None,
        (speaks_for(Source.SHAPES, text, Part.KIND),),
        advice=f"{text}, each with tensors of its own, and no kind of output reads those: export the network "
        "for one image, and run it once an image",
    )


def _candidates(graph: Graph) -> Iterator[_Rows]:
    """Find boxes (B, N, 4) with two tensors (B, N), or the same without the batch's axis."""
    for boxes in (tensor for tensor in graph.of_rank(2, 3) if tensor.axis(-1) == 4):
        rows = [tensor for tensor in graph.outputs if tensor is not boxes and _is_as_long(tensor, boxes)]
        if boxes.rank == 3:
            counts = [tensor for tensor in graph.outputs if tensor not in rows and _is_count(tensor, boxes)]
        else:
            counts = []
        for scores, classes in itertools.permutations(rows, 2):
            others = any("int" in row.type for row in rows if row is not classes)
            if scores.is_float and (not classes.is_float or not others):
                yield _Rows(boxes, scores, classes, counts[0] if len(counts) == 1 else None)


def _is_as_long(tensor: Tensor, boxes: Tensor) -> bool:
    """Tell whether a tensor has a number for each box."""
    if tensor.rank != boxes.rank - 1 or not (tensor.is_float or "int" in tensor.type):
        return False
    lengths = {tensor.axis(-1), boxes.axis(-2)} - {None}
    return len(lengths) < 2 and (tensor.axis(-1) != 1 or boxes.axis(-2) == 1)


def _is_count(tensor: Tensor, boxes: Tensor) -> bool:
    is_one = tensor.rank == 1 or (tensor.rank == 2 and tensor.axis(-1) == 1)
    return is_one and ("int" in tensor.type or "num" in tensor.name.lower())


def _of_names(rows: _Rows) -> Iterator[Evidence]:
    fitting = [what for what, tensor in rows.named.items() if tensor.plain_name in _NAMES[what]]
    if len(fitting) == len(rows.named):
        text = f"{rows.text} are called what they hold"
        yield speaks_for(Source.NAMES, text, Part.KIND, Part.COLUMNS)


def _are_called(rows: _Rows, names: tuple[str, ...]) -> bool:
    """Tell whether the tensors have some names, whatever stands before them."""
    tensors = zip(rows.named.values(), names, strict=True)
    return all(
        tensor.plain_name == name or tensor.plain_name.endswith(f"_{name}") for tensor, name in tensors
    )


def _origin(graph: Graph, rows: _Rows) -> _Origin:
    usual: tuple[Evidence, ...] = ()
    known = next((who for names, who in _KNOWN.items() if _are_called(rows, names)), None)
    if known is not None and rows.count is not None:
        text = f"{rows.text}: so exports of {known} name corners in pixels, and classes from 0"
        usual = (speaks_for(Source.NAMES, text, *PARTS_OF_ANSWERS),)
    plugin = next((name for name in sorted(graph.sources(rows.boxes.name)) if name.endswith("_TRT")), None)
    if plugin is not None:
        text = f"{plugin} gives corners, scores and classes that count from 0"
        parts = (Part.KIND, Part.COLUMNS, Part.BOX_FORMAT, Part.LABEL_OFFSET, Part.ACTIVATION)
        return _Origin(
            f"TensorRT's {plugin.removesuffix('_TRT')} after a YOLO",
            GUESSED_LETTERBOX,
            (speaks_for(Source.OPERATORS, text, *parts),),
            (("xyxy", "pixels"), ("xyxy", "normalized")),
            usual,
            (0,),
            (f"ONNX Runtime has no {plugin}: run it with TensorRT, and give postproc the tensors",),
        )
    if usual:
        return _Origin(
            "a YOLO with NMS in the graph", GUESSED_LETTERBOX, usual=usual, firsts=(0,), is_told=True
        )
    if _are_called(rows, _TENSORFLOW):
        text = (
            f"{rows.text} have the names that TensorFlow's detection API gives: its boxes are normalized, y "
            "first, and its classes ids from 1"
        )
        evidence = speaks_for(Source.NAMES, text, *PARTS_OF_ANSWERS)
        form: BoxForm = ("yxyx", "normalized")
        return _Origin("TensorFlow's detection API", PIXELS, (evidence,), forms=(form,), firsts=(1,))
    size_input = next((tensor.name for tensor in graph.inputs if tensor.name in _SIZE_INPUTS), None)
    if size_input is not None:
        text = f"{size_input} is the size in pixels that RT-DETR, D-FINE and DEIM scale their boxes to"
        usual = (speaks_for(Source.NAMES, text, Part.KIND, Part.UNITS, Part.BOX_FORMAT),)
        return _Origin("RT-DETR, D-FINE or DEIM with its post-processor", SQUASH, usual=usual)
    if not rows.is_batch:
        usual = tuple(_of_torchvision(graph, rows))
        return _Origin("a detector of torchvision", SQUASH, usual=usual)
    return _Origin("a detector that chooses its boxes", SQUASH)


def _of_torchvision(graph: Graph, rows: _Rows) -> Iterator[Evidence]:
    """Use that torchvision's outputs have no axis of images, though its networks suppress."""
    if graph.selector(rows.scores.name) not in (None, "TopK"):
        text = f"{rows.text} are suppressed and have no axis of images, as torchvision's outputs"
        parts: tuple[Part, ...] = (Part.KIND, Part.COLUMNS)
        if any(tensor.rank == 3 and tensor.is_float for tensor in graph.inputs):
            text += ", and neither has its input: boxes are corners in pixels of it"
            parts += (Part.BOX_FORMAT, Part.UNITS)
        yield speaks_for(Source.SHAPES, text, *parts)


def _reading(
    graph: Graph,
    rows: _Rows,
    origin: _Origin,
    form: BoxForm,
    first: int,
    is_suppressed: bool,
    more: OfInstances,
) -> Reading:
    box_format, units = form
    named = {f"{what}_tensor": tensor.name for what, tensor in rows.named.items()}
    written: dict[str, Any] = {**named, **({"box_format": box_format} if box_format != "xyxy" else {})}
    is_tensorflow = origin.forms == (("yxyx", "normalized"),)
    output: DetectionOutput
    if is_tensorflow and not more.fields:
        output = DirectOutput.load(written)
    else:
        written |= {"count_tensor": rows.count.name} if rows.count is not None else {}
        written |= more.fields
        output = EndToEndOutput.load({**written, **({"classes": "ids"} if first else {})})
    boxes = Columns(rows.boxes.name)
    scores, classes = (Columns(tensor.name) for tensor in (rows.scores, rows.classes))
    labels = labels_behind(graph.links, rows.classes.name, rows.scores.name)
    roles: list[Role] = [] if labels is None else [LabelCount(labels)]
    meaning = Detects(
        output,
        labels,
        FINISHED if is_suppressed else UNSUPPRESSED,
        origin.image,
        ", ".join(filter(None, ("boxes, scores, classes", more.text))),
        first_id=first,
        in_pixels=units == "pixels",
        batched=rows.is_batch,
    )
    return Reading(
        origin.network if is_suppressed else "decoded boxes that overlap",
        meaning,
        (),
        (
            *roles,
            Boxes(
                boxes,
                box_format,
                units,
                is_told=origin.is_told and form == _USUAL,
                in_order=not is_suppressed,
            ),
            Scores(scores, in_boxes=False),
            Classes(classes, first, scores),
            Finished(boxes, scores, classes, rows.boxes.axis(-2), is_suppressed),
            *more.roles,
        ),
        {} if is_suppressed else {Part.KIND: OVERLAPPING},
        checks=(*origin.checks, *graph.unread(*rows.named.values(), rows.count, more.tensor)),
    )
