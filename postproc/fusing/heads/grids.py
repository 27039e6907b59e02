"""Grids of cells with anchors, as of YOLOv2, v3, v4, v5 and v7."""

from __future__ import annotations

import numpy as np

from postproc.fusing.graph import Value
from postproc.fusing.heads.decoded import Decoded
from postproc.fusing.heads.fusion import Fusion, around
from postproc.fusing.sizes import Divisors
from postproc.kernels.core import activation as act
from postproc.kernels.heads.yolo_grids import (
    ANCHOR_STEP,
    ANCHORS,
    CHANNEL_STEP,
    FIRST_ANCHOR,
    HEIGHT,
    WIDTH,
)

_UNIT = Divisors(np.float32(1), np.float32(1))


def grids(fusion: Fusion) -> Decoded:
    """`yolo_output` and `yolov3_output`."""
    g, head, output = fusion.g, fusion.head, fusion.output
    names = (output.output_tensor,) if hasattr(output, "output_tensor") else output.output_tensors
    parts = [_planes(fusion, name, shape) for name, shape in zip(names, np.asarray(head.shapes), strict=True)]
    planes = parts[0] if len(parts) == 1 else g.op("Concat", *parts, axis=2)
    rows = g.op("Transpose", g.slice(planes, 1, 0, 4), perm=[0, 2, 1])
    return Decoded(_scores(fusion, planes), fusion.labels, fusion.boxes, _Corners(fusion, rows))


def _planes(fusion: Fusion, name: str, shape: np.ndarray) -> Value:
    """One grid as (B, 5 + L, cells * anchors)."""
    g, value = fusion.g, fusion.tensors.numbers(name)
    cells, anchors, channels = int(shape[HEIGHT] * shape[WIDTH]), int(shape[ANCHORS]), 5 + fusion.labels
    if shape[CHANNEL_STEP] == cells and cells > 1:  # channels first
        split, perm = [-1, anchors, channels, cells], [0, 2, 3, 1]
    elif shape[ANCHOR_STEP] == cells * channels:  # anchors first
        split, perm = [-1, anchors, cells, channels], [0, 3, 2, 1]
    else:
        split, perm = [-1, cells, anchors, channels], [0, 3, 1, 2]
    moved = g.op("Transpose", g.op("Reshape", value, split), perm=perm)
    return g.op("Reshape", moved, [-1, channels, cells * anchors])


def _scores(fusion: Fusion, planes: Value) -> Value:
    """Scores (B, L, N): the product is rounded once."""
    g, head = fusion.g, fusion.head
    certainty = g.sigmoid(g.to_real(g.slice(planes, 1, 4, 5)))
    if head.objectness_alone:
        return g.to_float32(certainty)
    logits = g.slice(planes, 1, 5, 5 + fusion.labels)
    if head.activation == act.SOFTMAX:
        probabilities = g.to_real(g.op("Softmax", logits, axis=1))
    else:
        probabilities = g.sigmoid(g.to_real(logits))
    return g.to_float32(g.op("Mul", certainty, probabilities))


class _Corners:
    """Corners of boxes: see `postproc.kernels.heads.yolo_grids`."""

    def __init__(self, fusion: Fusion, rows: Value) -> None:
        self._fusion, self._rows = fusion, rows
        head = fusion.head
        tables = []
        for shape, stretch in zip(np.asarray(head.shapes), np.asarray(head.stretches), strict=False):
            height, width, anchors, first = (int(shape[at]) for at in (HEIGHT, WIDTH, ANCHORS, FIRST_ANCHOR))
            row, column, anchor = (
                one.ravel() for one in np.indices((height, width, anchors)).astype(np.float64)
            )
            of_anchor = np.asarray(head.anchors)[first + anchor.astype(np.int64)]
            same = [np.full_like(row, one) for one in (width, height, stretch, (stretch - 1.0) / 2.0)]
            tables.append(np.stack([column, row, of_anchor[:, 0], of_anchor[:, 1], *same], axis=1))
        self._table = np.concatenate(tables)

    def __call__(self, boxes: Value, labels: Value) -> list[Value]:
        g, head, size = self._fusion.g, self._fusion.head, self._fusion.size or _UNIT
        numbers = [g.to_real(one) for one in g.columns(g.take(self._rows, boxes), 4)]
        constants = g.columns(g.take_shared(g.reals(self._table), boxes), 8)
        stretch, shift = constants[6:]
        centres, sides = [], []
        for axis, by in enumerate((size.width, size.height)):
            length = g.to_real(by) if isinstance(by, str) else g.reals(by)
            cell, anchor, count = constants[axis], constants[2 + axis], constants[4 + axis]
            moved = g.op("Sub", g.op("Mul", g.sigmoid(numbers[axis]), stretch), shift)
            centres.append(g.op("Div", g.op("Mul", g.op("Add", moved, cell), length), count))
            side = g.op("Mul", anchor, self._growth(numbers[2 + axis]))
            if head.anchors_in_cells:
                side = g.op("Div", g.op("Mul", side, length), count)
            sides.append(side)
        return [g.to_float32(one) for one in around(g, centres, sides, g.reals(0.5))]

    def _growth(self, value: Value) -> Value:
        g = self._fusion.g
        if not self._fusion.head.squared_sizes:
            return g.op("Exp", value)
        root = g.op("Mul", g.reals(2.0), g.sigmoid(value))
        return g.op("Mul", root, root)
