"""Boxes that are turned: around them, compared with each other, and their corners."""

from __future__ import annotations

import numpy as np

from postproc.fusing.graph import Graph, Value
from postproc.fusing.heads.decoded import Decoded, Extra, Index, Place
from postproc.fusing.heads.fusion import Fusion
from postproc.fusing.heads.rectangles import probiou, shared_of_both
from postproc.fusing.heads.tables import rows_behind


def yolov8_obb(fusion: Fusion) -> Decoded:
    """`yolov8_obb_output`: centre and size of a box, scores, then the angle."""
    head, name = fusion.head, fusion.output.output_tensor
    table = fusion.tensors.numbers(name, 3)
    scores = fusion.scores(table, head.planar, int(head.first), head.activation)
    angles = rows_behind(fusion, name, int(head.angle_column), 1)
    return Oriented(fusion, rows_behind(fusion, name, 0, 4), angles).decoded(scores, fusion.boxes)


class Oriented:
    """Rectangles of rows: see `postproc.kernels.heads.oriented`.

    Parameters
    ----------
    fusion : Fusion
    rows : Value
        cx, cy, width, height, (B, N, 4) float32.
    angles : Value
        (B, N, 1) float32.
    """

    def __init__(self, fusion: Fusion, rows: Value, angles: Value) -> None:
        self._fusion, self._g = fusion, fusion.g
        self._rows = fusion.g.op("Concat", rows, angles, axis=2)
        self._scales = np.asarray(fusion.head.scales)[0].tolist()

    def decoded(self, scores: Value, boxes: int, labels: Value | None = None) -> Decoded:
        """Give what a head gives."""
        head = self._fusion.head
        extras = {"polygons": Extra((4, 2), self._polygons), "angles": Extra((), self._angles)}
        return Decoded(
            *(scores, self._fusion.labels, boxes, self._corners, extras),
            labels=labels,
            has_area=self._has_area,
            index=self._probiou if head.probiou else self._exact,
            fast=bool(head.fast),
        )

    def _read(self, boxes: Value, g: Graph) -> list[Value]:
        """Give cx, cy, width, height in pixels, and the angle (B, K), in numbers of a graph."""
        x, y = self._scales
        numbers = [g.to_real(one) for one in g.columns(g.take(self._rows, boxes), 5)]
        by = (x, y, x, y, 1.0)
        return [
            one if scale == 1.0 else g.op("Mul", one, g.reals(scale))
            for one, scale in zip(numbers, by, strict=True)
        ]

    def _has_area(self, boxes: Value) -> Value:
        g = self._g
        sides = (g.op("Abs", side) for side in self._read(boxes, g)[2:4])
        return g.op("And", *[g.op("Greater", side, g.reals(0.0)) for side in sides])

    def _sides(self, boxes: Value, g: Graph) -> list[Value]:
        """Give centre, and vectors to the middles of two sides: cx, cy, ax, ay, bx, by."""
        x, y, width, height, angle = self._read(boxes, g)
        cos, sin = g.op("Cos", angle), g.op("Sin", angle)
        half_width = g.op("Mul", g.reals(0.5), width)
        half_height = g.op("Mul", g.reals(0.5), height)
        return [
            *(x, y, g.op("Mul", half_width, cos), g.op("Mul", half_width, sin)),
            *(g.op("Neg", g.op("Mul", half_height, sin)), g.op("Mul", half_height, cos)),
        ]

    def _corners(self, boxes: Value, labels: Value) -> list[Value]:
        g = self._g
        x, y, ax, ay, bx, by = self._sides(boxes, g)
        across = g.op("Add", g.op("Abs", ax), g.op("Abs", bx))
        down = g.op("Add", g.op("Abs", ay), g.op("Abs", by))
        corners = [g.op("Sub", x, across), g.op("Sub", y, down), g.op("Add", x, across), g.op("Add", y, down)]
        return [g.to_float32(one) for one in corners]

    def _polygons(self, boxes: Value, place: Place) -> Value:
        """Corners from the lower right to the upper right one at an angle of 0, around."""
        g = self._g
        x, y, ax, ay, bx, by = self._sides(boxes, g)
        corners = []
        for along, across in (("Add", "Add"), ("Add", "Sub"), ("Sub", "Sub"), ("Sub", "Add")):
            pair = [
                g.to_float32(g.op(across, g.op(along, centre, a), b))
                for centre, a, b in ((x, ax, bx), (y, ay, by))
            ]
            furthest = np.float32(3e38)
            placed = [g.op("Max", g.op("Min", one, furthest), -furthest) for one in place(*pair)]
            corners.append(g.stacked(*placed))
        return g.op("Concat", *[g.unsqueeze(one, 2) for one in corners], axis=2)

    def _angles(self, boxes: Value, place: Place) -> Value:
        return self._g.op("Gather", self._g.take(self._rows, boxes), np.int64(4), axis=2)

    def _probiou(self, boxes: Value) -> Index:
        numbers = [self._g.to_float32(one) for one in self._read(boxes, self._g)]
        return Index(probiou(self._g, numbers), np.float32)

    def _exact(self, boxes: Value) -> Index:
        """Jaccard indices, in float64 whatever boxes are decoded in: small ones are differences of large."""
        g = self._g.doubles()
        sides = self._sides(boxes, g)
        width, height = self._read(boxes, g)[2:4]
        area = g.op("Abs", g.op("Mul", width, height))
        both = g.op("Add", g.unsqueeze(area, 2), g.unsqueeze(area, 1))
        shared = shared_of_both(g, sides)
        return Index(g.op("Div", shared, g.op("Sub", both, shared)), np.float64)
