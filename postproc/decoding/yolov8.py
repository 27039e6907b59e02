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


class Yolov8Table:
    """What the outputs of YOLOv8 share: a tensor whose columns are a box, a probability per label, and more.

    Parameters
    ----------
    name : str
        The tensor.
    layout : str
        Where its columns lie, as the document says.
    decision : Decision
        What the document says of the detection.
    columns : str
        What the columns are, for errors.
    """

    clips_first: ClassVar[bool] = False

    def __init__(self, name: str, layout: str, decision: Decision, columns: str = "4 + labels") -> None:
        self.tensor_names: tuple[str, ...] = (name,)
        self.labels = len(decision.ids)
        self.decision = decision
        self._layout = layout
        self._columns = columns

    def candidates(self, tensors: Mapping[str, Any], columns: int) -> Candidates:
        """Check the tensor, which has so many columns, and bind it to the kernel that finds its boxes.

        The first two arguments of that are the tensor, and whether it is (B, columns, N).
        """
        name = self.tensor_names[0]
        table = with_batch(as_float32(name, find(tensors, name)), 3)
        if table.ndim != 3 or columns not in table.shape[1:]:
            expected = f"(B, {columns}, N) or (B, N, {columns}), from {self._columns}"
            raise wrong_shape(name, table.shape, expected)
        count = table.shape[2] if table.shape[1] == columns else table.shape[1]
        planar = is_planar(name, table.shape[1:], count, columns, self._layout)
        check_order(name, count, self.labels)
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
            *self.decision.rule,
        )
        return Candidates(len(table), detect_scored_boxes, arguments)

    def tables(self, columns: int) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, with so many columns, for every layout that may come."""
        shapes = {"channels_first": (1, columns, columns + 1), "channels_last": (1, columns + 1, columns)}
        return [
            {self.tensor_names[0]: np.zeros(shape, np.float32)}
            for layout, shape in shapes.items()
            if self._layout in ("auto", layout)
        ]


class Yolov8Decoder(Yolov8Table):
    """`yolov8_output`: one tensor of boxes and of a probability per label."""

    def __init__(self, output: Yolov8Output, decision: Decision) -> None:
        super().__init__(output.output_tensor, output.layout, decision)
        self._count = 4 + self.labels

    def bind(self, tensors: Mapping[str, Any]) -> Candidates:
        """Check the tensors of a call, and bind them to their kernels."""
        return self.candidates(tensors, self._count)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout that may come: to compile the kernels on."""
        return self.tables(self._count)
