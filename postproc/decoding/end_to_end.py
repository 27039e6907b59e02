"""`end_to_end_output`: finished detections, one per row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import (
    BOX_FORMATS,
    NO_ACTIVATION,
    Candidates,
    SizelessDecoder,
    check_order,
    without_padding,
)
from postproc.decoding.class_rows import ClassRows
from postproc.decoding.decision import Decision
from postproc.errors import TensorError
from postproc.kernels.heads.arguments import Boxes, BoxesALabel, Scores
from postproc.kernels.heads.listed import BoxesOfTheirOwn, EndRows, FirstRows, LabelRows, Listed
from postproc.schema import EndToEndOutput
from postproc.tensors import as_array, as_contiguous, as_float32, as_ids, find, wrong_shape

# Rows may name any image. Where nothing says how many there are, one beyond this is a mistake.
_MOST_IMAGES = 1 << 16

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


class _Rows(NamedTuple):
    """Rows of a batch: boxes (R, 4), scores (R,), classes (R,), and which of them each image has."""

    boxes: Boxes
    scores: Scores
    classes: NDArray[Any]
    firsts: FirstRows
    ends: EndRows


class EndToEndDecoder(SizelessDecoder):
    """`end_to_end_output`: a box, a score and a class per row."""

    sample = EndToEndOutput(output_tensor="rows")

    def __init__(self, output: EndToEndOutput, decision: Decision) -> None:
        super().__init__(
            decision,
            *(output.output_tensor, output.boxes_tensor, output.scores_tensor, output.classes_tensor),
            output.count_tensor,
        )
        self._output = output
        self._format = BOX_FORMATS[output.box_format]
        class_name = output.output_tensor or output.classes_tensor or ""
        self._classes = ClassRows(class_name, decision.ids, output.classes)

    def read(self, tensors: Mapping[str, Any], options: CallOptions) -> Candidates:
        rows = (
            self._separate(tensors) if self._output.output_tensor is None else self._packed(tensors, options)
        )
        lengths = rows.ends - rows.firsts
        longest = int(lengths.max(initial=0))
        check_order(self.tensor_names[0], boxes_count=longest, labels=self._labels)

        def listed() -> NDArray[np.bool_]:
            # The rows that an image has.
            steps = np.zeros(len(rows.scores) + 1, np.int64)
            np.add.at(steps, rows.firsts, 1)
            np.add.at(steps, rows.ends, -1)
            mask: NDArray[np.bool_] = np.cumsum(steps[:-1]) > 0
            return mask

        labels = self._classes.of(
            rows.classes, lambda: listed() & (rows.scores > self._decision.thresholds.min())
        )
        head = Listed(
            Scores(rows.scores.reshape(-1, 1)),
            LabelRows(labels.reshape(-1, 1)),
            rows.firsts,
            rows.ends,
            NO_ACTIVATION,
            rows.boxes,
            self._format,
            BoxesOfTheirOwn(False),
        )
        return Candidates(
            len(rows.firsts),
            head,
            BoxesALabel(longest),
            scores=lambda: without_padding(rows.scores[listed()]),
        )

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        output = self._output
        counts = {} if output.count_tensor is None else {output.count_tensor: np.ones(1, np.int64)}
        if output.output_tensor is not None:
            width = sum(4 if name == "box" else 1 for name in output.columns)
            return [{output.output_tensor: np.zeros((1, 1, width), np.float32), **counts}]
        boxes, scores, classes = self.tensor_names[:3]
        return [
            {
                boxes: np.zeros((1, 1, 4), np.float32),
                scores: np.zeros((1, 1), np.float32),
                classes: np.zeros((1, 1), dtype),
                **counts,
            }
            for dtype in (np.int64, np.float64)
        ]

    def _separate(self, tensors: Mapping[str, Any]) -> _Rows:
        boxes_name, scores_name, classes_name = self.tensor_names[:3]
        boxes = as_float32(boxes_name, find(tensors, boxes_name))
        scores = as_float32(scores_name, find(tensors, scores_name))
        classes = as_ids(classes_name, find(tensors, classes_name))
        if boxes.ndim not in (2, 3) or boxes.shape[-1] != 4:
            raise wrong_shape(boxes_name, boxes.shape, "(B, N, 4), or (N, 4): one image")
        for name, array in ((scores_name, scores), (classes_name, classes)):
            if array.shape != boxes.shape[:-1]:
                raise wrong_shape(
                    name, array.shape, f"{boxes.shape[:-1]}, one per box of {boxes_name!r} {boxes.shape}"
                )
        batch, count = boxes.shape[:2] if boxes.ndim == 3 else (1, len(boxes))
        return _Rows(
            Boxes(boxes.reshape(batch * count, 4)),
            Scores(scores.reshape(-1)),
            np.ascontiguousarray(classes).reshape(-1),
            *self._first_rows(tensors, batch, count),
        )

    def _packed(self, tensors: Mapping[str, Any], options: CallOptions) -> _Rows:
        name = self.tensor_names[0]
        table = as_contiguous(name, as_array(name, find(tensors, name)))
        starts, width = {}, 0
        for column in self._output.columns:
            starts[column] = width
            width += 4 if column == "box" else 1
        names_images = "image" in starts
        if names_images:
            fits, expected = table.ndim in (2, 3, 4), f"(M, {width}), (1, M, {width}) or (1, 1, M, {width})"
            fits = fits and all(side == 1 for side in table.shape[:-2])
        else:
            fits, expected = table.ndim in (2, 3), f"(B, N, {width}) or (N, {width})"
        if not fits or table.shape[-1] != width:
            columns = ", ".join(self._output.columns)
            raise wrong_shape(
                name, table.shape, f"{expected}, the columns {columns}, of which box takes four"
            )
        rows = table.reshape(-1, width)
        if names_images:
            named = as_ids(name, rows[:, starts["image"]]).copy()  # as of `_counts`
            order, firsts, ends = self._by_image(named, options)
            rows = rows[order]
        elif table.ndim == 3:
            firsts, ends = self._first_rows(tensors, *table.shape[:2])
        elif self._output.count_tensor is None:
            firsts, ends = FirstRows(np.zeros(1, np.int64)), EndRows(np.array([len(rows)]))
        else:
            ends = EndRows(np.cumsum(self._counts(tensors, len(rows))))
            firsts = FirstRows(np.concatenate([[0], ends[:-1]])[: len(ends)].astype(np.int64))
            if len(ends) and ends[-1] > len(rows):
                raise TensorError(
                    f"tensor {self._output.count_tensor!r} counts {ends[-1]} rows in all; {name!r} has "
                    f"{len(rows)}"
                )
        numbers = as_float32(name, rows)
        return _Rows(
            Boxes(np.ascontiguousarray(numbers[:, starts["box"] : starts["box"] + 4])),
            Scores(np.ascontiguousarray(numbers[:, starts["score"]])),
            np.ascontiguousarray(as_ids(name, rows[:, starts["class"]])),
            firsts,
            ends,
        )

    def _by_image(self, named: NDArray[Any], options: CallOptions) -> tuple[Ints, FirstRows, EndRows]:
        """Rows in the order of their images, and which of them each image has."""
        name = self.tensor_names[0]
        listed = np.flatnonzero(named == -1)
        if len(listed):
            named = named[: listed[0]]
        batch = options.images
        most = _MOST_IMAGES if batch is None else batch
        wrong = ~((named >= 0) & (named < most) & (named == np.trunc(named)))
        if wrong.any():
            row = int(np.argmax(wrong))
            said = "batch_size" if options.transforms is None else "the number of transforms"
            advice = f"0 to {batch - 1} by {said}" if batch else f"none, since {said} is 0"
            if batch is None:
                advice = f"0 to {most - 1}; with more images, pass batch_size"
            raise TensorError(
                f"tensor {name!r}, row {row}: its image is {named[row]}; expected a whole number, {advice}, "
                "or -1 to end the list"
            )
        images = named.astype(np.int64)
        if batch is None:
            batch = int(images.max(initial=0)) + 1
        ends = np.cumsum(np.bincount(images, minlength=batch))
        firsts = FirstRows(np.concatenate([[0], ends[:-1]])[:batch])
        return np.argsort(images, kind="stable"), firsts, EndRows(ends)

    def _first_rows(self, tensors: Mapping[str, Any], batch: int, count: int) -> tuple[FirstRows, EndRows]:
        """Which rows each image of `count` has: all, or as many of the first ones as a tensor says."""
        firsts = np.arange(batch, dtype=np.int64) * count
        if self._output.count_tensor is None:
            return FirstRows(firsts), EndRows(firsts + count)
        counts = self._counts(tensors, count)
        if len(counts) != batch:
            raise wrong_shape(self._output.count_tensor, (len(counts),), f"({batch},) or ({batch}, 1)")
        return FirstRows(firsts), EndRows(firsts + counts)

    def _counts(self, tensors: Mapping[str, Any], most: int) -> Ints:
        name = self._output.count_tensor
        assert name is not None
        # A copy: another thread must not write to what has been checked.
        counts = as_ids(name, find(tensors, name)).copy()
        if counts.ndim not in (1, 2) or (counts.ndim == 2 and counts.shape[1] != 1):
            raise wrong_shape(name, counts.shape, "(B,) or (B, 1): how many rows each image has")
        wrong = ~((counts >= 0) & (counts <= most) & (counts == np.trunc(counts)))
        if wrong.any():
            raise TensorError(
                f"tensor {name!r} must hold how many rows each image has, whole numbers from 0 to {most}; "
                f"found {counts[wrong][0]}"
            )
        return counts.reshape(-1).astype(np.int64)
