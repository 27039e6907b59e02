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
    """

    clips_first: ClassVar[bool] = False

    def __init__(self, name: str, layout: str, decision: Decision) -> None:
        self.tensor_names: tuple[str, ...] = (name,)
        self.labels = len(decision.ids)
        self._decision = decision
        self._layout = layout

    def table(
        self, tensors: Mapping[str, Any], more: int = 0, what: str = ""
    ) -> tuple[NDArray[np.float32], bool]:
        """Return the tensor, checked, and whether it is (B, columns, N) and not (B, N, columns).

        Parameters
        ----------
        tensors : mapping of str to array
            The tensors of a call.
        more : int
            How many columns follow those of the labels.
        what : str
            What they are, for the error.
        """
        name = self.tensor_names[0]
        table = with_batch(as_float32(name, find(tensors, name)), 3)
        channels = 4 + self.labels + more
        if table.ndim != 3 or channels not in table.shape[1:]:
            source = " + ".join(["4 + labels", *([what] if what else [])])
            raise wrong_shape(name, table.shape, f"(B, {channels}, N) or (B, N, {channels}), from {source}")
        count = table.shape[2] if table.shape[1] == channels else table.shape[1]
        planar = is_planar(name, table.shape[1:], count, channels, self._layout)
        check_order(name, count, self.labels)
        return table, planar

    def scored_boxes(self, table: NDArray[np.float32], planar: bool) -> Candidates:
        """Bind a tensor of `table` to the kernel that finds its boxes."""
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

    def example_tables(self, more: int = 0) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout that may come, with so many columns more."""
        channels = 4 + self.labels + more
        shapes = {"channels_first": (1, channels, channels + 1), "channels_last": (1, channels + 1, channels)}
        return [
            {self.tensor_names[0]: np.zeros(shape, np.float32)}
            for layout, shape in shapes.items()
            if self._layout in ("auto", layout)
        ]


class Yolov8Decoder(Yolov8Table):
    """`yolov8_output`: one tensor of boxes and of a probability per label."""

    def __init__(self, output: Yolov8Output, decision: Decision) -> None:
        super().__init__(output.output_tensor, output.layout, decision)

    def bind(self, tensors: Mapping[str, Any]) -> Candidates:
        """Check the tensors of a call, and bind them to their kernels."""
        return self.scored_boxes(*self.table(tensors))

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout that may come: to compile the kernels on."""
        return self.example_tables()
