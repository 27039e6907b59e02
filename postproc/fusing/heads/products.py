"""Tables whose scores are products, as of YOLOv5 and YOLOX."""

from __future__ import annotations

import numpy as np

from postproc.fusing.graph import Value
from postproc.fusing.heads.decoded import Decoded
from postproc.fusing.heads.fusion import Fusion, activated, around
from postproc.fusing.heads.levels import Levels
from postproc.fusing.heads.points import keypoints_of_rows
from postproc.fusing.heads.tables import rows_behind
from postproc.kernels.core import activation as act

_OBJECTNESS = 4


def yolov5(fusion: Fusion) -> Decoded:
    """`yolov5_output`: decoded boxes, objectness, scores, and perhaps keypoints."""
    head, output = fusion.head, fusion.output
    rows = rows_behind(fusion, output.output_tensor, 0, 4)
    decoded = Decoded(_of_table(fusion), fusion.labels, fusion.boxes, fusion.corners(rows, head.box_format))
    if output.keypoints is not None:
        first = 5 if output.keypoints_first else 5 + fusion.labels
        width = output.keypoints * output.dimensions
        points = rows_behind(fusion, output.output_tensor, first, width)
        decoded.extras["keypoints"] = keypoints_of_rows(fusion, points, output.keypoints, output.dimensions)
    return decoded


def yolox(fusion: Fusion) -> Decoded:
    """`yolox_output`: boxes in the cells of grids, in one table or a level each."""
    if fusion.output.output_tensor is None:
        return _of_levels(fusion)
    boxes = rows_behind(fusion, fusion.output.output_tensor, 0, 4)
    (first, columns, strides) = np.asarray(fusion.head.levels)[0].T
    cells = _cells(fusion.boxes, first, columns, strides)
    return Decoded(_of_table(fusion), fusion.labels, fusion.boxes, _Cells(fusion, boxes, cells))


def _of_levels(fusion: Fusion) -> Decoded:
    g, head, levels = fusion.g, fusion.head, Levels(fusion)
    objectness = g.op("Transpose", levels.rows("objectness"), perm=[0, 2, 1])
    scores = g.op("Transpose", levels.rows("scores"), perm=[0, 2, 1])
    first, columns, strides = np.asarray(head.box_levels)[0].T[:3]
    cells = _cells(fusion.boxes, first, columns, strides)
    boxes = _Cells(fusion, levels.rows("boxes"), cells)
    decoded = Decoded(_products(fusion, objectness, scores), fusion.labels, fusion.boxes, boxes)
    if fusion.output.keypoints is not None:
        decoded.extras["keypoints"] = levels.landmarks(fusion.output.keypoints, cells[:, :2], cells[:, 2])
    return decoded


def _of_table(fusion: Fusion) -> Value:
    """Scores (B, L, N)."""
    head = fusion.head
    first = int(head.first)
    table = fusion.planes(fusion.tensors.numbers(fusion.output.output_tensor, 3), head.planar)
    objectness = fusion.g.slice(table, 1, _OBJECTNESS, _OBJECTNESS + 1)
    return _products(fusion, objectness, fusion.g.slice(table, 1, first, first + fusion.labels))


def _products(fusion: Fusion, objectness: Value, scores: Value) -> Value:
    """Scores (B, L, N) of an objectness (B, 1, N) and probabilities."""
    g, head = fusion.g, fusion.head
    objectness = activated(g, objectness, head.activation)
    if head.objectness_alone:
        return objectness
    scores = activated(g, scores, head.activation)
    if not head.square_root:
        product = g.op("Mul", objectness, scores)
        if head.activation != act.NONE:
            return product
        # Probabilities are no more than 1: the kernels look no further where an objectness is not above any
        # threshold, which tells where others are, as those that quantised infinities stand for.
        least = g.reduce("ReduceMin", g.value(fusion.thresholds), 0)
        return g.op("Where", g.op("Greater", objectness, least), product, np.float32(0))
    return g.op("Sqrt", g.op("Mul", _limited(fusion, objectness), _limited(fusion, scores)))


def _limited(fusion: Fusion, factor: Value) -> Value:
    """Limit a factor to [0, 1], but leave what is not finite: see `postproc.kernels.heads.products`."""
    g = fusion.g
    is_above = g.op("And", g.op("Greater", factor, 1.0), g.op("Less", factor, np.float32(np.inf)))
    within = g.op("Where", is_above, 1.0, factor)
    return g.op("Where", g.op("Less", factor, 0.0), 0.0, within)


def _cells(boxes: int, first: np.ndarray, columns: np.ndarray, strides: np.ndarray) -> np.ndarray:
    """Column, row and stride (N, 3) of each box, of grids that begin at these boxes."""
    numbers = np.arange(boxes)
    level = np.searchsorted(first, numbers, side="right") - 1
    rows, column = np.divmod(numbers - first[level], columns[level])
    return np.stack([column, rows, strides[level]], axis=1)


class _Cells:
    """Corners of boxes in cells, whose sizes are logarithms."""

    def __init__(self, fusion: Fusion, rows: Value, cells: np.ndarray) -> None:
        self._fusion, self._rows, self._cells = fusion, rows, cells

    def __call__(self, boxes: Value, labels: Value) -> list[Value]:
        g = self._fusion.g
        x, y, width, height = (g.to_real(one) for one in g.columns(g.take(self._rows, boxes), 4))
        column, row, stride = g.columns(g.take_shared(g.reals(self._cells), boxes), 3)
        centres = [g.op("Mul", g.op("Add", one, cell), stride) for one, cell in ((x, column), (y, row))]
        sides = [g.op("Mul", g.op("Exp", one), stride) for one in (width, height)]
        corners = around(g, centres, sides, g.reals(0.5))
        return [g.to_float32(one) for one in corners]
