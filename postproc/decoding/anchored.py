"""`anchored_output`: offsets from anchors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import (
    ACTIVATIONS,
    BOX_FORMATS,
    ROWS,
    SOFTMAX,
    Candidates,
    SizelessDecoder,
    as_rows,
    check_order,
    is_planar,
    probabilities,
    scores_gate,
    with_batch,
)
from postproc.decoding.decision import Decision
from postproc.kernels.heads.anchored import (
    Anchored,
    Anchors,
    FirstOffsets,
    LinearSizes,
    Offsets,
    OffsetsScale,
    YFirst,
)
from postproc.kernels.heads.arguments import BoxesALabel, FirstScore, Scores
from postproc.schema import AnchoredOutput
from postproc.tensors import as_float32, as_scanned, find, kernel_form, kernel_form_beside, wrong_shape


class AnchoredDecoder(SizelessDecoder):
    """`anchored_output`: offsets from anchors, and a score per label."""

    sample = AnchoredOutput(anchors_tensor="anchors", offsets_tensor="offsets", scores_tensor="scores")
    clips_first = True

    def __init__(self, output: AnchoredOutput, decision: Decision) -> None:
        super().__init__(decision, output.anchors_tensor, output.offsets_tensor, output.scores_tensor)
        self._output = output
        self._activation = ACTIVATIONS[output.score_activation]
        self._format = BOX_FORMATS[output.anchors_format]
        self._scale = OffsetsScale(np.array(output.offsets_scale, np.float64))

    def read(self, tensors: Mapping[str, Any], options: CallOptions) -> Candidates:
        anchors_name, offsets_name, scores_name = self.tensor_names
        anchors = with_batch(as_float32(anchors_name, find(tensors, anchors_name)), 3)
        offsets = with_batch(as_scanned(offsets_name, find(tensors, offsets_name)), 3)
        scores = with_batch(scores_gate(self._activation)(scores_name, find(tensors, scores_name)), 3)
        labels = self._labels
        background = self._output.background
        classes = labels if background == "none" else labels + 1

        if anchors.ndim != 3 or anchors.shape[2] not in (4, 5):
            raise wrong_shape(anchors_name, anchors.shape, "(B, N, 4) or (B, N, 5)")
        boxes_count = anchors.shape[1]
        if scores.ndim != 3:
            raise wrong_shape(scores_name, scores.shape, f"(B, {boxes_count}, {classes})")
        batch = len(scores)
        planar = is_planar(
            scores_name,
            scores.shape[1:],
            boxes_count=boxes_count,
            columns=classes,
            layout=self._output.layout,
            background=background,
        )
        widths = sorted({4, 4 * labels, 4 * classes})
        if offsets.ndim != 3 or offsets.shape[:2] != (batch, boxes_count) or offsets.shape[2] not in widths:
            expected = " or ".join(f"({batch}, {boxes_count}, {width})" for width in widths)
            raise wrong_shape(offsets_name, offsets.shape, expected)
        if len(anchors) not in (1, batch):
            raise wrong_shape(anchors_name, anchors.shape, f"({batch}, N, 4) or anchors of a batch of one")
        check_order(scores_name, boxes_count=boxes_count, labels=labels)

        if planar and self._activation == SOFTMAX:
            scores, planar = as_rows(scores), ROWS
        first = FirstScore(1 if background == "first" else 0)
        # With one label and no background, four columns are both per label and shared: the same numbers.
        first_offset: int = first if offsets.shape[2] == 4 * classes else 0
        if offsets.shape[2] == 4:
            first_offset = -1
        head = Anchored(
            scores=Scores(kernel_form(scores)),
            planar=planar,
            first=first,
            activation=self._activation,
            anchors=Anchors(anchors),
            anchors_format=self._format,
            offsets=Offsets(kernel_form_beside(offsets, scores)),
            first_offsets=FirstOffsets(first_offset),
            scale=self._scale,
            y_first=YFirst(False),
            linear_sizes=LinearSizes(False),
        )
        of_labels = probabilities(scores, planar, first, labels, self._activation)
        return Candidates(batch, head, BoxesALabel(boxes_count), scores=of_labels)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        anchors, offsets, scores = self.tensor_names
        classes = self._labels + (self._output.background != "none")
        count = 2 if classes == 1 else 1  # another number than the columns': either layout is clear
        shapes = {"channels_last": (1, count, classes), "channels_first": (1, classes, count)}
        boxes_only = {
            anchors: np.zeros((1, count, 4), np.float32),
            offsets: np.zeros((1, count, 4), np.float32),
        }
        return [
            {**boxes_only, scores: np.zeros(shape, np.float32)}
            for layout, shape in shapes.items()
            if self._output.layout in ("auto", layout)
        ]
