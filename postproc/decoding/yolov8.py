"""`yolov8_output`: one tensor of boxes and probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import (
    BOX_FORMATS,
    NO_ACTIVATION,
    Candidates,
    Decoder,
    Extras,
    ReadTable,
    SingleTable,
    Sizes,
    probabilities,
)
from postproc.decoding.decision import Decision
from postproc.kernels.heads.arguments import Boxes, BoxFormat, FirstScore, PlanarBoxes, Scores
from postproc.kernels.heads.scored_boxes import FirstRow, RowsARegion, ScoredBoxes
from postproc.schema import Yolov8Output

_FIRST_SCORE = FirstScore(4)
_ROWS_A_REGION, _FIRST_ROW = RowsARegion(0), FirstRow(0)


class Yolov8Decoder(Decoder[ReadTable]):
    """`yolov8_output`: one tensor of boxes and of a probability per label."""

    sample = Yolov8Output(output_tensor="table")

    def __init__(self, output: Yolov8Output, decision: Decision) -> None:
        super().__init__(decision, output.output_tensor)
        self._format = BOX_FORMATS[output.box_format]
        self._table = SingleTable(output.output_tensor, 4 + self._labels, output.layout, "4 + labels")

    def read(self, tensors: Mapping[str, Any], options: CallOptions) -> ReadTable:
        return self._table.read(tensors, self._labels)

    def bind(self, read: ReadTable, sizes: Sizes) -> Candidates:
        return boxes_of_table(read, self._format, self._labels)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        return self._table.examples()


def boxes_of_table(
    table: ReadTable, box_format: BoxFormat, labels: int, extras: Extras | None = None
) -> Candidates:
    """Bind a table that begins with boxes and a probability per label, whatever follows them."""
    values, planar, count = table
    head = ScoredBoxes(
        scores=Scores(values),
        planar=planar,
        first=_FIRST_SCORE,
        activation=NO_ACTIVATION,
        boxes=Boxes(values),
        boxes_planar=PlanarBoxes(planar),
        box_format=box_format,
        rows_a_region=_ROWS_A_REGION,
        first_row=_FIRST_ROW,
    )
    scores = probabilities(values, planar, 4, labels, NO_ACTIVATION)
    return Candidates(len(values), head, count, extras=extras, scores=scores)
