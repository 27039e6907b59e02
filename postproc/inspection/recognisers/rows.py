"""Rows of one tensor, a detection each: what each column is, and the reading of rows that are so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from postproc.inspection.evidence import Evidence, Part, Source, speaks_for
from postproc.inspection.graph import Graph, Tensor, listed
from postproc.inspection.meanings import Detects
from postproc.inspection.observed import Columns
from postproc.inspection.presets import UNSUPPRESSED, DetectionStyle, ImageStyle
from postproc.inspection.readings import Reading, Role
from postproc.inspection.recognisers.forms import OVERLAPPING, BoxForm
from postproc.inspection.roles import Boxes, Classes, Finished, Images, LabelCount, Scores
from postproc.inspection.roles.classes import labels_behind
from postproc.schema import EndToEndOutput

USUAL = ("box", "score", "class")
WIDTHS = {"image": 1, "box": 4, "score": 1, "class": 1, "angle": 1}
USUAL_WIDTH = sum(WIDTHS[name] for name in USUAL)

_MOST_FINISHED = 300  # rows


@dataclass(frozen=True, slots=True)
class PackedRows:
    """A tensor of rows, and what goes with it.

    Parameters
    ----------
    tensor : Tensor
        A row a detection.
    width : int
        The columns of a row.
    count : Tensor or None
        What counts the rows of each image.
    classes : Tensor or None
        The classes of the rows, where they are no column.
    """

    tensor: Tensor
    width: int
    count: Tensor | None = None
    classes: Tensor | None = None

    @property
    def text(self) -> str:
        """The tensors and their shapes."""
        return listed(tensor for tensor in (self.tensor, self.classes) if tensor is not None)

    def column(self, order: tuple[str, ...], name: str) -> Columns:
        """Give the columns of one thing; keypoints and coefficients have those that the others leave."""
        if name == "class" and self.classes is not None:
            return Columns(self.classes.name)
        left = self.width - sum(WIDTHS.get(other, 0) for other in order)
        before = order[: order.index(name)]
        first = sum(WIDTHS.get(other, left) for other in before)
        return Columns(self.tensor.name, -1, first, WIDTHS.get(name, left))

    @property
    def length(self) -> int | None:
        """How many rows there are, if the file tells."""
        return self.tensor.axis(-2)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who made such rows, and what that says of them."""

    network: str
    decision: DetectionStyle
    image: ImageStyle
    evidence: tuple[Evidence, ...] = ()
    only: tuple[tuple[str, ...], BoxForm] | None = None
    from_one: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class More:
    """What a row has beside a box, a score and a class, in its columns or in tensors of its own.

    Parameters
    ----------
    fields : mapping
        Of the document.
    text : str
        What it is, for people to read.
    roles : tuple of Role
        What its numbers are.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    roles: tuple[Role, ...] = ()


def reading_of(
    graph: Graph,
    rows: PackedRows,
    origin: Origin,
    order: tuple[str, ...],
    form: BoxForm,
    first: int,
    is_suppressed: bool = True,
    more: More | None = None,
) -> Reading:
    """Give the reading of rows whose columns come in an order, boxes in a form, and classes from a number."""
    more = more or More()
    box_format, units = form
    written: dict[str, Any] = {"output_tensor": rows.tensor.name}
    if order != USUAL:
        written["columns"] = list(order)
    for name, tensor in (("classes_tensor", rows.classes), ("count_tensor", rows.count)):
        if tensor is not None:
            written[name] = tensor.name
    if box_format != "xyxy":
        written["box_format"] = box_format
    if first:
        written["classes"] = "ids"
    boxes, scores, classes = (rows.column(order, name) for name in USUAL)
    labels = _labels(graph, rows, classes)
    roles: list[Role] = [
        *([] if labels is None else [LabelCount(labels)]),
        Boxes(boxes, box_format, units, is_told=origin.only is not None, in_order=not is_suppressed),
        Scores(scores, in_boxes=False),
        Classes(classes, first, scores),
        Finished(boxes, scores, classes, rows.length, is_suppressed),
        *more.roles,
    ]
    if "image" in order:
        roles.append(Images(rows.column(order, "image"), scores))
    meaning = Detects(
        EndToEndOutput.load({**written, **more.fields}),
        labels,
        origin.decision if is_suppressed else UNSUPPRESSED,
        origin.image,
        ", ".join(filter(None, (*(name for name in order if name in (*USUAL, "image")), more.text))),
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


def _labels(graph: Graph, rows: PackedRows, classes: Columns) -> int | None:
    """Tell how many labels there are, of a tensor of classes or where the graph joins a column of them."""
    if rows.classes is not None:
        return labels_behind(graph.links, rows.classes.name, rows.tensor.name)
    first = 0
    for part, width in graph.links.parts(classes.tensor, -1):
        if first == classes.first and width == 1:
            return labels_behind(graph.links, part, part)
        first += width
    return None
