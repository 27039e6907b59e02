"""`direct_output`: decoded boxes, scores and classes."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from postproc.decoding.base import (
    ACTIVATIONS,
    BOX_FORMATS,
    Candidates,
    Decision,
    as_rows,
    check_order,
    is_planar,
)
from postproc.kernels import activation
from postproc.kernels.direct import detect_direct, rows_of_ids, rows_of_numbers
from postproc.schema import DirectOutput
from postproc.tensors import as_float32, as_ids, find, wrong_shape

logger = logging.getLogger(__name__)

# Ids that no label has are named in the log, each once, but not more of them than a person would read.
_MOST_UNKNOWN_IDS = 100


class DirectDecoder:
    """`direct_output`: decoded boxes, each with scores and the classes that they are of."""

    clips_first: ClassVar[bool] = False

    def __init__(self, output: DirectOutput, decision: Decision) -> None:
        self.tensor_names = (output.boxes_tensor, output.scores_tensor, output.classes_tensor)
        self._decision = decision
        self._output = output
        self._activation = ACTIVATIONS[output.score_activation]
        self._format = BOX_FORMATS[output.box_format]
        ids = decision.ids if output.classes == "ids" else np.arange(len(decision.ids))
        self._rows = np.argsort(ids, kind="stable")
        self._sorted_ids = ids[self._rows]
        self._unknown: set[str] = set()

    def bind(self, tensors: Mapping[str, Any]) -> Candidates:
        """Check the tensors of a call, and bind them to their kernels."""
        boxes_name, scores_name, classes_name = self.tensor_names
        corners = as_float32(boxes_name, find(tensors, boxes_name))
        scores = as_float32(scores_name, find(tensors, scores_name))
        classes = as_ids(classes_name, find(tensors, classes_name))
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
        if scores.ndim == 2:
            if self._activation == activation.SOFTMAX:
                raise wrong_shape(
                    scores_name, scores.shape, "(B, N, L), along whose last axis a softmax goes"
                )
            scores, classes = scores[:, :, None], classes[:, :, None]
        columns = scores.shape[2]
        check_order(scores_name, count * columns, len(self._decision.ids))

        arguments = (
            scores,
            self._label_rows(classes, scores),
            self._activation,
            corners.reshape(len(corners), math.prod(corners.shape[1:-1]), 4),
            self._format,
            1 if corners.ndim == 4 else columns,
            *self._decision.rule,
        )
        return Candidates(len(scores), detect_direct, arguments)

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        """Small tensors of one image, for every dtype of classes: to compile the kernels on."""
        boxes_name, scores, classes = self.tensor_names
        shape = (1, 1, 1) if self._activation == activation.SOFTMAX else (1, 1)
        table = {boxes_name: np.zeros((1, 1, 4), np.float32), scores: np.zeros(shape, np.float32)}
        return [{**table, classes: np.zeros(shape, dtype)} for dtype in (np.int64, np.float64)]

    def _are_planes(self, scores: NDArray[np.float32], corners: NDArray[np.float32]) -> bool:
        count = corners.shape[1]
        columns = corners.shape[2] if corners.ndim == 4 else sum(scores.shape[1:]) - count
        return is_planar(self.tensor_names[1], scores.shape[1:], count, columns, self._output.layout)

    def _label_rows(self, classes: NDArray[Any], scores: NDArray[np.float32]) -> NDArray[np.int64]:
        """Label row of each class; -1 where the spec has none, which is logged once for each class."""
        flat = np.ascontiguousarray(classes).reshape(-1)
        if flat.dtype == np.uint64:
            # Some are beyond every id. What they turn into is overwritten.
            rows, unknown = rows_of_ids(flat.astype(np.int64), self._sorted_ids, self._rows)
            rows[flat > np.iinfo(np.int64).max] = -1
            unknown = len(flat)
        elif flat.dtype == np.int64:
            rows, unknown = rows_of_ids(flat, self._sorted_ids, self._rows)
        else:
            rows, unknown = rows_of_numbers(flat, self._sorted_ids, self._rows)
        if unknown and len(self._unknown) < _MOST_UNKNOWN_IDS:
            skipped = rows < 0
            if self._activation == activation.NONE:
                # What scores too little anyway is padding, more often than not.
                skipped &= scores.reshape(-1) > self._decision.thresholds.min()
            self._log_unknown(np.unique(flat[skipped]).tolist())
        return rows.reshape(classes.shape)

    def _log_unknown(self, classes: list[int | float]) -> None:
        for value in classes[:_MOST_UNKNOWN_IDS]:
            text = str(value).removesuffix(".0")
            if text not in self._unknown:
                self._unknown.add(text)
                logger.warning(
                    "tensor %r holds the label %s %s, which the spec does not have: its boxes are skipped",
                    self.tensor_names[2],
                    "row" if self._output.classes == "rows" else "id",
                    text,
                )
