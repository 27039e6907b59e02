"""`yolov8_output`: one tensor of boxes and probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from postproc.decoding.base import Candidates, Decision, check_order, is_planar, with_batch
from postproc.kernels import activation, boxes
from postproc.kernels.scored_boxes import detect_scored_boxes
from postproc.schema import Yolov8Output
from postproc.tensors import as_float32, find, wrong_shape


class Yolov8Decoder:
    """`yolov8_output`: one tensor of boxes and of a probability per label."""

    clips_first: ClassVar[bool] = False

    def __init__(self, output: Yolov8Output, decision: Decision) -> None:
        self.tensor_names = (output.output_tensor,)
        self._decision = decision
        self._layout = output.layout

    def bind(self, tensors: Mapping[str, Any]) -> Candidates:
        """Check the tensors of a call, and bind them to their kernels."""
        (name,) = self.tensor_names
        table = with_batch(as_float32(name, find(tensors, name)), 3)
        channels = 4 + len(self._decision.ids)
        if table.ndim != 3 or channels not in table.shape[1:]:
            raise wrong_shape(name, table.shape, f"(B, {channels}, N) or (B, N, {channels}), from 4 + labels")
        count = table.shape[2] if table.shape[1] == channels else table.shape[1]
        planar = is_planar(name, table.shape[1:], count, channels, self._layout)
        check_order(name, count, len(self._decision.ids))
        arguments = (
            table,
            planar,
            4,
            activation.NONE,
            table,
            planar,
            boxes.CXCYWH,
            0,
            0,
            *self._decision.rule,
        )
        return Candidates(len(table), detect_scored_boxes, arguments)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout that may come: to compile the kernels on."""
        channels = 4 + len(self._decision.ids)
        shapes = {"channels_first": (1, channels, channels + 1), "channels_last": (1, channels + 1, channels)}
        return [
            {self.tensor_names[0]: np.zeros(shape, np.float32)}
            for layout, shape in shapes.items()
            if self._layout in ("auto", layout)
        ]
