"""`standard_output` and `ssd_output`: a tensor of boxes or of their offsets, and a tensor of scores."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import (
    ACTIVATIONS,
    BOX_FORMATS,
    ONE_COLUMN,
    ROWS,
    SOFTMAX,
    Candidates,
    Extras,
    SizelessDecoder,
    as_rows,
    check_order,
    is_planar,
    probabilities,
    scores_gate,
    with_batch,
)
from postproc.decoding.decision import Decision
from postproc.decoding.keypoints import with_keypoints
from postproc.kernels.heads.anchored import (
    Anchored,
    Anchors,
    FirstOffsets,
    LinearSizes,
    Offsets,
    OffsetsScale,
    YFirst,
)
from postproc.kernels.heads.arguments import (
    Boxes,
    BoxesALabel,
    BoxFormat,
    FirstImage,
    FirstScore,
    KeptOffsets,
    KeptRegions,
    Placement,
    Planar,
    PlanarBoxes,
    Scores,
)
from postproc.kernels.heads.scored_boxes import FirstRow, RowsARegion, ScoredBoxes
from postproc.results import Detections
from postproc.schema import SsdOutput, StandardOutput
from postproc.schema.outputs import Background, Layout, ScoreActivation
from postproc.tensors import as_float32, as_scanned, find, kernel_form, kernel_form_beside, wrong_shape

if TYPE_CHECKING:
    from typing_extensions import Self

Floats = NDArray[np.float32]

_BOXES_IN_ROWS = PlanarBoxes(False)
_SHARED_OFFSETS = FirstOffsets(-1)


class _Scores:
    """A tensor of scores (B, N, L) or (B, L, N), with a column for the background or without."""

    def __init__(
        self,
        name: str,
        labels: int,
        background: Background,
        score_activation: ScoreActivation,
        layout: Layout,
    ) -> None:
        self._name = name
        self._labels = labels
        self._layout = layout
        self._background = background
        self.columns = labels + (background != "none")
        self.first = FirstScore(int(background == "first"))
        self.activation = ACTIVATIONS[score_activation]

    def read(self, tensors: Mapping[str, Any], count: int) -> tuple[Scores, Planar]:
        """Scores of `count` boxes, and whether they are by label."""
        scores = with_batch(scores_gate(self.activation)(self._name, find(tensors, self._name)), 3)
        if scores.ndim != 3:
            raise wrong_shape(self._name, scores.shape, f"(B, {count}, {self.columns})")
        planar = is_planar(
            self._name,
            scores.shape[1:],
            boxes_count=count,
            columns=self.columns,
            layout=self._layout,
            background=self._background,
        )
        check_order(self._name, boxes_count=count, labels=self._labels)
        if planar and self.activation == SOFTMAX:  # which goes along rows
            return Scores(as_rows(scores)), ROWS
        return Scores(scores), planar

    def probabilities(self, scores: Floats, planar: Planar) -> Callable[[], Floats] | None:
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


class StandardDecoder(SizelessDecoder):
    """`standard_output`: decoded boxes, shared or per label, and a score per label."""

    sample = StandardOutput(boxes_tensor="decoded", scores_tensor="scores")

    def __init__(self, output: StandardOutput, decision: Decision) -> None:
        super().__init__(decision, output.boxes_tensor, output.scores_tensor)
        self.clips_first = output.clip == "before"
        self._format = BOX_FORMATS[output.box_format]
        self._scores = _Scores(
            output.scores_tensor, self._labels, output.background, output.score_activation, output.layout
        )

    def read(self, tensors: Mapping[str, Any], options: CallOptions) -> Candidates:
        boxes_name, scores_name = self.tensor_names
        boxes = with_batch(as_scanned(boxes_name, find(tensors, boxes_name)), 3)
        labels, columns = self._labels, self._scores.columns
        per_region = boxes.shape[2] if boxes.ndim == 4 else 1
        if boxes.ndim not in (3, 4) or boxes.shape[-1] != 4 or per_region not in (1, labels, columns):
            expected = " or ".join(f"(B, N, {count}, 4)" for count in dict.fromkeys((1, labels, columns)))
            raise wrong_shape(boxes_name, boxes.shape, f"(B, N, 4) or {expected}")
        batch, count = len(boxes), boxes.shape[1]
        scores, planar = self._scores.read(tensors, count)
        if len(scores) != batch:
            raise wrong_shape(
                scores_name, scores.shape, f"{batch} images, as the boxes {boxes_name!r} {boxes.shape} have"
            )
        is_shared = per_region == 1
        rows = boxes.reshape(batch, count * per_region, 4)
        # By position, as in `boxes_of_table`.
        head = ScoredBoxes(
            Scores(kernel_form(scores)), planar, self._scores.first, self._scores.activation,
            Boxes(kernel_form_beside(rows, scores)), _BOXES_IN_ROWS, self._format,
            RowsARegion(0 if is_shared else per_region),
            FirstRow(self._scores.first if per_region == columns else 0),
        )  # fmt: skip
        of_labels = self._scores.probabilities(scores, planar)
        return Candidates(batch, head, BoxesALabel(count), ONE_COLUMN, None, of_labels)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        return self._scores.examples(self.tensor_names[0])


class SsdDecoder(SizelessDecoder):
    """`ssd_output`: offsets from priors, and a score per label."""

    sample = SsdOutput(offsets_tensor="offsets", scores_tensor="scores", priors_tensor="priors")
    clips_first = True

    def __init__(self, output: SsdOutput, decision: Decision) -> None:
        names = output.offsets_tensor, output.scores_tensor, output.priors_tensor, output.landmarks_tensor
        super().__init__(decision, *names)
        self._output = output
        self._priors = None if output.priors is None else Anchors(np.array(output.priors, np.float32)[None])
        self._format = BOX_FORMATS[output.priors_format]
        self._scale = OffsetsScale(np.array(output.offsets_scale, np.float64))
        self._y_first = YFirst(output.offsets_order == "yxhw")
        self._linear_sizes = LinearSizes(output.size_coding == "linear")
        self._scores = _Scores(
            output.scores_tensor, self._labels, output.background, output.score_activation, output.layout
        )

    def read(self, tensors: Mapping[str, Any], options: CallOptions) -> Candidates:
        offsets_name, scores_name = self.tensor_names[:2]
        offsets = self._offsets_of(tensors)
        batch, count = len(offsets), offsets.shape[1]
        scores, planar = self._scores.read(tensors, count)
        if len(scores) != batch:
            raise wrong_shape(
                scores_name, scores.shape, f"{batch} images, as the offsets {offsets_name!r} have"
            )
        priors = self._priors_of(tensors, batch, count)
        head = Anchored(
            scores=Scores(kernel_form(scores)),
            planar=planar,
            first=self._scores.first,
            activation=self._scores.activation,
            anchors=priors,
            anchors_format=self._format,
            offsets=Offsets(kernel_form_beside(offsets, scores)),
            first_offsets=_SHARED_OFFSETS,
            scale=self._scale,
            y_first=self._y_first,
            linear_sizes=self._linear_sizes,
        )
        of_labels = self._scores.probabilities(scores, planar)
        extras = self._keypoints_of(tensors, offsets, priors)
        return Candidates(batch, head, BoxesALabel(count), extras=extras, scores=of_labels)

    def _offsets_of(self, tensors: Mapping[str, Any]) -> Floats:
        """Offsets (B, N, C)."""
        name, points = self._output.offsets_tensor, self._output.keypoints
        # Keypoints are read from float32.
        offsets = (as_scanned if points is None else as_float32)(name, find(tensors, name))
        if offsets.shape[2:] == (1, 4):
            offsets = offsets[:, :, 0]  # TensorFlow's (B, N, 1, 4)
        elif offsets.shape[1:] == (1, 4) and np.ndim(find(tensors, self._output.scores_tensor)) == 2:
            offsets = offsets[:, 0]  # likewise, of one image without its batch axis
        offsets = with_batch(offsets, 3)
        if points is not None and self._output.landmarks_tensor is None:
            if offsets.ndim != 3 or offsets.shape[2] != 4 + 2 * points:
                expected = f"(B, N, {4 + 2 * points}), from 4 + keypoints * 2, or a landmarks_tensor"
                raise wrong_shape(name, offsets.shape, expected)
        elif offsets.ndim != 3 or offsets.shape[2] < 4:
            raise wrong_shape(name, offsets.shape, "(B, N, 4), (B, N, 1, 4) or (B, N, 4 and more)")
        return offsets

    def _keypoints_of(self, tensors: Mapping[str, Any], offsets: Floats, priors: Anchors) -> Extras | None:
        """Return what adds the keypoints that an output has, in a tensor of their own or behind the boxes."""
        output = self._output
        if output.keypoints is None:
            return None
        landmarks, first = offsets, 4
        if (name := output.landmarks_tensor) is not None:
            landmarks, first = with_batch(as_float32(name, find(tensors, name)), 3), 0
            expected = (*offsets.shape[:2], 2 * output.keypoints)
            if landmarks.shape != expected:
                raise wrong_shape(name, landmarks.shape, f"{expected}, keypoints * 2 for each of the offsets")
        gather = partial(
            _gather_landmarks,
            *(Offsets(landmarks), first, output.keypoints, priors, self._format, self._scale, self._y_first),
        )
        return with_keypoints(gather, output.skeleton)

    def for_examples(self) -> Self:
        # Priors of the document are as many as those of the examples.
        decoder = copy.copy(self)
        if self._priors is not None:
            decoder._priors = Anchors(np.resize(self._priors, (1, self._scores.example_count, 4)))
        return decoder

    def _priors_of(self, tensors: Mapping[str, Any], batch: int, count: int) -> Anchors:
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
            # Caffe's; then its variances.
            return Anchors(np.ascontiguousarray(priors[:, 0].reshape(1, count, 4)))
        priors = with_batch(priors, 3)
        if priors.ndim != 3 or priors.shape[1:] != (count, 4) or len(priors) not in (1, batch):
            raise wrong_shape(
                name, priors.shape, f"({count}, 4), ({batch}, {count}, 4) or Caffe's (1, 2, {4 * count})"
            )
        return Anchors(priors)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        output = self._output
        examples = self._scores.examples(output.offsets_tensor)
        for tensors in examples:
            offsets = tensors[output.offsets_tensor]
            if output.priors_tensor is not None:
                tensors[output.priors_tensor] = offsets[0]
            if output.keypoints is not None:
                landmarks = np.zeros((*offsets.shape[:2], 2 * output.keypoints), np.float32)
                if output.landmarks_tensor is not None:
                    tensors[output.landmarks_tensor] = landmarks
                else:
                    tensors[output.offsets_tensor] = np.concatenate([offsets, landmarks], axis=2)
        return examples


def _gather_landmarks(
    landmarks: Offsets,
    first: int,
    points: int,
    priors: Anchors,
    priors_format: BoxFormat,
    scale: OffsetsScale,
    y_first: YFirst,
    found: Detections,
    placement: Placement,
    start: FirstImage,
) -> Floats:
    # Not at the top: every import of postproc would pay for what few documents need.
    from postproc.kernels.heads.keypoints import FirstPoint, Points, gather_landmarks_of_priors

    return gather_landmarks_of_priors(
        landmarks, FirstPoint(first), Points(points), priors, priors_format, scale, y_first,
        KeptRegions(found.regions), KeptOffsets(found.offsets), placement, start,
    )  # fmt: skip
