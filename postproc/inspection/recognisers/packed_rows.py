"""Rows of one tensor that hold a box, a score and a class each: finished detections, or decoded ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from postproc.inspection.evidence import PARTS_OF_ANSWERS, Evidence, Part, Source, speaks_for
from postproc.inspection.graph import Graph, Tensor
from postproc.inspection.meanings import Detects
from postproc.inspection.observed import Columns, Observed
from postproc.inspection.presets import (
    FINISHED,
    GUESSED_LETTERBOX,
    LETTERBOX,
    SQUASH,
    SSD_IMAGE,
    ULTRALYTICS_END_TO_END,
    ULTRALYTICS_SQUASH,
    UNSUPPRESSED,
    DetectionStyle,
    ImageStyle,
)
from postproc.inspection.readings import Reading, Role
from postproc.inspection.recognisers.exporters import of_ultralytics
from postproc.inspection.recognisers.forms import OVERLAPPING, BoxForm, forms_of
from postproc.inspection.roles import Boxes, Classes, Finished, Images, LabelCount, Scores
from postproc.inspection.roles.classes import labels_behind
from postproc.schema import EndToEndOutput

_WIDTHS = {"image": 1, "box": 4, "score": 1, "class": 1}
_ORDERS = tuple(itertools.permutations(("box", "score", "class")))
_USUAL = ("box", "score", "class")
_PADDLES = ("class", "score", "box")
_SCALE = "scale_factor"
# Of tasks of ultralytics: the kind that reads their tables, and what follows the class in finished rows.
_MORE = {
    "segment": ("yolov8_seg_output", "mask coefficients"),
    "pose": ("yolov8_pose_output", "keypoints"),
    "obb": ("yolov8_obb_output", "an angle"),
}


@dataclass(frozen=True, slots=True)
class _Rows:
    """A tensor of rows, and what counts those of each image."""

    tensor: Tensor
    width: int
    count: Tensor | None

    @property
    def text(self) -> str:
        """The tensor and its shape."""
        return str(self.tensor)

    def column(self, order: tuple[str, ...], name: str) -> Columns:
        """Give the columns of one thing."""
        before = order[: order.index(name)]
        return Columns(self.tensor.name, -1, sum(_WIDTHS[other] for other in before), _WIDTHS[name])

    @property
    def length(self) -> int | None:
        """How many rows there are, if the file tells."""
        return self.tensor.axis(-2)


@dataclass(frozen=True, slots=True)
class _Origin:
    """Who made such rows, and what that says of them."""

    network: str
    decision: DetectionStyle
    image: ImageStyle
    evidence: tuple[Evidence, ...] = ()
    only: tuple[tuple[str, ...], BoxForm] | None = None
    from_one: tuple[Evidence, ...] = ()


def packed_rows(observed: Observed) -> Iterator[Reading]:
    """Recognise rows of box, score and class, which an image may precede: in whatever order and form."""
    graph = observed.graph
    rows = _rows_of(graph, (6, 7))
    if rows is None or graph.task not in ("", "detect"):
        return
    origin = _origin(graph, rows)
    if origin is None:
        return
    is_listed = rows.width == 7
    for order in _ORDERS if origin.only is None else (origin.only[0],):
        columns = ("image", *order) if is_listed else order
        for form in forms_of(graph) if origin.only is None else (origin.only[1],):
            for first, is_suppressed in itertools.product((0, 1), (True, False)):
                if origin.only is None or (is_suppressed and not first):
                    reading = _reading(graph, rows, origin, columns, form, first, is_suppressed)
                    found = (*_of_paddle(graph, rows, order, form), *_of_queries(observed, rows, order, form))
                    yield reading.with_evidence((*found, *(origin.from_one if first else ())))


def _rows_of(graph: Graph, widths: tuple[int, ...]) -> _Rows | None:
    """Find the one tensor of floats, whose rows are of some widths, and integers that count them."""
    floats = graph.float_outputs
    counts = [tensor for tensor in graph.outputs if not tensor.is_float]
    if len(floats) != 1 or len(counts) > 1 or any("int" not in tensor.type for tensor in counts):
        return None
    tensor, width = floats[0], floats[0].axis(-1)
    # Rows of one image, of a list of all images, or such lists with axes of 1 before them.
    leading = tensor.shape[1:-2] if tensor.shape else ()
    if width not in widths or any(size != 1 for size in leading):
        return None
    if tensor.rank == 3 and width == 7 and tensor.axis(0) != 1:
        return None
    if tensor.rank == 2 and not counts and 0 not in tensor.open_axes and tensor.axis(0) == 1:
        return None  # numbers of one image
    if counts and (width != 6 or counts[0].rank not in (1, 2) or tensor.rank > 3):
        return None
    return _Rows(tensor, width, counts[0] if counts else None)


def rows_with_more(observed: Observed) -> Iterator[Reading]:
    """Name finished rows that hold mask coefficients, keypoints or an angle too: no kind has them."""
    graph = observed.graph
    tensors = graph.of_rank(3)
    if len(tensors) != 1 or (tensors[0].axis(2) or 0) <= sum(_WIDTHS[name] for name in _USUAL):
        return
    rows = _Rows(tensors[0], tensors[0].axis(2) or 0, None)
    for task, (kind, what) in _MORE.items():
        told = of_ultralytics(graph, task, Part.KIND, Part.COLUMNS) if graph.selection_in_metadata else []
        if (graph.task and not told) or (not told and not _fits(task, rows, graph)):
            continue
        text = f"{rows.text}: a box, a score, a class, and as many numbers as {what} take"
        evidence = told or [speaks_for(Source.SHAPES, text, Part.COLUMNS)]
        boxes, scores, classes = (rows.column(_USUAL, name) for name in _USUAL)
        yield Reading(
            f"finished rows with {what}",
            None,
            tuple(evidence),
            (
                Scores(scores, in_boxes=False),
                Classes(classes, 0, scores),
                Finished(boxes, scores, classes, rows.length),
            ),
            {Part.KIND: f"finished rows with {what}", Part.COLUMNS: f"box, score, class, {what}"},
            f"{rows.text} holds finished detections with {what}, which no kind of output has. Export it with "
            "nms=False, of YOLO26 and later with end2end=False too: postproc reads the table that this gives "
            f"as {kind}",
        )


def _fits(task: str, rows: _Rows, graph: Graph) -> bool:
    """Tell whether a row has as many numbers as the rows of a task have."""
    more = rows.width - sum(_WIDTHS[name] for name in _USUAL)
    if task == "segment":
        return any(tensor.axis(1) == more for tensor in graph.of_rank(4))
    if len(graph.float_outputs) > 1:
        return False
    return more == 1 if task == "obb" else more > 5 and (more % 3 == 0 or more % 2 == 0)


def _origin(graph: Graph, rows: _Rows) -> _Origin | None:
    """Tell who made the rows; None where the metadata says that its tensors are none."""
    if rows.tensor.rank == 4:
        text = f"{rows.text}: one list for all images, as DetectionOutput of Caffe and OpenVINO gives it"
        evidence = (speaks_for(Source.SHAPES, text, Part.KIND, Part.COLUMNS),)
        network = "SSD with the DetectionOutput layer of Caffe or OpenVINO"
        from_one = (speaks_for(Source.SHAPES, f"{text}, for which 0 is the background", Part.LABEL_OFFSET),)
        return _Origin(network, FINISHED, SSD_IMAGE, evidence, from_one=from_one)
    if rows.count is not None:
        text = f"{rows.count} counts the rows of each image"
        evidence = (speaks_for(Source.SHAPES, text, Part.KIND),)
        return _Origin("PaddleDetection: PP-YOLOE, PicoDet, RT-DETR", FINISHED, SQUASH, evidence)
    if rows.width == 7:
        return _Origin("YOLOv7 exported with --end2end", ULTRALYTICS_END_TO_END, GUESSED_LETTERBOX)
    if not graph.is_ultralytics:
        return _Origin("a detector that chooses its boxes", FINISHED, GUESSED_LETTERBOX)
    if graph.metadata.get("head") == "RTDETRDecoder":
        text = "its metadata says that its head is RTDETRDecoder: normalized centres, scores, classes"
        evidence = (speaks_for(Source.METADATA, text, *PARTS_OF_ANSWERS),)
        form: BoxForm = ("cxcywh", "normalized")
        return _Origin(
            "RT-DETR of ultralytics", ULTRALYTICS_END_TO_END, ULTRALYTICS_SQUASH, evidence, (_USUAL, form)
        )
    if graph.selection_in_metadata:
        text = (
            f"ultralytics exported it with the selection of boxes in the graph: {graph.selection_in_metadata}"
        )
        evidence = (speaks_for(Source.METADATA, text, *PARTS_OF_ANSWERS),)
        network = "YOLOv10, YOLO26, or a YOLO with NMS in the graph"
        form = ("xyxy", "pixels")
        return _Origin(network, ULTRALYTICS_END_TO_END, LETTERBOX, evidence, (_USUAL, form))
    if "end2end" in graph.metadata:
        return None
    return _Origin("YOLOv10, RT-DETR of ultralytics", ULTRALYTICS_END_TO_END, GUESSED_LETTERBOX)


def _of_paddle(graph: Graph, rows: _Rows, order: tuple[str, ...], form: BoxForm) -> Iterator[Evidence]:
    """Use that PaddleDetection's networks take the scale of an image, by which they divide their boxes."""
    if rows.count is not None and any(tensor.name == _SCALE for tensor in graph.inputs):
        text = f"{rows.text} with the input {_SCALE}: PaddleDetection's class, score and corners in pixels"
        parts = (
            *((Part.COLUMNS,) if order == _PADDLES else ()),
            *((Part.BOX_FORMAT, Part.UNITS) if form == ("xyxy", "pixels") else ()),
        )
        yield speaks_for(Source.NAMES, text, Part.KIND, *parts)


def _of_queries(observed: Observed, rows: _Rows, order: tuple[str, ...], form: BoxForm) -> Iterator[Evidence]:
    """Use that RT-DETR's boxes are a Sigmoid's, as those of networks that attend to places are."""
    ends = observed.sources(rows.column(order, "box")) - {"Constant"}
    if observed.graph.is_deformable and ends == {"Sigmoid"} and form == ("cxcywh", "normalized"):
        text = f"{rows.text}: its boxes end in a Sigmoid, and it attends by GridSample, as RT-DETR does"
        yield speaks_for(Source.OPERATORS, text, Part.BOX_FORMAT, Part.UNITS)


def _labels(graph: Graph, classes: Columns) -> int | None:
    """Tell how many labels there are where the graph joins the column of classes with others."""
    first = 0
    for part, width in graph.links.parts(classes.tensor, -1):
        if first == classes.first and width == 1:
            return labels_behind(graph.links, part, part)
        first += width
    return None


_MOST_FINISHED = 300  # rows


def _reading(
    graph: Graph,
    rows: _Rows,
    origin: _Origin,
    order: tuple[str, ...],
    form: BoxForm,
    first: int,
    is_suppressed: bool,
) -> Reading:
    box_format, units = form
    written: dict[str, Any] = {"output_tensor": rows.tensor.name}
    if order != _USUAL:
        written["columns"] = list(order)
    if rows.count is not None:
        written["count_tensor"] = rows.count.name
    if box_format != "xyxy":
        written["box_format"] = box_format
    if first:
        written["classes"] = "ids"
    boxes, scores, classes = (rows.column(order, name) for name in _USUAL)
    labels = _labels(graph, classes)
    roles: list[Role] = [
        *([] if labels is None else [LabelCount(labels)]),
        Boxes(boxes, box_format, units, is_told=origin.only is not None, in_order=not is_suppressed),
        Scores(scores, in_boxes=False),
        Classes(classes, first, scores),
        Finished(boxes, scores, classes, rows.length, is_suppressed),
    ]
    if "image" in order:
        roles.append(Images(rows.column(order, "image")))
    meaning = Detects(
        EndToEndOutput.load(written),
        labels,
        origin.decision if is_suppressed else UNSUPPRESSED,
        origin.image,
        ", ".join(order),
        first_id=first,
        in_pixels=units == "pixels",
        batched=rows.tensor.rank > 2 or "image" in order or rows.count is not None,
    )
    evidence = list(origin.evidence)
    if is_suppressed and (rows.length or _MOST_FINISHED + 1) <= _MOST_FINISHED:
        text = f"{rows.text}: as few rows as lists of finished detections have"
        evidence.append(speaks_for(Source.SHAPES, text, Part.KIND))
    return Reading(
        origin.network if is_suppressed else "decoded rows that overlap",
        meaning,
        tuple(evidence),
        tuple(roles),
        {} if is_suppressed else {Part.KIND: OVERLAPPING},
    )
