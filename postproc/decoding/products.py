"""`yolov5_output` and `yolox_output`: one tensor of boxes, objectness and probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import (
    ACTIVATIONS,
    BOX_FORMATS,
    NO_ACTIVATION,
    Candidates,
    Decoder,
    ReadTable,
    SingleTable,
    SizelessDecoder,
    Sizes,
    pixel_sizes,
    probabilities,
)
from postproc.decoding.decision import Decision
from postproc.errors import TensorError
from postproc.kernels.heads.arguments import BoxesALabel, FirstScore, ObjectnessAlone
from postproc.kernels.heads.products import Levels, Products
from postproc.schema import Yolov5Output, YoloxOutput

_LARGEST_INT64 = 2**63 - 1
_OBJECTNESS, _FIRST_LABEL = FirstScore(4), FirstScore(5)
_NO_LEVELS = Levels(np.empty((1, 0, 3), np.int64))


class Yolov5Decoder(SizelessDecoder):
    """`yolov5_output`: decoded boxes, objectness and a probability per label."""

    sample = Yolov5Output(output_tensor="products")

    def __init__(self, output: Yolov5Output, decision: Decision) -> None:
        super().__init__(decision, output.output_tensor)
        self._format = BOX_FORMATS[output.box_format]
        self._objectness_alone = ObjectnessAlone(output.confidence == "objectness")
        self._table = SingleTable(output.output_tensor, 5 + self._labels, output.layout, "5 + labels")

    def read(self, tensors: Mapping[str, Any], options: CallOptions) -> Candidates:
        table, planar, count = self._table.read(tensors, self._labels)
        head = Products(table, planar, NO_ACTIVATION, self._objectness_alone, self._format, _NO_LEVELS)
        return _of_products(head, count, self._labels)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        return self._table.examples()


def _of_products(head: Products, count: BoxesALabel, labels: int) -> Candidates:
    table, planar, activation, objectness_alone, *_ = head
    first, factors = (_OBJECTNESS, 1) if objectness_alone else (_FIRST_LABEL, labels)
    scores = probabilities(table, planar, first, factors, activation)
    return Candidates(len(table), head, count, scores=scores)


# Cells are counted as int64, those of all strides together.
_LONGEST_SIDE = 2.0**24


class YoloxDecoder(Decoder[ReadTable]):
    """`yolox_output`: boxes in cells of a grid per stride, objectness and a probability per label."""

    sample = YoloxOutput(output_tensor="cells")

    def __init__(self, output: YoloxOutput, decision: Decision) -> None:
        super().__init__(decision, output.output_tensor)
        self._table = SingleTable(output.output_tensor, 5 + self._labels, output.layout, "5 + labels")
        self._activation = ACTIVATIONS[output.score_activation]
        self._objectness_alone = ObjectnessAlone(output.confidence == "objectness")
        self._strides = output.strides
        # A side of few cells, which are not as many as the channels, so that the layout is clear.
        side = next(
            side
            for side in (min(output.strides) * factor for factor in (1, 2))
            if _levels(side, side, output.strides)[1] != 5 + self._labels
        )
        self._side = side
        self.example_size = (side, side)

    def read(self, tensors: Mapping[str, Any], options: CallOptions) -> ReadTable:
        return ReadTable(*self._table.read(tensors, self._labels))

    def bind(self, read: ReadTable, sizes: Sizes) -> Candidates:
        (name,) = self.tensor_names
        count, levels = read.boxes, []
        inputs = pixel_sizes(name, sizes)
        if inputs.max(initial=0.0) > _LONGEST_SIDE:
            raise TensorError(
                f"tensor {name!r} has {count} boxes an image; an input of {inputs.max():g} pixels has more"
            )
        for width, height in inputs.astype(np.int64).tolist():
            of_size, cells = _levels(height, width, self._strides)
            levels.append(of_size)
            if cells != count:
                raise TensorError(
                    f"tensor {name!r} has {count} boxes an image; with strides {list(self._strides)} an "
                    f"input of {height} x {width} pixels (height x width) has {cells} cells: check "
                    "input_size and strides"
                )
        head = Products(
            table=read.values,
            planar=read.planar,
            activation=self._activation,
            objectness_alone=self._objectness_alone,
            box_format=BOX_FORMATS["cxcywh"],
            levels=Levels(np.array(levels, np.int64).reshape(-1, len(self._strides), 3)),
        )
        return _of_products(head, count, self._labels)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        _, cells = _levels(self._side, self._side, self._strides)
        return self._table.examples(cells)


@lru_cache(maxsize=64)
def _levels(height: int, width: int, strides: tuple[int, ...]) -> tuple[NDArray[np.int64], int]:
    """First box, columns and stride of each grid, and the number of cells of all."""
    levels = np.empty((len(strides), 3), np.int64)
    cells = 0
    for level, stride in enumerate(strides):
        # More cells than an integer of a kernel holds are more than any tensor has: an error, after this.
        levels[level] = min(cells, _LARGEST_INT64), max(1, width // stride), stride
        cells += (height // stride) * (width // stride)
    return levels, cells
