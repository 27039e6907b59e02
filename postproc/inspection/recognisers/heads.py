"""Heads: a tensor of boxes, and one with a score of each label for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from postproc.inspection.claims import Claim
from postproc.inspection.evidence import Evidence, Part, Source, speaks_for
from postproc.inspection.graph import Graph, Tensor
from postproc.inspection.nodes import LAYERS, SQUASHING, WITH_BIAS
from postproc.inspection.observed import Columns, Observed
from postproc.inspection.recognisers.grids import strides_of
from postproc.schema.outputs import Layout

QUERIES, DENSE = "standard_output without NMS", "standard_output"
MOST_QUERIES = 1000
_MANY_STRIDES = 3

_OF_BOXES = ("box", "dets", "loc")
_OF_SCORES = ("logit", "score", "conf", "cls", "class", "prob", "label")
_SCORING = WITH_BIAS | SQUASHING
_OF_CENTRES = ({"Add"}, {"Mul"})
_OF_CORNERS = ({"Sub"}, {"Add"})
_OF_DISTANCES = {"Div", "Sub"}  # the middle of two corners, and the way from one to the other


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
    channels_first : bool
        Whether the scores are (B, C, N).
    """

    boxes: Tensor
    scores: Tensor
    count: int | None
    columns: int
    channels_first: bool = False

    @property
    def text(self) -> str:
        """The tensors and their shapes."""
        return f"{self.boxes} and {self.scores}"

    @property
    def box_columns(self) -> Columns:
        """The four numbers of each box."""
        return Columns(self.boxes.name, -1, 0, 4)

    @property
    def score_columns(self) -> Columns:
        """The scores of each box."""
        return Columns(self.scores.name, 1 if self.channels_first else -1)

    @property
    def layout(self) -> Layout:
        """The layout to declare: only where the shape alone does not tell."""
        if self.count != self.columns:
            return "auto"
        return "channels_first" if self.channels_first else "channels_last"

    def strides(self, graph: Graph) -> tuple[tuple[int, ...], int]:
        """Give the strides of the grids that have as many cells, and boxes a cell; none if none do."""
        strides, per_cell = strides_of(graph, self.count)
        # A small number fits a grid by chance: 20 queries are as many as 4 x 5 cells.
        is_chance = len(strides) < _MANY_STRIDES and (self.count or 0) <= MOST_QUERIES
        return ((), 0) if is_chance else (strides, per_cell)


def heads_of(graph: Graph) -> list[Head]:
    """Find boxes and scores for as many, whatever else there is: masks, features, hidden states.

    None where there are several numbers of boxes: those are the levels of a pyramid.
    """
    found = list(_heads(graph))
    return found if len({head.count for head in found} - {None}) < 2 else []


def _heads(graph: Graph) -> Iterator[Head]:
    # TensorFlow's detection API also gives what its finished detections were chosen from.
    tensors = [tensor for tensor in graph.float_outputs if not tensor.plain_name.startswith("raw_detection")]
    tensors = [tensor for tensor in tensors if not graph.is_constant(tensor.name)]
    for boxes in tensors:
        for scores in tensors:
            if scores is not boxes and scores.rank == 3 and _holds_boxes(boxes, scores):
                yield from _pairs(boxes, scores)


def _holds_boxes(boxes: Tensor, scores: Tensor) -> bool:
    if boxes.axis(-1) != 4 and not (boxes.axis(-1) is None and "box" in boxes.name.lower()):
        return False
    return boxes.rank == 3 or (boxes.rank == 4 and boxes.axis(2) in (1, scores.axis(1), scores.axis(2)))


def _pairs(boxes: Tensor, scores: Tensor) -> Iterator[Head]:
    count = boxes.axis(1)
    for channels_first, (rows, columns) in (
        (False, (scores.axis(1), scores.axis(2))),
        (True, (scores.axis(2), scores.axis(1))),
    ):
        fits = count is None or rows is None or rows == count
        # There are more boxes than labels, where nothing else tells which axis is which.
        if columns is not None and fits and (count is not None or rows is None or rows >= columns):
            yield Head(boxes, scores, count if count is not None else rows, columns, channels_first)


def is_undecoded(observed: Observed, columns: Columns) -> bool:
    """Tell whether numbers come from layers as they are: offsets from boxes that are known elsewhere."""
    graph, sources = observed.graph, observed.sources(columns) - {"Constant"}
    return bool(sources) and sources <= WITH_BIAS and bool(graph.upstream(columns.tensor) & LAYERS)


def of_tensors(observed: Observed, head: Head) -> Iterator[Evidence]:
    """Tell what shapes, names and operators say for boxes and scores being where a head has them."""
    if head.count is not None:
        text = f"{head.text}: {head.columns} scores for each of {head.count} boxes"
        yield speaks_for(Source.SHAPES, text, Part.COLUMNS)
    if head.boxes.is_called(*_OF_BOXES) and head.scores.is_called(*_OF_SCORES):
        text = f"{head.boxes.name} and {head.scores.name} are names of boxes and of scores"
        yield speaks_for(Source.NAMES, text, Part.COLUMNS)
    computed = observed.sources(head.score_columns) - {"Constant"}
    if computed <= _SCORING and not is_undecoded(observed, head.box_columns):
        text = (
            f"{head.scores.name} comes from {' or '.join(sorted(computed))}, and {head.boxes.name} is decoded"
        )
        yield speaks_for(Source.OPERATORS, text, Part.COLUMNS)


def box_claims(observed: Observed, head: Head) -> Iterator[Claim]:
    """Claim what the operators that end a tensor of boxes tell of their format."""
    name, graph = head.boxes.name, observed.graph
    each = [observed.sources(Columns(name, -1, first, 2)) - {"Constant"} for first in (0, 2)]
    if each == [{"Sigmoid"}] * 2 and observed.sources(head.score_columns) <= _SCORING | {"Constant"}:
        text = f"{name} ends in a Sigmoid: centres and sizes in [0, 1], as networks of the DETR kind give"
        says = {Part.BOX_FORMAT: "cxcywh", Part.UNITS: "normalized", Part.KIND: QUERIES}
        yield Claim(Source.OPERATORS, text, says)
    elif each == [*_OF_CORNERS]:
        text = f"{name}: two differences and two sums, as corners are that lie around a centre"
        yield Claim(Source.OPERATORS, text, {Part.BOX_FORMAT: "xyxy"})
    elif has_moved_centres(observed, head) or each in ([_OF_DISTANCES] * 2, [{"Div"}, {"Sub"}]):
        text = f"{name}: two sums or means, and two products or differences, as centres and sizes are"
        yield Claim(Source.OPERATORS, text, {Part.BOX_FORMAT: "cxcywh"})
        if graph.is_deformable:
            text = f"{name}: the network samples at such places (GridSample), which are in [0, 1]"
            yield Claim(Source.OPERATORS, text, {Part.UNITS: "normalized"})


def has_moved_centres(observed: Observed, head: Head) -> bool:
    """Tell whether boxes are others' centres, moved, and their sizes, multiplied: LW-DETR and RF-DETR."""
    return [observed.sources(Columns(head.boxes.name, -1, first, 2)) for first in (0, 2)] == [*_OF_CENTRES]
