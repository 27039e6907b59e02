"""`end_to_end_output`: finished detections, one per row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.call_options import CallOptions
from postproc.decoding.base import (
    BOX_FORMATS,
    NO_ACTIVATION,
    ONE_COLUMN,
    ROWS,
    UNIT,
    Candidates,
    Decoder,
    Extras,
    Sizes,
    check_order,
    pixel_sizes,
    whole_images,
    without_padding,
)
from postproc.decoding.class_rows import ClassRows
from postproc.decoding.decision import Decision
from postproc.decoding.keypoints import keypoints_of_table
from postproc.decoding.masks import (
    MasksOfRows,
    boxes_of_rows,
    leaving_out_empty,
    read_masks,
    read_prototypes,
    with_prototypes,
)
from postproc.decoding.yolov8_obb import with_corners
from postproc.errors import TensorError
from postproc.kernels.heads.arguments import (
    Boxes,
    BoxesALabel,
    FirstNumber,
    FirstScore,
    Scores,
    Table,
)
from postproc.kernels.heads.driver import Head
from postproc.kernels.heads.listed import BoxesOfTheirOwn, EndRows, FirstRows, Listed
from postproc.schema import EndToEndOutput
from postproc.tensors import as_array, as_contiguous, as_float32, as_ids, find, wrong_shape

# Rows may name any image. Where nothing says how many there are, one beyond this is a mistake.
_MOST_IMAGES = 1 << 16

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


class _Rows(NamedTuple):
    """Rows of a batch, and which of them each image has.

    The box, the score and the class of row r stand in row r of a table each, from a column of it on: often it
    is one table. What comes with a box begins in column `first` of `more` (R, C), if anything does.
    """

    numbers: Boxes
    first_number: FirstNumber
    scores: Scores
    first_score: FirstScore
    classes: NDArray[Any]
    class_column: int
    firsts: FirstRows
    ends: EndRows
    longest: int  # how many rows an image has at most
    axes: tuple[int, ...]  # of the tensors: what they have of rows
    order: Ints | None = None  # numbers of the rows in the tensors, where they are in another order
    more: Floats | None = None
    first: int = 0

    @property
    def boxes(self) -> Boxes:
        """Boxes (R, 4)."""
        return Boxes(np.ascontiguousarray(self.numbers[:, self.first_number : self.first_number + 4]))

    def listed(self) -> NDArray[np.bool_]:
        """Which rows are those of an image."""
        steps = np.zeros(len(self.scores) + 1, np.int64)
        np.add.at(steps, self.firsts, 1)
        np.add.at(steps, self.ends, -1)
        mask: NDArray[np.bool_] = np.cumsum(steps[:-1]) > 0
        return mask

    def are_above(self, threshold: np.float32) -> NDArray[np.bool_]:
        """Which rows are those of an image, and have a score above a threshold."""
        above: NDArray[np.bool_] = self.listed() & (self.scores[:, self.first_score] > threshold)
        return above

    def given_scores(self) -> Floats:
        """Scores of these rows, but for those that fill them up."""
        return without_padding(self.scores[self.listed(), self.first_score])

    def angles(self) -> Floats:
        """Angles of these rows (K,)."""
        assert self.more is not None
        of_rows: Floats = self.more[self.listed(), self.first]
        return of_rows


class _Read(NamedTuple):
    candidates: Candidates
    masks: MasksOfRows | None
    rows: _Rows

    @property
    def batch(self) -> int:
        return self.candidates.batch


class EndToEndDecoder(Decoder[_Read]):
    """`end_to_end_output`: a box, a score and a class per row, and what else it holds."""

    sample = EndToEndOutput(output_tensor="rows")

    def __init__(self, output: EndToEndOutput, decision: Decision) -> None:
        super().__init__(
            decision,
            *(output.output_tensor, output.boxes_tensor, output.scores_tensor, output.classes_tensor),
            *(output.count_tensor, output.keypoints_tensor, output.prototypes_tensor, output.masks_tensor),
        )
        self.example_size = (2, 2) if output.needs_input_size else None
        self._output = output
        self._format = BOX_FORMATS[output.box_format]
        class_name = output.classes_tensor or output.output_tensor or ""
        self._classes = ClassRows(class_name, decision.ids, output.classes)
        self._yields = output.yields
        self._more = next(
            (name for name in output.columns if name in ("angle", "keypoints", "coefficients")), ""
        )
        self._points = output.keypoints or 0, output.dimensions
        self._places = self._places_of(1)

    def read(self, tensors: Mapping[str, Any], options: CallOptions) -> _Read:
        name = self._output.prototypes_tensor
        prototypes = None if name is None else read_prototypes(name, tensors)
        if self._output.output_tensor is None:
            rows = self._separate(tensors)
        else:
            rows = self._packed(tensors, options, prototypes)
        check_order(self.tensor_names[0], boxes_count=rows.longest, labels=self._labels)
        if name is not None and prototypes is not None and len(prototypes) != len(rows.firsts):
            expected = f"({len(rows.firsts)}, M, h, w), as many images as {self.tensor_names[0]!r} has"
            raise wrong_shape(name, prototypes.shape, expected)
        listed = Listed(
            rows.scores,
            rows.first_score,
            ONE_COLUMN,
            *self._classes.of(rows.classes, rows.class_column),
            rows.firsts,
            rows.ends,
            NO_ACTIVATION,
            rows.numbers,
            rows.first_number,
            self._format,
            BoxesOfTheirOwn(False),
        )
        masks = self._masks(tensors, rows)
        extras: Extras | None = None if masks is None else masks.add
        head: Head = listed
        if self._yields == "oriented boxes":
            head, extras = _oriented(listed, rows, self._decision)
        elif rows.more is not None:
            extras = self._extras(rows, prototypes)
        angles = rows.angles if self._yields == "oriented boxes" else None
        # By position: keywords cost 0.3 us.
        candidates = Candidates(
            len(rows.firsts), head, BoxesALabel(rows.longest), ONE_COLUMN, extras, rows.given_scores, angles,
            partial(self._look_at_classes, rows),
        )  # fmt: skip
        return _Read(candidates, masks, rows)

    def bind(self, read: _Read, sizes: Sizes) -> Candidates:
        candidates, masks, rows = read
        if masks is not None:
            masks.check_size(self._output.masks_tensor or "", sizes)
        if self._output.keep_empty_masks or candidates.extras is None:
            return candidates
        pixels = pixel_sizes(self.tensor_names[0], sizes)
        boxes_of = partial(boxes_of_rows, rows.boxes, self._format, rows.firsts)
        return candidates._replace(extras=leaving_out_empty(candidates.extras, boxes_of, False, pixels))

    def examples(self) -> list[dict[str, NDArray[Any]]]:
        output = self._output
        _, width = self._places
        shapes = {
            output.output_tensor: (1, 1, width),
            output.boxes_tensor: (1, 1, 4),
            output.scores_tensor: (1, 1),
            output.keypoints_tensor: (1, 1, *self._points),
            output.prototypes_tensor: (1, 1, 1, 1),
            output.masks_tensor: (1, 1, 1, 1, 1),
        }
        tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes.items() if name is not None}
        if output.count_tensor is not None:
            tensors[output.count_tensor] = np.ones(1, np.int64)
        if output.classes_tensor is not None:
            tensors[output.classes_tensor] = np.zeros((1, 1), np.int64)
        return [tensors]

    def _look_at_classes(self, rows: _Rows) -> float | None:
        above = partial(rows.are_above, self._decision.thresholds.min())
        return self._classes.look(rows.classes, rows.class_column, above, rows.listed)

    def _masks(self, tensors: Mapping[str, Any], rows: _Rows) -> MasksOfRows | None:
        output = self._output
        if output.masks_tensor is None:
            return None
        cover_image = output.masks_cover == "image"
        masks = read_masks(output.masks_tensor, tensors, rows.axes, self._labels, cover_image)
        return MasksOfRows(
            masks, rows.boxes, self._format, rows.order, rows.firsts, rows.ends, cover_image,
        )  # fmt: skip

    def _extras(self, rows: _Rows, prototypes: NDArray[np.float32] | None) -> Extras:
        """Make what adds keypoints, or masks, to boxes."""
        assert rows.more is not None
        table = Table(rows.more[:, None])
        if prototypes is not None:
            return partial(with_prototypes, table, ROWS, rows.first, prototypes, firsts=rows.firsts)
        points = *self._points, self._output.skeleton
        return keypoints_of_table(table, ROWS, rows.first, *points, firsts=rows.firsts)

    def _separate(self, tensors: Mapping[str, Any]) -> _Rows:
        boxes_name, scores_name, classes_name = self.tensor_names[:3]
        boxes = as_float32(boxes_name, find(tensors, boxes_name))
        scores = as_float32(scores_name, find(tensors, scores_name))
        classes = self._classes.read(find(tensors, classes_name))
        if boxes.ndim not in (2, 3) or boxes.shape[-1] != 4:
            raise wrong_shape(boxes_name, boxes.shape, "(B, N, 4), or (N, 4): one image")
        for name, array in ((scores_name, scores), (classes_name, classes)):
            if array.shape != boxes.shape[:-1]:
                raise wrong_shape(
                    name, array.shape, f"{boxes.shape[:-1]}, one per box of {boxes_name!r} {boxes.shape}"
                )
        batch, count = boxes.shape[:2] if boxes.ndim == 3 else (1, len(boxes))
        firsts, ends, longest = self._first_rows(tensors, batch, count)
        return _Rows(
            Boxes(boxes.reshape(batch * count, 4)), FirstNumber(0),
            Scores(scores.reshape(-1, 1)), FirstScore(0),
            np.ascontiguousarray(classes).reshape(-1, 1), 0,
            firsts, ends, longest,
            boxes.shape[:-1], None, self._keypoints_apart(tensors, boxes.shape),
        )  # fmt: skip

    def _packed(
        self, tensors: Mapping[str, Any], options: CallOptions, prototypes: NDArray[np.float32] | None
    ) -> _Rows:
        name = self.tensor_names[0]
        table = as_contiguous(name, as_array(name, find(tensors, name)))
        starts, width = self._places if prototypes is None else self._places_of(prototypes.shape[1])
        names_images, order = "image" in starts, None
        fits = table.ndim in (2, 3) and table.shape[-1] == width
        if names_images:
            fits = table.ndim in (2, 3, 4) and table.shape[-1] == width and set(table.shape[:-2]) <= {1}
        if not fits:
            expected = f"(B, N, {width}) or (N, {width})"
            if names_images:
                expected = f"(M, {width}), (1, M, {width}) or (1, 1, M, {width})"
            columns = ", ".join(self._output.columns)
            takes = "box takes four"
            if "keypoints" in starts:
                takes += f", keypoints {math.prod(self._points)}"
            if prototypes is not None:
                takes += f", coefficients {prototypes.shape[1]}"
            raise wrong_shape(name, table.shape, f"{expected}, the columns {columns}, of which {takes}")
        rows = table.reshape(-1, width)
        classes = self._classes_apart(tensors, table.shape)
        more = self._keypoints_apart(tensors, table.shape)
        if names_images:
            named = as_ids(name, rows[:, starts["image"]]).copy()  # as of `_counts`
            order, firsts, ends = self._by_image(named, options, prototypes)
            rows = rows[order]
            classes, more = (apart if apart is None else apart[order] for apart in (classes, more))
        elif table.ndim == 3:
            firsts, ends, longest = self._first_rows(tensors, *table.shape[:2])
        elif self._output.count_tensor is None:
            firsts, ends, longest = self._first_rows(tensors, 1, len(rows))
        else:
            ends = EndRows(np.cumsum(self._counts(tensors, len(rows))))
            firsts = FirstRows(np.concatenate([[0], ends[:-1]])[: len(ends)].astype(np.int64))
            if len(ends) and ends[-1] > len(rows):
                raise TensorError(
                    f"tensor {self._output.count_tensor!r} counts {ends[-1]} rows in all; {name!r} has "
                    f"{len(rows)}"
                )
        if table.ndim == 2 or names_images:
            longest = int((ends - firsts).max(initial=0))
        numbers = as_float32(name, rows)
        class_column = 0
        if classes is None and rows.dtype.kind not in "iu":
            self._classes.check(rows.dtype)
        if classes is None and rows.dtype.itemsize <= numbers.itemsize:
            classes, class_column = numbers, starts["class"]
        elif classes is None:
            classes = as_ids(name, rows[:, starts["class"]]).reshape(-1, 1)
        return _Rows(
            Boxes(numbers), FirstNumber(starts["box"]),
            Scores(numbers), FirstScore(starts["score"]),
            classes, class_column,
            firsts, ends, longest,
            table.shape[:-1], order, numbers if self._more else more, starts.get(self._more, 0),
        )  # fmt: skip

    def _places_of(self, coefficients: int) -> tuple[dict[str, int], int]:
        """Give the first column of what rows hold, by its name, and how many columns there are."""
        widths = {"box": 4, "keypoints": math.prod(self._points), "coefficients": coefficients}
        starts, width = {}, 0
        for column in self._output.columns:
            starts[str(column)] = width
            width += widths.get(column, 1)
        return starts, width

    def _classes_apart(self, tensors: Mapping[str, Any], shape: tuple[int, ...]) -> NDArray[Any] | None:
        """Classes (R,) beside a table of such a shape, if they are in a tensor of their own."""
        name = self._output.classes_tensor
        if name is None:
            return None
        classes = self._classes.read(find(tensors, name))
        if classes.shape != shape[:-1]:
            raise wrong_shape(
                name, classes.shape, f"{shape[:-1]}, one per row of {self.tensor_names[0]!r} {shape}"
            )
        return classes.reshape(-1, 1)

    def _keypoints_apart(self, tensors: Mapping[str, Any], shape: tuple[int, ...]) -> Floats | None:
        """Keypoints (R, P * D) beside a table of such a shape, if they are in a tensor of their own."""
        name = self._output.keypoints_tensor
        if name is None:
            return None
        keypoints = as_float32(name, find(tensors, name))
        expected = (*shape[:-1], *self._points)
        if keypoints.shape != expected:
            beside = f"the keypoints of each row of {self.tensor_names[0]!r} {shape}"
            raise wrong_shape(name, keypoints.shape, f"{expected}, {beside}")
        return keypoints.reshape(-1, math.prod(self._points))

    def _by_image(
        self, named: NDArray[Any], options: CallOptions, prototypes: NDArray[np.float32] | None
    ) -> tuple[Ints, FirstRows, EndRows]:
        """Rows in the order of their images, and which of them each image has."""
        name = self.tensor_names[0]
        listed = np.flatnonzero(named == -1)
        if len(listed):
            named = named[: listed[0]]
        batch, said = (
            options.images,
            "batch_size" if options.transforms is None else "the number of transforms",
        )
        if batch is None and prototypes is not None:
            batch, said = len(prototypes), f"the images of {self._output.prototypes_tensor!r}"
        most = _MOST_IMAGES if batch is None else batch
        wrong = ~((named >= 0) & (named < most) & (named == np.trunc(named)))
        if wrong.any():
            row = int(np.argmax(wrong))
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

    def _first_rows(
        self, tensors: Mapping[str, Any], batch: int, count: int
    ) -> tuple[FirstRows, EndRows, int]:
        """Which rows each image of `count` has, and how many at most: all, or the first, as a tensor says."""
        firsts, ends = whole_images(batch, count)
        if self._output.count_tensor is None:
            return firsts, ends, count
        counts = self._counts(tensors, count)
        if len(counts) != batch:
            raise wrong_shape(self._output.count_tensor, (len(counts),), f"({batch},) or ({batch}, 1)")
        return firsts, EndRows(firsts + counts), int(counts.max(initial=0))

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


def _oriented(listed: Listed, rows: _Rows, decision: Decision) -> tuple[Head, Extras]:
    """Make the head of a list whose boxes are turned, and what adds their corners."""
    # Not at the top: every import of postproc would pay for what few documents need.
    from postproc.kernels.heads.listed_oriented import ListedOriented
    from postproc.kernels.heads.oriented import AngleColumn, FastSuppression, Probiou, Scales

    assert rows.more is not None
    angles = rows.more[:, rows.first : rows.first + 1]
    table = Table(np.concatenate([rows.boxes, angles], axis=1)[:, None])
    rectangles = table, ROWS, AngleColumn(4), Scales(UNIT)
    head = ListedOriented(
        *listed[:11], *rectangles, Probiou(decision.probiou), FastSuppression(decision.fast)
    )
    return head, partial(with_corners, *rectangles, firsts=rows.firsts)
