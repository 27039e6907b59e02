"""`yolov5_output` and `yolox_output`: one tensor of boxes, objectness and probabilities.

YOLOX a level is in `postproc.decoding.product_levels`, and masks are in `postproc.decoding.yolov5_seg`, which
few documents need.
"""

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
    ONE_COLUMN,
    Candidates,
    Decoder,
    Extras,
    ReadTable,
    SingleTable,
    SizelessDecoder,
    Sizes,
    pixel_sizes,
    probabilities,
)
from postproc.decoding.decision import Decision
from postproc.decoding.keypoints import keypoints_of_table
from postproc.errors import TensorError
from postproc.kernels.heads.arguments import (
    BoxesALabel,
    BoxFormat,
    FirstScore,
    ObjectnessAlone,
    Planar,
    Table,
)
from postproc.kernels.heads.products import Levels, Products, SquareRoot
from postproc.schema import Yolov5Output, YoloxOutput
from postproc.tensors import kernel_form

_LARGEST_INT64 = 2**63 - 1
_OBJECTNESS, FIRST_LABEL = FirstScore(4), FirstScore(5)
_NO_LEVELS = Levels(np.empty((1, 0, 3), np.int64))
_PRODUCT = SquareRoot(False)


class Yolov5Decoder(SizelessDecoder):
    """`yolov5_output`: decoded boxes, objectness, a probability per label, and perhaps keypoints."""

    sample = Yolov5Output(output_tensor="products")

    def __init__(self, output: Yolov5Output, decision: Decision) -> None:
        super().__init__(decision, output.output_tensor)
        self._format = BOX_FORMATS[output.box_format]
        self._objectness_alone = ObjectnessAlone(output.confidence == "objectness")
        self._output = output
        more, reason = 0, "5 + labels"
        if output.keypoints is not None:
            more, reason = output.keypoints * output.dimensions, "5 + labels + keypoints * dimensions"
        self._first = FirstScore(FIRST_LABEL + (more if output.keypoints_first else 0))
        self._first_point = FIRST_LABEL + (0 if output.keypoints_first else self._labels)
        self._table = SingleTable(output.output_tensor, 5 + self._labels + more, output.layout, reason)

    def read(self, tensors: Mapping[str, Any], options: CallOptions) -> Candidates:
        table, planar, count = self._table.read(tensors, self._labels)
        output, extras = self._output, None
        if output.keypoints is not None:
            extras = keypoints_of_table(
                table, planar, self._first_point, output.keypoints, output.dimensions, output.skeleton
            )
        return products_of_table(
            table, planar, count, self._first, self._objectness_alone, self._format, self._labels, extras
        )

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        return self._table.examples()


def products_of_table(
    table: Table,
    planar: Planar,
    boxes: BoxesALabel,
    first: FirstScore,
    objectness_alone: ObjectnessAlone,
    box_format: BoxFormat,
    labels: int,
    extras: Extras | None,
) -> Candidates:
    """Bind a table that begins with decoded boxes and an objectness; probabilities begin at `first`."""
    # By position, as their types tell them apart: keywords cost time.
    head = Products(
        Table(kernel_form(table)), planar, first, NO_ACTIVATION, objectness_alone, _PRODUCT, box_format,
        _NO_LEVELS,
    )  # fmt: skip
    return _of_products(head, table, boxes, labels, extras)


def _of_products(
    head: Products, table: Table, count: BoxesALabel, labels: int, extras: Extras | None = None
) -> Candidates:
    first, factors = (_OBJECTNESS, 1) if head.objectness_alone else (head.first, labels)
    scores = probabilities(table, head.planar, first, factors, head.activation)
    return Candidates(len(table), head, count, ONE_COLUMN, extras, scores)


# Cells are counted as int64, those of all strides together.
_LONGEST_SIDE = 2.0**24


class YoloxDecoder(Decoder[ReadTable]):
    """`yolox_output` of one tensor: boxes in cells of a grid per stride, objectness, probabilities."""

    sample = YoloxOutput(output_tensor="cells")

    def __init__(self, output: YoloxOutput, decision: Decision) -> None:
        super().__init__(decision, output.output_tensor)
        (name,) = self.tensor_names
        self._table = SingleTable(name, 5 + self._labels, output.layout, "5 + labels")
        self._activation = ACTIVATIONS[output.score_activation]
        self._objectness_alone = ObjectnessAlone(output.confidence == "objectness")
        self._square_root = SquareRoot(output.confidence == "sqrt_product")
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
            table=Table(kernel_form(read.values)),
            planar=read.planar,
            first=FIRST_LABEL,
            activation=self._activation,
            objectness_alone=self._objectness_alone,
            square_root=self._square_root,
            box_format=BOX_FORMATS["cxcywh"],
            levels=Levels(np.array(levels, np.int64).reshape(-1, len(self._strides), 3)),
        )
        return _of_products(head, read.values, count, self._labels)

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
