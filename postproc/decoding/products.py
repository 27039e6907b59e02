"""`yolov5_output` and `yolox_output`: one tensor of boxes, objectness and probabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import (
    ACTIVATIONS,
    BOX_FORMATS,
    Candidates,
    Decision,
    SingleTable,
    SizesOf,
    pixel_sizes,
    probabilities,
)
from postproc.errors import TensorError
from postproc.kernels.core import activation, boxes
from postproc.kernels.heads.products import detect_products
from postproc.schema import Yolov5Output, YoloxOutput

_LARGEST_INT64 = 2**63 - 1
_NO_LEVELS = np.empty((1, 0, 3), np.int64)


class Yolov5Decoder:
    """`yolov5_output`: decoded boxes, objectness and a probability per label."""

    sample = Yolov5Output(output_tensor="products")
    clips_first = False
    example_size = None

    def __init__(self, output: Yolov5Output, decision: Decision) -> None:
        self._decision = decision
        self._format = BOX_FORMATS[output.box_format]
        self._objectness_alone = output.confidence == "objectness"
        self._table = SingleTable(output.output_tensor, 5 + len(decision.ids), output.layout, "5 + labels")
        self.tensor_names = (output.output_tensor,)

    def bind(self, tensors: Mapping[str, Any], options: CallOptions, sizes: SizesOf) -> Candidates:
        """Check the tensors of a call, and choose the kernel that reads them."""
        table, planar, count = self._table.read(tensors, len(self._decision.ids))
        arguments = (
            *(table, planar, activation.NONE, self._objectness_alone, self._format, _NO_LEVELS),
            *self._decision.rule,
        )
        scores = _factors(table, planar, self._objectness_alone, self._decision, activation.NONE)
        return Candidates(len(table), detect_products, arguments, count, scores=scores)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout that may come: to compile the kernels on."""
        return self._table.examples()


def _factors(
    table: NDArray[np.float32],
    planar: bool,
    objectness_alone: bool,
    decision: Decision,
    score_activation: int,
) -> Callable[[], NDArray[np.float32]] | None:
    """Return what gives the factors of the scores that are to be probabilities: see `Candidates`."""
    if objectness_alone:
        return probabilities(table, planar, 4, 1, score_activation)
    return probabilities(table, planar, 5, len(decision.ids), score_activation)


# Cells are counted as int64, those of all strides together.
_LONGEST_SIDE = 2.0**24


class YoloxDecoder:
    """`yolox_output`: boxes in cells of a grid per stride, objectness and a probability per label."""

    sample = YoloxOutput(output_tensor="cells")
    clips_first = False

    def __init__(self, output: YoloxOutput, decision: Decision) -> None:
        self._decision = decision
        self._table = SingleTable(output.output_tensor, 5 + len(decision.ids), output.layout, "5 + labels")
        self._activation = ACTIVATIONS[output.score_activation]
        self._objectness_alone = output.confidence == "objectness"
        self._strides = output.strides
        # A side of few cells, which are not as many as the channels, so that the layout is clear.
        side = next(
            side
            for side in (min(output.strides) * factor for factor in (1, 2))
            if _levels(side, side, output.strides)[1] != 5 + len(decision.ids)
        )
        self.example_size = (side, side)
        self.tensor_names = (output.output_tensor,)

    def bind(self, tensors: Mapping[str, Any], options: CallOptions, sizes: SizesOf) -> Candidates:
        """Check the tensors of a call, and choose the kernel that reads them."""
        (name,) = self.tensor_names
        table, planar, count = self._table.read(tensors, len(self._decision.ids))
        levels = []
        inputs = pixel_sizes(name, sizes(tensors, len(table), options))
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
        levels_of_images = np.array(levels, np.int64).reshape(-1, len(self._strides), 3)
        arguments = (
            *(table, planar, self._activation, self._objectness_alone, boxes.CXCYWH, levels_of_images),
            *self._decision.rule,
        )
        scores = _factors(table, planar, self._objectness_alone, self._decision, self._activation)
        return Candidates(len(table), detect_products, arguments, count, scores=scores)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout that may come: to compile the kernels on."""
        _, cells = _levels(*self.example_size, self._strides)
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
