"""`yolo_output`: the grid of YOLOv2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from postproc.decoding.base import Candidates, Decision, check_order
from postproc.errors import TensorError
from postproc.kernels.yolo_grid import detect_grid
from postproc.schema import YoloOutput
from postproc.tensors import as_float32, find, wrong_shape


class YoloDecoder:
    """`yolo_output`: the grid of YOLOv2."""

    clips_first: ClassVar[bool] = False

    def __init__(self, output: YoloOutput, decision: Decision) -> None:
        self.tensor_names = (output.output_tensor,)
        self._decision = decision
        self._layout = output.layout
        self._anchors = np.array(output.anchors, np.float64).reshape(-1, 2)

    def bind(self, tensors: Mapping[str, Any]) -> Candidates:
        """Check the tensors of a call, and bind them to their kernels."""
        (name,) = self.tensor_names
        grid = as_float32(name, find(tensors, name))
        batch, height, width, steps = self._geometry(name, grid.shape)
        boxes, labels = height * width * len(self._anchors), len(self._decision.ids)
        check_order(name, boxes, labels)
        numbers = grid.reshape(batch, boxes * (5 + labels))
        arguments = (
            numbers,
            height,
            width,
            self._anchors,
            *steps,
            *self._decision.rule,
        )
        return Candidates(batch, detect_grid, arguments)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout that may come: to compile the kernels on."""
        channels = len(self._anchors) * (5 + len(self._decision.ids))
        shape = (1, channels, 1, 1) if self._layout == "channels_first" else (1, 1, 1, channels)
        return [{self.tensor_names[0]: np.zeros(shape, np.float32)}]

    def _geometry(self, name: str, shape: tuple[int, ...]) -> tuple[int, int, int, tuple[int, int, int]]:
        """Batch, height, width, and the steps from cell to cell, anchor to anchor, channel to channel."""
        count, channels = len(self._anchors), 5 + len(self._decision.ids)
        total = count * channels
        may_be_last = self._layout != "channels_first"
        may_be_first = self._layout != "channels_last"
        if len(shape) == 5 and shape[3:] == (count, channels) and may_be_last:
            shape = (*shape[:3], total)
        elif len(shape) == 4 and shape[2:] == (count, channels) and shape[1] != total != shape[3]:
            shape = (1, *shape[:2], total)
        elif len(shape) == 3:
            shape = (1, *shape)
        last = may_be_last and len(shape) == 4 and shape[3] == total
        first = may_be_first and len(shape) == 4 and shape[1] == total
        if last and first:
            raise TensorError(
                f"tensor {name!r} has shape {shape}, whose {total} channels may come first or last; "
                'declare layout: "channels_first" or "channels_last"'
            )
        if last:
            return shape[0], shape[1], shape[2], (total, channels, 1)
        if first:
            return shape[0], shape[2], shape[3], (1, channels * shape[2] * shape[3], shape[2] * shape[3])
        forms = []
        if may_be_last:
            forms += [f"(B, H, W, {total})", f"(B, H, W, {count}, {channels})"]
        if may_be_first:
            forms += [f"(B, {total}, H, W)"]
        raise wrong_shape(
            name, shape, f"{' or '.join(forms)}, from {count} anchors and 5 + {channels - 5} labels"
        )
