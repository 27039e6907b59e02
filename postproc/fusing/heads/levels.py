"""The tensors of a head with a grid per stride, whatever their layouts."""

from __future__ import annotations

from typing import Any

import numpy as np

from postproc.decoding.levels import Form
from postproc.fusing.graph import Value
from postproc.fusing.heads.decoded import Extra
from postproc.fusing.heads.fusion import Fusion
from postproc.fusing.heads.points import decoded_points


class Levels:
    """Numbers of all boxes of all levels, by what they are.

    Parameters
    ----------
    fusion : Fusion
        Of a kind whose decoder has `HeadLevels`.
    """

    def __init__(self, fusion: Fusion) -> None:
        self._fusion = fusion
        self._decoder: Any = fusion.decoder
        names = self._decoder.tensor_names
        arrays = [fusion.tensors.example(name) for name in names]
        shapes = [array.shape if array.ndim > 2 else (1, *array.shape) for array in arrays]
        self._forms = self._decoder._levels.forms(shapes)
        self._anchors = int(getattr(fusion.output, "anchors_per_cell", 1))

    def has(self, name: str) -> bool:
        """Whether there are such numbers."""
        return name in self._decoder._columns

    def rows(self, name: str) -> Value:
        """Numbers (B, N, C) of all boxes."""
        columns = self._decoder._columns[name]
        group = self._decoder._levels.groups[columns.group]
        parts = [
            self._of_tensor(tensor, form, group.channels, columns.first, columns.width)
            for tensor, form in zip(group.names, self._forms[columns.group], strict=True)
        ]
        return parts[0] if len(parts) == 1 else self._fusion.g.op("Concat", *parts, axis=1)

    def _of_tensor(self, name: str, form: Form, channels: int, first: int, width: int) -> Value:
        """Do what `HeadLevels.by_box` does."""
        g, value, anchors = self._fusion.g, self._fusion.tensors.numbers(name), self._anchors
        if not form.is_planar:
            rows = g.op("Reshape", value, [-1, form.boxes, channels])
            return g.slice(rows, 2, first, first + width)
        if form.grid is None:
            planes = g.op("Reshape", value, [-1, channels, form.boxes])
            return g.op("Transpose", g.slice(planes, 1, first, first + width), perm=[0, 2, 1])
        planes = g.op("Reshape", value, [-1, anchors, channels, form.boxes // anchors])
        by_cell = g.op("Transpose", g.slice(planes, 2, first, first + width), perm=[0, 3, 1, 2])
        return g.op("Reshape", by_cell, [-1, form.boxes, width])

    def landmarks(self, points: int, centres: np.ndarray, strides: np.ndarray) -> Extra:
        """Points that are distances, in units (N,), from centres (N, 2) in the same ones times `strides`."""
        g, rows = self._fusion.g, self.rows("landmarks")
        table = np.concatenate([centres * strides[:, None], strides[:, None]], axis=1)

        def decode(boxes: Value) -> tuple[Value, Value]:
            x0, y0, stride = g.columns(g.take_shared(g.reals(table), boxes), 3)
            pairs = g.op("Reshape", g.take(rows, boxes), [0, 0, points, 2])
            found = []
            for one, centre in zip(g.columns(pairs, 2), (x0, y0), strict=True):
                moved = g.op("Mul", g.to_real(one), g.unsqueeze(stride, 2))
                found.append(g.to_float32(g.op("Add", g.unsqueeze(centre, 2), moved)))
            return found[0], found[1]

        return decoded_points(self._fusion, points, decode)
