"""Distances from the cells of grids to the sides of boxes, as of FCOS and GFL."""

from __future__ import annotations

import numpy as np

from postproc.fusing.graph import Value
from postproc.fusing.heads.decoded import Decoded
from postproc.fusing.heads.fusion import Fusion
from postproc.fusing.heads.levels import Levels
from postproc.kernels.core import activation as act
from postproc.kernels.heads.distances import EXP, RELU


def distances(fusion: Fusion) -> Decoded:
    """`distance_output`: a score per label, perhaps a further factor, four distances, perhaps landmarks."""
    levels, output, head = Levels(fusion), fusion.output, fusion.head
    centres, strides = _centres(fusion)
    units = strides if head.in_strides else np.ones_like(strides)
    corners = _Corners(fusion, levels.rows("distances"), centres, units)
    decoded = Decoded(_scores(fusion, levels), fusion.labels, fusion.boxes, corners)
    if output.keypoints is not None:
        points = levels.landmarks(output.keypoints, centres / units[:, None], units)
        decoded.extras["keypoints"] = points
    return decoded


def _centres(fusion: Fusion) -> tuple[np.ndarray, np.ndarray]:
    """Centres (N, 2) of the cells of all boxes, and their strides (N,)."""
    first, columns, strides = np.asarray(fusion.head.levels)[0].T[:3]
    numbers = np.arange(fusion.boxes)
    level = np.searchsorted(first, numbers, side="right") - 1
    cell = (numbers - first[level]) // int(fusion.head.anchors)
    row, column = np.divmod(cell, columns[level])
    offset, stride = float(fusion.head.cell_offset), strides[level].astype(np.float64)
    return np.stack([column + offset, row + offset], axis=1) * stride[:, None], stride


def _scores(fusion: Fusion, levels: Levels) -> Value:
    """Scores (B, L, N): with a further factor rounded once."""
    g, head = fusion.g, fusion.head
    planes = g.op("Transpose", levels.rows("scores"), perm=[0, 2, 1])
    first = int(fusion.output.background == "first")
    if not levels.has("centerness"):
        return fusion.scores(planes, True, first, head.activation)
    if head.activation == act.SOFTMAX:
        scores = g.to_real(fusion.scores(planes, True, first, head.activation))
    else:
        scores = g.to_real(g.slice(planes, 1, first, first + fusion.labels))
        scores = g.sigmoid(scores) if head.activation == act.SIGMOID else scores
    certainty = g.to_real(g.op("Transpose", levels.rows("centerness"), perm=[0, 2, 1]))
    if head.activation != act.NONE:
        certainty = g.sigmoid(certainty)
    one = g.reals(1.0)
    certainty = g.op("Where", g.op("Greater", certainty, one), one, certainty)
    product = g.op("Mul", scores, certainty)
    if head.activation == act.NONE:  # of two negative factors, as the kernels do
        product = g.op("Where", g.op("Greater", scores, g.reals(0.0)), product, g.reals(0.0))
    return g.to_float32(g.op("Sqrt", product) if head.is_root else product)


class _Corners:
    """Corners of boxes: see `postproc.kernels.heads.distances`."""

    def __init__(self, fusion: Fusion, rows: Value, centres: np.ndarray, units: np.ndarray) -> None:
        self._fusion, self._rows = fusion, rows
        self._table = np.concatenate([centres, units[:, None]], axis=1)

    def __call__(self, boxes: Value, labels: Value) -> list[Value]:
        g = self._fusion.g
        taken = g.take(self._rows, boxes)
        sides = [g.to_real(one) for one in g.columns(self._distances(taken), 4)]
        x, y, unit = g.columns(g.take_shared(g.reals(self._table), boxes), 3)
        corners = []
        for side, centre, sign in zip(sides, (x, y, x, y), ("Sub", "Sub", "Add", "Add"), strict=True):
            corners.append(g.to_float32(g.op(sign, centre, g.op("Mul", side, unit))))
        return corners

    def _distances(self, taken: Value) -> Value:
        """Distances (B, K, 4) float32."""
        g, head = self._fusion.g, self._fusion.head
        bins = int(head.bins)
        if bins > 1:
            logits = g.op("Reshape", g.to_real(taken), [0, 0, 4, bins])
            parts = g.op("Softmax", logits, axis=3)
            weighted = g.op("Mul", parts, g.reals(np.arange(bins)))
            mean = g.op("ReduceSum", weighted, [3], keepdims=0)
            return g.to_float32(g.op("Add", mean, g.reals(head.first_bin)))
        if head.distance_activation == EXP:
            return g.to_float32(g.op("Exp", g.to_real(taken)))
        if head.distance_activation == RELU:
            return g.op("Where", g.op("Less", taken, 0.0), 0.0, taken)
        return taken
