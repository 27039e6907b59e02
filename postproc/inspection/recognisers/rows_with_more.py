"""Finished rows that hold an angle, keypoints or mask coefficients behind a box, a score and a class."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from postproc.inspection.evidence import Evidence, Part, Source, speaks_for
from postproc.inspection.graph import Graph, Tensor
from postproc.inspection.observed import Observed
from postproc.inspection.presets import GUESSED_LETTERBOX, LETTERBOX, ULTRALYTICS_END_TO_END
from postproc.inspection.readings import Reading
from postproc.inspection.recognisers.exporters import keypoint_shape, of_ultralytics
from postproc.inspection.recognisers.forms import BoxForm, forms_of
from postproc.inspection.recognisers.rows import USUAL, USUAL_WIDTH, More, Origin, PackedRows, reading_of
from postproc.inspection.roles import Angles, Coefficients, Keypoints
from postproc.schema.outputs import Coordinates

_FEWEST_KEYPOINTS, _MOST_KEYPOINTS = 3, 150  # bodies with faces and hands have 133
_USUAL_KEYPOINTS = (17, 5, 21)  # of people, faces and hands
_TOLD: BoxForm = ("xyxy", "pixels")
_TURNED: BoxForm = ("cxcywh", "pixels")


@dataclass(frozen=True, slots=True)
class _Content:
    """What follows the class.

    `task` is ultralytics' name of the networks that have it, `keypoints` how many there are, and numbers of
    each, and `prototypes` what coefficients weigh.
    """

    column: str
    task: str
    network: str
    keypoints: tuple[int, int] = (0, 0)
    prototypes: Tensor | None = None

    def more(self, rows: PackedRows, units: Coordinates) -> More:
        """Give what it is in a document, and in a run."""
        columns = rows.column(self.order, self.column)
        if self.prototypes is not None:
            text = f"{columns.count} coefficients"
            fields = {"prototypes_tensor": self.prototypes.name, "keep_empty_masks": False}
            return More(fields, text, (Coefficients(columns),))
        if self.column == "angle":
            return More({}, "an angle", (Angles(columns),))
        count, each = self.keypoints
        fields_of_keypoints = {"keypoints": count, **({"dimensions": each} if each != 3 else {})}
        text = f"{count} keypoints of {each} numbers"
        return More(fields_of_keypoints, text, (Keypoints(columns, each, units),))

    @property
    def order(self) -> tuple[str, ...]:
        """The columns."""
        return (*USUAL, self.column)

    def is_turned(self, graph: Graph, rows: PackedRows) -> bool:
        """Tell whether operators show that boxes are turned: a network that is not trained gives any size."""
        return self.column == "angle" and graph.upstream(rows.tensor.name) >= {"Cos", "Sin"}

    def evidence(self, graph: Graph, rows: PackedRows) -> Iterator[Evidence]:
        """Yield what shapes and operators say for it."""
        if self.prototypes is not None:
            text = f"{self.prototypes}: as many prototypes of masks as {rows.text} has coefficients"
            yield speaks_for(Source.SHAPES, text, Part.KIND, Part.COLUMNS)
        elif self.is_turned(graph, rows):
            text = f"{rows.text} comes from cosines and sines, as the centres and sizes of oriented boxes do"
            yield speaks_for(Source.OPERATORS, text, Part.KIND, Part.COLUMNS, Part.BOX_FORMAT)
        elif self.keypoints[0] in _USUAL_KEYPOINTS:
            count, each = self.keypoints
            text = f"{rows.text}: a box, a score, a class and {count} keypoints of {each} numbers, as usual"
            yield speaks_for(Source.SHAPES, text, Part.COLUMNS)


def rows_with_more(observed: Observed) -> Iterator[Reading]:
    """Recognise finished rows with more: YOLO26's, and those of ultralytics' exports with NMS."""
    graph = observed.graph
    tensors = graph.of_rank(3)
    width = tensors[0].axis(2) or 0 if len(tensors) == 1 else 0
    if width <= USUAL_WIDTH or any(not tensor.is_float for tensor in graph.outputs):
        return
    rows = PackedRows(tensors[0], width)
    for content in _contents(graph, rows):
        told = of_ultralytics(graph, content.task) if graph.selection_in_metadata else []
        if graph.task and not told:
            continue
        image = LETTERBOX if told else GUESSED_LETTERBOX
        for form, first in itertools.product(_forms(graph, content, told), (0,) if told else (0, 1)):
            only = (content.order, form) if told or content.is_turned(graph, rows) else None
            origin = Origin(
                content.network,
                ULTRALYTICS_END_TO_END,
                image,
                (*told, *content.evidence(graph, rows)),
                only,
            )
            more = content.more(rows, form[1])
            yield reading_of(graph, rows, origin, content.order, form, first, more=more)


def _contents(graph: Graph, rows: PackedRows) -> Iterator[_Content]:
    """Give what the numbers behind the class may be, by how many they are and what else is put out."""
    left = rows.width - USUAL_WIDTH
    others = [tensor for tensor in graph.outputs if tensor is not rows.tensor]
    if others:
        if len(others) == 1 and others[0].rank == 4 and others[0].axis(1) == left:
            network = "a YOLO of instance masks that chooses its boxes"
            yield _Content("coefficients", "segment", network, prototypes=others[0])
        return
    if left == 1:
        yield _Content("angle", "obb", "a YOLO of oriented boxes that chooses its boxes")
    known = keypoint_shape(graph)
    for count, each in [known] if known else [(left // each, each) for each in (3, 2)]:
        if count * each == left and (known or _FEWEST_KEYPOINTS <= count <= _MOST_KEYPOINTS):
            yield _Content("keypoints", "pose", "a YOLO of poses that chooses its boxes", (count, each))


def _forms(graph: Graph, content: _Content, told: list[Evidence]) -> Iterator[BoxForm]:
    """Give the ways to give a box: boxes that are turned have a centre, and are in pixels."""
    if content.column == "angle":
        yield _TURNED
    elif told:
        yield _TOLD
    else:
        yield from forms_of(graph)
