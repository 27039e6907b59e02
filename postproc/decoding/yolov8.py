"""`yolov8_output`: one tensor of boxes and probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import BOX_FORMATS, Candidates, Decision, SingleTable, SizesOf, probabilities
from postproc.kernels.core import activation
from postproc.kernels.heads.scored_boxes import detect_scored_boxes
from postproc.schema import Yolov8Output


class Yolov8Decoder:
    """`yolov8_output`: one tensor of boxes and of a probability per label."""

    sample = Yolov8Output(output_tensor="table")
    clips_first = False
    example_size = None

    def __init__(self, output: Yolov8Output, decision: Decision) -> None:
        self._decision = decision
        self._format = BOX_FORMATS[output.box_format]
        self._table = SingleTable(output.output_tensor, 4 + len(decision.ids), output.layout, "4 + labels")
        self.tensor_names = (output.output_tensor,)

    def bind(self, tensors: Mapping[str, Any], options: CallOptions, sizes: SizesOf) -> Candidates:
        """Check the tensors of a call, and choose the kernel that reads them."""
        table, planar, count = self._table.read(tensors, len(self._decision.ids))
        return boxes_of_table(table, planar, count, self._format, self._decision)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout that may come: to compile the kernels on."""
        return self._table.examples()


def boxes_of_table(
    table: NDArray[np.float32], planar: bool, count: int, box_format: int, decision: Decision
) -> Candidates:
    """Bind a table that begins with boxes and a probability per label, whatever follows them."""
    arguments = (
        *(table, planar, 4, activation.NONE),
        *(table, planar, box_format, 0, 0),
        *decision.rule,
    )
    scores = probabilities(table, planar, 4, len(decision.ids), activation.NONE)
    return Candidates(len(table), detect_scored_boxes, arguments, count, scores=scores)
