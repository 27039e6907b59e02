"""Single tables of boxes with a score per label: YOLOv5, YOLOv8 and YOLOX, and what their shapes share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from postproc.inspection.documents import detection
from postproc.inspection.graph import Graph, Tensor
from postproc.inspection.presets import LETTERBOX, ULTRALYTICS, YOLOV5, YOLOX, YOLOX_IMAGE
from postproc.inspection.proposal import Certainty, Proposal
from postproc.schema import Yolov5Output, Yolov8Output, YoloxOutput
from postproc.schema.outputs import Layout

# The strides of the grids of YOLO networks: the usual, tiny ones, those for large and for small images.
_STRIDES = ((8, 16, 32), (16, 32), (8, 16, 32, 64), (4, 8, 16, 32))
_COCO = 80


@dataclass(frozen=True, slots=True)
class Table:
    """A tensor with a row per box, or a column.

    Parameters
    ----------
    tensor : Tensor
        The tensor, of shape (B, C, N) or (B, N, C).
    channels : int
        Numbers a box.
    boxes : int or None
        How many boxes, if the file tells.
    channels_first : bool
        Whether the channels are the second axis.
    strides : tuple of int
        The strides of the grids that have as many cells; empty if none do.
    per_cell : int
        Boxes a cell of these grids: 3 where there are anchors.
    """

    tensor: Tensor
    channels: int
    boxes: int | None
    channels_first: bool
    strides: tuple[int, ...] = ()
    per_cell: int = 0

    @property
    def shape_reason(self) -> str:
        """What the shape says of the boxes."""
        if not self.strides:
            return ""
        each = "one a cell" if self.per_cell == 1 else f"{self.per_cell} a cell"
        return f"{self.boxes} boxes are {each} of the grids of strides {', '.join(map(str, self.strides))}"

    @property
    def layout(self) -> Layout:
        """The layout to declare: only where the shape alone does not tell."""
        if self.channels != self.boxes:
            return "auto"
        return "channels_first" if self.channels_first else "channels_last"


def table_of(graph: Graph) -> Table | None:
    """Find the one tensor of boxes and scores together that a graph puts out."""
    tensors = [tensor for tensor in graph.of_rank(3) if tensor.axis(-1) != 4 and tensor.axis(-2) != 4]
    if len(tensors) != 1 or len(graph.of_rank(3)) != 1:
        return None
    tensor = tensors[0]
    sizes = tensor.axis(1), tensor.axis(2)
    readings: list[Table] = []
    for first, (channels, boxes) in ((True, sizes), (False, (sizes[1], sizes[0]))):
        if channels is not None and channels > 4:
            strides, per_cell = _grids(graph, boxes)
            readings.append(Table(tensor, channels, boxes, first, strides, per_cell))
    if not readings:
        return None
    # Boxes of grids are the boxes; else there are more of them than channels.
    fitting = [table for table in readings if table.strides]
    return max(fitting or readings, key=lambda table: (table.boxes or 0) - table.channels)


def _grids(graph: Graph, boxes: int | None) -> tuple[tuple[int, ...], int]:
    if graph.input_size is None or boxes is None:
        return (), 0
    height, width = graph.input_size
    for per_cell in (1, 3):
        for strides in _STRIDES:
            if boxes == per_cell * sum((height // stride) * (width // stride) for stride in strides):
                return strides, per_cell
    return (), 0


def yolov8(graph: Graph) -> Iterator[Proposal]:
    """Recognise (B, 4+L, N): YOLOv8 and what followed it in ultralytics, YOLOv3u and v5u too."""
    table = table_of(graph)
    if table is None or table.per_cell == 3 or graph.is_raw(table.tensor.name):
        return
    labels, exported = table.channels - 4, graph.is_ultralytics and graph.task == "detect"
    is_named = _named(graph, labels)
    if not is_named and (_named(graph, table.channels - 5) or (exported and graph.labels)):
        return
    if not (table.strides or exported or is_named):
        return
    reasons = [_columns(table, f"4 + {labels} labels"), table.shape_reason]
    checks = []
    if exported:
        reasons.append(f"ultralytics exported it for {graph.task}, without selection in the graph")
    if exported and is_named:
        certainty = Certainty.CERTAIN
    elif table.channels_first or is_named:
        certainty = Certainty.LIKELY
    else:
        certainty = Certainty.POSSIBLE
        checks.append(
            f"yolov8_output has no objectness: right if the first of {table.channels - 4} numbers after the "
            "box is a label's"
        )
    if is_named:
        reasons.append(f"{graph.labels and graph.labels.source} names {labels} labels: 4 columns more")
    if labels == 52 and not is_named:
        checks.append("56 channels are also what a YOLO of poses has: a box, a score and 17 keypoints")
    yield detection(
        graph,
        _with_layout(Yolov8Output, table),
        network="YOLOv8, v9, v11, v12 and other exports of ultralytics",
        certainty=certainty,
        labels=labels,
        decision=ULTRALYTICS,
        image=LETTERBOX,
        reasons=filter(None, reasons),
        checks=checks,
    )


def yolov5(graph: Graph) -> Iterator[Proposal]:
    """Recognise (B, N, 5+L) in pixels: YOLOv5, v6, v7, and YOLOX exported with decoding."""
    table = _objectness_table(graph)
    if table is None or graph.is_raw(table.tensor.name):
        return
    labels, decoded = table.channels - 5, graph.is_decoded(table.tensor.name)
    reasons = [_columns(table, f"4 + objectness + {labels} labels"), table.shape_reason]
    checks = []
    if table.per_cell == 3:
        reasons.append("only networks with anchors have 3 boxes a cell")
    if decoded:
        reasons.append("the graph decodes its boxes: arithmetic follows the last layers")
    else:
        checks.append("yolov5_output is right if boxes are in pixels of the input, yolox_output if not")
    certain = table.per_cell == 3 or (decoded and _named(graph, labels))
    yield detection(
        graph,
        _with_layout(Yolov5Output, table),
        network="YOLOv5, v6, v7"
        if table.per_cell == 3
        else "YOLOv6, or YOLOX exported with decode_in_inference",
        certainty=_objectness_certainty(graph, table, certain, decoded),
        labels=labels,
        decision=YOLOV5,
        image=LETTERBOX,
        reasons=filter(None, reasons),
        checks=checks,
    )


def yolox(graph: Graph) -> Iterator[Proposal]:
    """Recognise (B, N, 5+L) as the last layers give it: YOLOX."""
    table = _objectness_table(graph)
    if table is None or table.per_cell == 3 or not table.strides or graph.is_decoded(table.tensor.name):
        return
    labels, raw = table.channels - 5, graph.is_raw(table.tensor.name)
    reasons = [_columns(table, f"4 + objectness + {labels} labels"), table.shape_reason]
    checks = []
    has_sigmoid = "Sigmoid" in graph.sources(table.tensor.name)
    if raw:
        reasons.append("the graph does not decode its boxes: no arithmetic follows the last layers")
    else:
        checks.append(
            "yolox_output is right if boxes are not in pixels of the input, yolov5_output if they are"
        )
    output = YoloxOutput.load(
        {
            "output_tensor": table.tensor.name,
            **({"strides": list(table.strides)} if table.strides != (8, 16, 32) else {}),
            **({"score_activation": "sigmoid"} if raw and not has_sigmoid else {}),
            **({"layout": table.layout} if table.layout != "auto" else {}),
        }
    )
    if raw and not has_sigmoid:
        checks.append("no Sigmoid ends the scores, so score_activation is sigmoid")
    yield detection(
        graph,
        output,
        network="YOLOX",
        certainty=_objectness_certainty(graph, table, raw, raw),
        labels=labels,
        decision=YOLOX,
        image=YOLOX_IMAGE,
        reasons=filter(None, reasons),
        checks=checks,
    )


def _objectness_table(graph: Graph) -> Table | None:
    """Find the table if it may have an objectness, and says nothing against that."""
    table = table_of(graph)
    if table is None or table.channels < 6 or (graph.is_ultralytics and graph.task):
        return None
    if _named(graph, table.channels - 4) or (table.channels_first and not _named(graph, table.channels - 5)):
        return None
    return table if table.strides or _named(graph, table.channels - 5) else None


def _objectness_certainty(graph: Graph, table: Table, certain: bool, likely: bool) -> Certainty:
    if certain:
        return Certainty.CERTAIN
    common = table.channels - 5 == _COCO or _named(graph, table.channels - 5)
    return Certainty.LIKELY if likely or common else Certainty.POSSIBLE


def _named(graph: Graph, labels: int) -> bool:
    """Tell whether names of exactly so many labels are known."""
    return graph.labels is not None and len(graph.labels) == labels


def _columns(table: Table, meaning: str) -> str:
    text = f"{table.tensor.name} is {table.tensor.text}: {meaning}"
    return f"{text}, and more boxes than channels" if table.channels_first else text


def _with_layout(kind: type[Yolov5Output] | type[Yolov8Output], table: Table) -> Yolov5Output | Yolov8Output:
    fields = {"output_tensor": table.tensor.name}
    return kind.load(fields if table.layout == "auto" else {**fields, "layout": table.layout})
