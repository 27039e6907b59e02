"""`yolov8_output`: one tensor of boxes and probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import (
    BOX_FORMATS,
    NO_ACTIVATION,
    ONE_COLUMN,
    Candidates,
    Extras,
    SingleTable,
    SizelessDecoder,
    probabilities,
)
from postproc.decoding.decision import Decision
from postproc.kernels.heads.arguments import (
    Boxes,
    BoxesALabel,
    BoxFormat,
    FirstScore,
    Planar,
    PlanarBoxes,
    Scores,
    Table,
)
from postproc.kernels.heads.scored_boxes import FirstRow, RowsARegion, ScoredBoxes
from postproc.schema import Yolov8Output
from postproc.tensors import kernel_form

_FIRST_SCORE = FirstScore(4)
_ROWS_A_REGION, _FIRST_ROW = RowsARegion(0), FirstRow(0)


class Yolov8Decoder(SizelessDecoder):
    """`yolov8_output`: one tensor of boxes and of a probability per label."""

    sample = Yolov8Output(output_tensor="table")

    def __init__(self, output: Yolov8Output, decision: Decision) -> None:
        super().__init__(decision, output.output_tensor)
        self._format = BOX_FORMATS[output.box_format]
        self._table = SingleTable(output.output_tensor, 4 + self._labels, output.layout, "4 + labels")

    def read(self, tensors: Mapping[str, Any], options: CallOptions) -> Candidates:
        return boxes_of_table(*self._table.read(tensors, self._labels), self._format, self._labels)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        return self._table.examples()


def boxes_of_table(
    table: Table,
    planar: Planar,
    boxes: BoxesALabel,
    box_format: BoxFormat,
    labels: int,
    extras: Extras | None = None,
) -> Candidates:
    """Bind a table that begins with boxes and a probability per label, whatever follows them."""
    numbers = kernel_form(table)
    # By position, as their types tell them apart: keywords cost 0.3 us, of calls that take 12.
    head = ScoredBoxes(
        Scores(numbers), planar, _FIRST_SCORE, NO_ACTIVATION,
        Boxes(numbers), PlanarBoxes(planar), box_format, _ROWS_A_REGION, _FIRST_ROW,
    )  # fmt: skip
    scores = probabilities(table, planar, _FIRST_SCORE, labels, NO_ACTIVATION)
    return Candidates(len(table), head, boxes, ONE_COLUMN, extras, scores)
