"""Rows of one tensor that hold a box, a score and a class each: finished detections, or decoded ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from postproc.inspection.evidence import PARTS_OF_ANSWERS, Evidence, Part, Source, speaks_for
from postproc.inspection.graph import Graph
from postproc.inspection.observed import Observed
from postproc.inspection.presets import (
    FINISHED,
    GUESSED_LETTERBOX,
    LETTERBOX,
    SQUASH,
    SSD_IMAGE,
    ULTRALYTICS_END_TO_END,
    ULTRALYTICS_SQUASH,
)
from postproc.inspection.readings import Reading
from postproc.inspection.recognisers.forms import BoxForm, forms_of
from postproc.inspection.recognisers.rows import USUAL, USUAL_WIDTH, Origin, PackedRows, reading_of

_ORDERS = tuple(itertools.permutations(USUAL))
_PADDLES = ("class", "score", "box")
_SCALE = "scale_factor"
_WIDTHS = (USUAL_WIDTH, USUAL_WIDTH + 1)


def packed_rows(observed: Observed) -> Iterator[Reading]:
    """Recognise rows of box, score and class, which an image may precede: in whatever order and form."""
    graph = observed.graph
    rows = _rows_of(graph)
    if rows is None or graph.task not in ("", "detect"):
        return
    origin = _origin(graph, rows)
    if origin is None:
        return
    is_listed = rows.width > USUAL_WIDTH
    for order in _ORDERS if origin.only is None else (origin.only[0],):
        columns = ("image", *order) if is_listed else order
        for form in forms_of(graph) if origin.only is None else (origin.only[1],):
            for first, is_suppressed in itertools.product((0, 1), (True, False)):
                if origin.only is None or (is_suppressed and not first):
                    reading = reading_of(graph, rows, origin, columns, form, first, is_suppressed)
                    found = (*_of_paddle(graph, rows, order, form), *_of_queries(observed, rows, order, form))
                    yield reading.with_evidence((*found, *(origin.from_one if first else ())))


def _rows_of(graph: Graph) -> PackedRows | None:
    """Find the one tensor of floats that has such rows, and integers that count them."""
    floats = graph.float_outputs
    counts = [tensor for tensor in graph.outputs if not tensor.is_float]
    if len(floats) != 1 or len(counts) > 1 or any("int" not in tensor.type for tensor in counts):
        return None
    tensor, width = floats[0], floats[0].axis(-1)
    # Rows of one image, of a list of all images, or such lists with axes of 1 before them.
    leading = tensor.shape[1:-2] if tensor.shape else ()
    if width not in _WIDTHS or any(size != 1 for size in leading):
        return None
    if tensor.rank == 3 and width > USUAL_WIDTH and tensor.axis(0) != 1:
        return None
    if tensor.rank == 2 and not counts and 0 not in tensor.open_axes and tensor.axis(0) == 1:
        return None  # numbers of one image
    if counts and (width != USUAL_WIDTH or counts[0].rank not in (1, 2) or tensor.rank > 3):
        return None
    return PackedRows(tensor, width, counts[0] if counts else None)


def _origin(graph: Graph, rows: PackedRows) -> Origin | None:
    """Tell who made the rows; None where the metadata says that its tensors are none."""
    if rows.tensor.rank == 4:
        text = f"{rows.text}: one list for all images, as DetectionOutput of Caffe and OpenVINO gives it"
        evidence = (speaks_for(Source.SHAPES, text, Part.KIND, Part.COLUMNS),)
        network = "SSD with the DetectionOutput layer of Caffe or OpenVINO"
        from_one = (speaks_for(Source.SHAPES, f"{text}, for which 0 is the background", Part.LABEL_OFFSET),)
        return Origin(network, FINISHED, SSD_IMAGE, evidence, from_one=from_one)
    if rows.count is not None:
        text = f"{rows.count} counts the rows of each image"
        evidence = (speaks_for(Source.SHAPES, text, Part.KIND),)
        return Origin("PaddleDetection: PP-YOLOE, PicoDet, RT-DETR", FINISHED, SQUASH, evidence)
    if rows.width > USUAL_WIDTH:
        return Origin("YOLOv7 exported with --end2end", ULTRALYTICS_END_TO_END, GUESSED_LETTERBOX)
    if not graph.is_ultralytics:
        return Origin("a detector that chooses its boxes", FINISHED, GUESSED_LETTERBOX)
    if graph.metadata.get("head") == "RTDETRDecoder":
        text = "its metadata says that its head is RTDETRDecoder: normalized centres, scores, classes"
        evidence = (speaks_for(Source.METADATA, text, *PARTS_OF_ANSWERS),)
        form: BoxForm = ("cxcywh", "normalized")
        return Origin(
            "RT-DETR of ultralytics", ULTRALYTICS_END_TO_END, ULTRALYTICS_SQUASH, evidence, (USUAL, form)
        )
    if graph.selection_in_metadata:
        text = (
            f"ultralytics exported it with the selection of boxes in the graph: {graph.selection_in_metadata}"
        )
        evidence = (speaks_for(Source.METADATA, text, *PARTS_OF_ANSWERS),)
        network = "YOLOv10, YOLO26, or a YOLO with NMS in the graph"
        form = ("xyxy", "pixels")
        return Origin(network, ULTRALYTICS_END_TO_END, LETTERBOX, evidence, (USUAL, form))
    if "end2end" in graph.metadata:
        return None
    return Origin("YOLOv10, RT-DETR of ultralytics", ULTRALYTICS_END_TO_END, GUESSED_LETTERBOX)


def _of_paddle(graph: Graph, rows: PackedRows, order: tuple[str, ...], form: BoxForm) -> Iterator[Evidence]:
    """Use that PaddleDetection's networks take the scale of an image, by which they divide their boxes."""
    if rows.count is not None and any(tensor.name == _SCALE for tensor in graph.inputs):
        text = f"{rows.text} with the input {_SCALE}: PaddleDetection's class, score and corners in pixels"
        parts = (
            *((Part.COLUMNS,) if order == _PADDLES else ()),
            *((Part.BOX_FORMAT, Part.UNITS) if form == ("xyxy", "pixels") else ()),
        )
        yield speaks_for(Source.NAMES, text, Part.KIND, *parts)


def _of_queries(
    observed: Observed, rows: PackedRows, order: tuple[str, ...], form: BoxForm
) -> Iterator[Evidence]:
    """Use that RT-DETR's boxes are a Sigmoid's, as those of networks that attend to places are."""
    ends = observed.sources(rows.column(order, "box")) - {"Constant"}
    if observed.graph.is_deformable and ends == {"Sigmoid"} and form == ("cxcywh", "normalized"):
        text = f"{rows.text}: its boxes end in a Sigmoid, and it attends by GridSample, as RT-DETR does"
        yield speaks_for(Source.OPERATORS, text, Part.BOX_FORMAT, Part.UNITS)
