"""`direct_output`: decoded boxes, scores and classes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import (
    ACTIVATIONS,
    BOX_FORMATS,
    NO_ACTIVATION,
    SOFTMAX,
    Candidates,
    SizelessDecoder,
    as_rows,
    check_order,
    is_planar,
    whole_images,
    without_padding,
)
from postproc.decoding.class_rows import ClassRows
from postproc.decoding.decision import Decision
from postproc.kernels.heads.arguments import (
    Boxes,
    BoxesALabel,
    BoxesARegion,
    FirstNumber,
    FirstScore,
    Scores,
)
from postproc.kernels.heads.listed import BoxesOfTheirOwn, Listed
from postproc.schema import DirectOutput
from postproc.tensors import as_float32, find, wrong_shape


class DirectDecoder(SizelessDecoder):
    """`direct_output`: decoded boxes, each with scores and the classes that they are of."""

    sample = DirectOutput(boxes_tensor="boxes", scores_tensor="scores", classes_tensor="classes")

    def __init__(self, output: DirectOutput, decision: Decision) -> None:
        super().__init__(decision, output.boxes_tensor, output.scores_tensor, output.classes_tensor)
        self._output = output
        self._activation = ACTIVATIONS[output.score_activation]
        self._format = BOX_FORMATS[output.box_format]
        self._classes = ClassRows(output.classes_tensor, decision.ids, output.classes)

    def read(self, tensors: Mapping[str, Any], options: CallOptions) -> Candidates:
        boxes_name, scores_name, classes_name = self.tensor_names
        corners = as_float32(boxes_name, find(tensors, boxes_name))
        scores = as_float32(scores_name, find(tensors, scores_name))
        classes = self._classes.read(find(tensors, classes_name))
        if classes.shape != scores.shape:
            raise wrong_shape(
                classes_name, classes.shape, f"{scores.shape}, as of the scores {scores_name!r}"
            )
        if corners.ndim == 2:
            # No batch axis: one image.
            corners, scores, classes = corners[None], scores[None], classes[None]
        expected = (
            "boxes (B, N, 4) with scores (B, N) or (B, N, L), or boxes (B, N, L, 4) with scores (B, N, L)"
        )
        if corners.ndim not in (3, 4) or corners.shape[-1] != 4:
            raise wrong_shape(boxes_name, corners.shape, expected)
        if scores.ndim not in (2, 3) or scores.shape[0] != corners.shape[0]:
            raise wrong_shape(scores_name, scores.shape, f"{expected}; the boxes are {corners.shape}")
        count = corners.shape[1]
        if scores.ndim == 3 and count in scores.shape[1:] and self._are_planes(scores, corners):
            scores, classes = as_rows(scores), np.swapaxes(classes, 1, 2)
        if scores.shape[1] != count or (corners.ndim == 4 and corners.shape[1:3] != scores.shape[1:]):
            raise wrong_shape(scores_name, scores.shape, f"{expected}; the boxes are {corners.shape}")
        if scores.ndim == 2 and self._activation == SOFTMAX:
            raise wrong_shape(scores_name, scores.shape, "(B, N, L), along whose last axis a softmax goes")
        columns = scores.shape[2] if scores.ndim == 3 else 1
        check_order(scores_name, boxes_count=count * columns, labels=self._labels)

        batch = len(scores)
        flat = scores.reshape(batch * count, columns)
        class_list = np.ascontiguousarray(classes).reshape(-1, 1)
        head = Listed(
            Scores(flat),
            FirstScore(0),
            BoxesARegion(columns),
            *self._classes.of(class_list, 0),
            *whole_images(batch, count),
            self._activation,
            Boxes(corners.reshape(-1, 4)),
            FirstNumber(0),
            self._format,
            BoxesOfTheirOwn(corners.ndim == 4),
        )
        listed = partial(without_padding, flat) if self._activation == NO_ACTIVATION else None
        look_at_classes = partial(self._look_at_classes, class_list, flat)
        # By position: keywords cost 0.3 us.
        return Candidates(
            batch, head, BoxesALabel(count * columns), BoxesARegion(columns), None, listed, None,
            look_at_classes,
        )  # fmt: skip

    def _look_at_classes(self, classes: NDArray[Any], scores: NDArray[np.float32]) -> float | None:
        # Where an activation is still to come, a score says nothing yet.
        least = self._decision.thresholds.min() if self._activation == NO_ACTIVATION else -np.inf
        return self._classes.look(classes, 0, lambda: scores.reshape(-1) > least)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        boxes_name, scores, classes = self.tensor_names
        shape = (1, 1, 1) if self._activation == SOFTMAX else (1, 1)
        boxes = np.zeros((1, 1, 4), np.float32)
        return [{boxes_name: boxes, scores: np.zeros(shape, np.float32), classes: np.zeros(shape, np.int64)}]

    def _are_planes(self, scores: NDArray[np.float32], corners: NDArray[np.float32]) -> bool:
        count = corners.shape[1]
        columns = corners.shape[2] if corners.ndim == 4 else sum(scores.shape[1:]) - count
        return is_planar(
            self.tensor_names[1],
            scores.shape[1:],
            boxes_count=count,
            columns=columns,
            layout=self._output.layout,
        )
