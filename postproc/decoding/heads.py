"""`standard_output` and `ssd_output`: a tensor of boxes or of their offsets, and a tensor of scores."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import (
    ACTIVATIONS,
    BOX_FORMATS,
    Candidates,
    Decision,
    SizesOf,
    as_rows,
    check_order,
    is_planar,
    probabilities,
    with_batch,
)
from postproc.kernels.core import activation
from postproc.kernels.heads.anchored import detect_anchored
from postproc.kernels.heads.scored_boxes import detect_scored_boxes
from postproc.schema import SsdOutput, StandardOutput
from postproc.schema.outputs import Background
from postproc.tensors import as_float32, find, wrong_shape

Floats = NDArray[np.float32]


class _Scores:
    """A tensor of scores (B, N, L) or (B, L, N), with a column for the background or without."""

    def __init__(
        self, name: str, labels: int, background: Background, score_activation: str, layout: str
    ) -> None:
        self._name = name
        self._labels = labels
        self._layout = layout
        self.columns = labels + (background != "none")
        self.first = int(background == "first")
        self.activation = ACTIVATIONS[score_activation]

    def read(self, tensors: Mapping[str, Any], count: int) -> tuple[Floats, bool]:
        """Scores of `count` boxes, and whether they are by label."""
        scores = with_batch(as_float32(self._name, find(tensors, self._name)), 3)
        if scores.ndim != 3:
            raise wrong_shape(self._name, scores.shape, f"(B, {count}, {self.columns})")
        planar = is_planar(self._name, scores.shape[1:], count, self.columns, self._layout)
        check_order(self._name, count, self._labels)
        if planar and self.activation == activation.SOFTMAX:  # which goes along rows
            return as_rows(scores), False
        return scores, planar

    def probabilities(self, scores: Floats, planar: bool) -> Callable[[], Floats] | None:
        """Return what gives the scores of the labels, where they are to be probabilities."""
        return probabilities(scores, planar, self.first, self._labels, self.activation)

    @property
    def example_count(self) -> int:
        """Number of boxes of an example: another than that of the columns, so that either layout is clear."""
        return 2 if self.columns == 1 else 1

    def examples(self, boxes_name: str) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of scores, and of as many boxes, for every layout that may come."""
        count = self.example_count
        shapes = {"channels_last": (1, count, self.columns), "channels_first": (1, self.columns, count)}
        return [
            {boxes_name: np.zeros((1, count, 4), np.float32), self._name: np.zeros(shape, np.float32)}
            for layout, shape in shapes.items()
            if self._layout in ("auto", layout)
        ]


class StandardDecoder:
    """`standard_output`: decoded boxes, shared or per label, and a score per label."""

    sample = StandardOutput(boxes_tensor="decoded", scores_tensor="scores")
    example_size = None

    def __init__(self, output: StandardOutput, decision: Decision) -> None:
        self.tensor_names = (output.boxes_tensor, output.scores_tensor)
        self.clips_first = output.clip == "before"
        self._decision = decision
        self._format = BOX_FORMATS[output.box_format]
        self._scores = _Scores(
            output.scores_tensor, len(decision.ids), output.background, output.score_activation, output.layout
        )

    def bind(self, tensors: Mapping[str, Any], options: CallOptions, sizes: SizesOf) -> Candidates:
        """Check the tensors of a call, and choose the kernel that reads them."""
        boxes_name, scores_name = self.tensor_names
        boxes = with_batch(as_float32(boxes_name, find(tensors, boxes_name)), 3)
        labels, columns = len(self._decision.ids), self._scores.columns
        per_region = boxes.shape[2] if boxes.ndim == 4 else 1
        if boxes.ndim not in (3, 4) or boxes.shape[-1] != 4 or per_region not in (1, labels, columns):
            expected = " or ".join(f"(B, N, {count}, 4)" for count in dict.fromkeys((1, labels, columns)))
            raise wrong_shape(boxes_name, boxes.shape, f"(B, N, 4) or {expected}")
        batch, count = boxes.shape[:2]
        scores, planar = self._scores.read(tensors, count)
        if len(scores) != batch:
            raise wrong_shape(
                scores_name, scores.shape, f"{batch} images, as the boxes {boxes_name!r} {boxes.shape} have"
            )
        is_shared = per_region == 1
        arguments = (
            *(scores, planar, self._scores.first, self._scores.activation),
            *(boxes.reshape(batch, count * per_region, 4), False, self._format),
            0 if is_shared else per_region,
            self._scores.first if per_region == columns else 0,
            *self._decision.rule,
        )
        of_labels = self._scores.probabilities(scores, planar)
        return Candidates(batch, detect_scored_boxes, arguments, count, scores=of_labels)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout that may come: to compile the kernels on."""
        return self._scores.examples(self.tensor_names[0])


class SsdDecoder:
    """`ssd_output`: offsets from priors, and a score per label."""

    sample = SsdOutput(offsets_tensor="offsets", scores_tensor="scores", priors_tensor="priors")
    clips_first = True
    example_size = None

    def __init__(self, output: SsdOutput, decision: Decision) -> None:
        self.tensor_names = tuple(
            name
            for name in (output.offsets_tensor, output.scores_tensor, output.priors_tensor)
            if name is not None
        )
        self._decision = decision
        self._output = output
        self._priors = None if output.priors is None else np.array(output.priors, np.float32)[None]
        self._format = BOX_FORMATS[output.priors_format]
        self._scale = np.array(output.offsets_scale, np.float64)
        self._scores = _Scores(
            output.scores_tensor, len(decision.ids), output.background, output.score_activation, output.layout
        )

    def bind(self, tensors: Mapping[str, Any], options: CallOptions, sizes: SizesOf) -> Candidates:
        """Check the tensors of a call, and choose the kernel that reads them."""
        offsets_name, scores_name = self.tensor_names[:2]
        offsets = with_batch(as_float32(offsets_name, find(tensors, offsets_name)), 3)
        if offsets.ndim != 3 or offsets.shape[2] < 4:
            raise wrong_shape(offsets_name, offsets.shape, "(B, N, 4) or (B, N, 4 and more)")
        batch, count = offsets.shape[:2]
        scores, planar = self._scores.read(tensors, count)
        if len(scores) != batch:
            raise wrong_shape(
                scores_name, scores.shape, f"{batch} images, as the offsets {offsets_name!r} have"
            )
        arguments = (
            *(scores, planar, self._scores.first, self._scores.activation),
            *(self._priors_of(tensors, batch, count), self._format, offsets, -1, self._scale),
            *(self._output.offsets_order == "yxhw", self._output.size_coding == "linear"),
            *self._decision.rule,
        )
        of_labels = self._scores.probabilities(scores, planar)
        return Candidates(batch, detect_anchored, arguments, count, scores=of_labels)

    def for_examples(self) -> SsdDecoder:
        """Return a decoder whose priors, if the document has them, are as many as those of the examples."""
        decoder = copy.copy(self)
        if self._priors is not None:
            decoder._priors = np.resize(self._priors, (1, self._scores.example_count, 4))
        return decoder

    def _priors_of(self, tensors: Mapping[str, Any], batch: int, count: int) -> Floats:
        if self._priors is not None:
            if self._priors.shape[1] != count:
                raise wrong_shape(
                    self._output.offsets_tensor,
                    (batch, count),
                    f"(B, {self._priors.shape[1]}, 4), as many offsets as the document has priors",
                )
            return self._priors
        name = self.tensor_names[2]
        priors = as_float32(name, find(tensors, name))
        if priors.shape == (1, 2, 4 * count):
            return np.ascontiguousarray(priors[:, 0].reshape(1, count, 4))  # Caffe's; then its variances
        priors = with_batch(priors, 3)
        if priors.ndim != 3 or priors.shape[1:] != (count, 4) or len(priors) not in (1, batch):
            raise wrong_shape(
                name, priors.shape, f"({count}, 4), ({batch}, {count}, 4) or Caffe's (1, 2, {4 * count})"
            )
        return priors

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every layout that may come: to compile the kernels on."""
        examples = self._scores.examples(self.tensor_names[0])
        if self._priors is None:
            for tensors in examples:
                tensors[self.tensor_names[2]] = tensors[self.tensor_names[0]][0]
        return examples
