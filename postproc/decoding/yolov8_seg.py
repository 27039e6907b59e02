"""`yolov8_seg_output`: one tensor of boxes, probabilities and coefficients, and prototypes of masks."""

from __future__ import annotations

from postproc.decoding.base import Candidates, Extras, ReadTable
from postproc.decoding.decision import Decision
from postproc.decoding.masked_tables import MaskedTableDecoder
from postproc.decoding.yolov8 import boxes_of_table
from postproc.schema import Yolov8SegOutput


class Yolov8SegDecoder(MaskedTableDecoder):
    """`yolov8_seg_output`: boxes, a probability per label, coefficients, and the prototypes they are of."""

    sample = Yolov8SegOutput(output_tensor="segments", prototypes_tensor="prototypes")

    def __init__(self, output: Yolov8SegOutput, decision: Decision) -> None:
        super().__init__(output, decision, 4)

    def candidates(self, table: ReadTable, extras: Extras) -> Candidates:
        return boxes_of_table(*table, self._format, self._labels, extras)
