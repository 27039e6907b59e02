"""`yolov5_output` with masks: one tensor that ends with coefficients, and prototypes."""

from __future__ import annotations

from postproc.decoding.base import Candidates, Extras, ReadTable
from postproc.decoding.decision import Decision
from postproc.decoding.masked_tables import MaskedTableDecoder
from postproc.decoding.products import FIRST_LABEL, Yolov5Decoder, products_of_table
from postproc.kernels.heads.arguments import ObjectnessAlone
from postproc.schema import Yolov5Output


class Yolov5SegDecoder(MaskedTableDecoder):
    """`yolov5_output` with a `prototypes_tensor`."""

    sample = Yolov5Decoder.sample

    def __init__(self, output: Yolov5Output, decision: Decision) -> None:
        super().__init__(output, decision, FIRST_LABEL)
        self._objectness_alone = ObjectnessAlone(output.confidence == "objectness")

    def candidates(self, table: ReadTable, extras: Extras) -> Candidates:
        return products_of_table(
            *table, FIRST_LABEL, self._objectness_alone, self._format, self._labels, extras
        )
