"""Results as arrays over the whole batch; dicts, COCO and supervision objects on request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from postproc.errors import TensorError
from postproc.tensors import as_numbers

if TYPE_CHECKING:
    import os

    import pyarrow
    import supervision

Size = Sequence[int]  # height, width
_LONGEST_SIDE = 2**31
_FURTHEST = float(np.finfo(np.float32).max)
_MOST_PADDED = 1 << 28  # rows of all images, which take 28 bytes each
Result = TypeVar("Result", bound="Classifications")


def _no_images() -> NDArray[np.bool_]:
    return np.empty(0, np.bool_)


@dataclass(frozen=True, eq=False, slots=True)
class LabelTable:
    """The labels that rows of results refer to.

    Parameters
    ----------
    ids : (L,) int64
    names : tuple of str
    thresholds : tuple of float
    """

    ids: NDArray[np.int64]
    names: tuple[str, ...]
    thresholds: tuple[float, ...]

    def replaced(self, thresholds: float | tuple[float, ...] | None) -> LabelTable:
        """Return the labels with other thresholds, if there are any: one for all, or one per label."""
        if thresholds is None:
            return self
        each = thresholds if isinstance(thresholds, tuple) else (thresholds,) * len(self.names)
        return LabelTable(self.ids, self.names, tuple(map(float, each)))


@dataclass(frozen=True, eq=False, slots=True)
class Classifications:
    """Labels of a batch of images, image after image.

    An image's rows are in the order of the result: predicted before discarded, each by descending score.
    ``result[i]`` is image i, ``result[i:j]`` images i to j, and ``result[mask]`` the rows where a (K,) bool
    mask holds, all images kept; ``len(result)`` counts images.

    Parameters
    ----------
    scores : (K,) float32
    labels : (K,) int64
        Rows of the spec's labels; `label_ids` has their ids.
    predicted : (K,) bool
        Whether the score is above the threshold of its label; a discarded candidate otherwise.
    offsets : (B + 1,) int64
        The rows of image i are ``offsets[i]`` to ``offsets[i + 1]``.
    table : LabelTable
        Ids, names and thresholds of all labels.
    is_cut : (B,) bool
        Whether a larger `max_predictions` would have given an image more rows. Rows that are left out of a
        result later, by a mask or by `take`, do not count. Left out: false for all.
    """

    _OF_IMAGES: ClassVar[tuple[str, ...]] = ("is_cut",)
    """Fields that hold a value an image, and not one a row."""

    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    predicted: NDArray[np.bool_]
    offsets: NDArray[np.int64]
    table: LabelTable
    is_cut: NDArray[np.bool_] = field(kw_only=True, default_factory=_no_images)

    def __post_init__(self) -> None:
        if not len(self.is_cut):
            object.__setattr__(self, "is_cut", np.zeros(len(self), np.bool_))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self: Result, index: int | slice | NDArray[np.bool_]) -> Result:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                raise IndexError(f"images are taken in order, with a step of 1; got a step of {step}")
            return self._images(start, max(start, stop))
        mask = _index(index)
        if mask.dtype == np.bool_ and mask.ndim == 1:
            return self._rows(mask)
        if mask.ndim or mask.dtype.kind not in "iu":
            raise IndexError(
                "index with an image number, a slice of images or a bool mask of shape "
                f"({len(self.labels)},); got {mask.dtype} of shape {mask.shape}"
            )
        image = int(mask)
        if not -len(self) <= image < len(self):
            raise IndexError(f"image {image} is out of range: the batch has {len(self)}")
        return self._images(image % len(self), image % len(self) + 1)

    def _images(self: Result, start: int, stop: int) -> Result:
        rows = slice(self.offsets[start], self.offsets[stop])
        of_images = {name: getattr(self, name)[start:stop] for name in self._OF_IMAGES}
        return self._with(rows, self.offsets[start : stop + 1] - self.offsets[start], **of_images)

    def _rows(self: Result, mask: NDArray[np.bool_]) -> Result:
        if len(mask) != len(self.labels):
            raise IndexError(f"a mask needs one bool per row, {len(self.labels)}; got {len(mask)}")
        before = np.concatenate([[0], np.cumsum(mask)])
        return self._with(mask, before[self.offsets].astype(np.int64))

    def _with(
        self: Result,
        rows: slice | NDArray[np.bool_] | NDArray[np.int64],
        offsets: NDArray[np.int64],
        **of_images: Any,
    ) -> Result:
        columns: dict[str, Any] = {name: getattr(self, name)[rows] for name in self._columns()}
        return replace(self, **columns, **of_images, offsets=offsets)

    @classmethod
    def _columns(cls) -> list[str]:
        others = ("offsets", "table", *cls._OF_IMAGES)
        return [field.name for field in fields(cls) if field.name not in others]

    def take(self: Result, rows: Sequence[int] | NDArray[np.integer[Any]]) -> Result:
        """Rows by their numbers, such as those that a tracker or an NMS of your own kept.

        Rows stay grouped by image, in the given order within one; all images are kept. A row that is given
        twice is there twice. `is_cut` stays as it is.

        Parameters
        ----------
        rows : (N,) int
            Numbers of rows; negative ones count from the end, as NumPy's do.

        Raises
        ------
        IndexError
            If a number is out of range, or these are no row numbers.
        """
        numbers = _row_numbers(rows, len(self.labels))
        images = np.searchsorted(self.offsets, numbers, side="right") - 1
        counts = np.bincount(images, minlength=len(self))
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return self._with(numbers[np.argsort(images, kind="stable")], offsets)

    @classmethod
    def concatenate(cls: type[Result], parts: Sequence[Result]) -> Result:
        """Join results of the same labels: the images of the first part, then those of the second, ...

        Raises
        ------
        TensorError
            If there are no parts.
        """
        _require_parts(parts)
        ends = np.cumsum([0, *(part.offsets[-1] for part in parts)])
        offsets = [part.offsets[1:] + start for part, start in zip(parts, ends, strict=False)]
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in (*cls._columns(), "is_cut")
        }
        return replace(parts[0], **columns, offsets=np.concatenate([[0], *offsets]).astype(np.int64))

    @property
    def label_ids(self) -> NDArray[np.int64]:
        """Label id of each row, (K,) int64."""
        return self.table.ids[self.labels]

    @property
    def label_names(self) -> list[str]:
        """Label name of each row."""
        return [self.table.names[label] for label in self.labels.tolist()]

    @property
    def thresholds(self) -> NDArray[np.float32]:
        """Threshold that the score of each row was compared with, (K,) float32."""
        return np.asarray(self.table.thresholds, np.float32)[self.labels]

    def to_dicts(self) -> list[dict[str, list[dict[str, Any]]]]:
        """v0.7's ``labels`` object of each image: lists ``predicted`` and ``discarded``, ready for JSON."""
        rows = self._row_dicts()
        predicted = self.predicted.tolist()
        images = []
        start = 0
        for end in self.offsets[1:].tolist():
            of_image: dict[str, list[dict[str, Any]]] = {"predicted": [], "discarded": []}
            for row in range(start, end):  # in any order, after `take`
                of_image["predicted" if predicted[row] else "discarded"].append(rows[row])
            images.append(of_image)
            start = end
        return images

    def to_arrow(
        self,
        images: Sequence[str | os.PathLike[str]] | Sequence[int] | None = None,
        sizes: Size | Sequence[Size] | NDArray[Any] | None = None,
        *,
        discarded: bool = False,
    ) -> pyarrow.Table:
        """Give an Arrow table, a row a detection; see `postproc.exports.arrow.to_arrow`."""
        from postproc.exports.arrow import to_arrow

        return to_arrow(self, images, sizes, discarded=discarded)

    def _row_dicts(self) -> list[dict[str, Any]]:
        ids, names, thresholds = self.table.ids.tolist(), self.table.names, self.table.thresholds
        return [
            {
                "label_id": ids[label],
                "label_name": names[label],
                "score": score,
                "threshold": thresholds[label],
            }
            for label, score in zip(self.labels.tolist(), self.scores.tolist(), strict=True)
        ]


@dataclass(frozen=True, eq=False, slots=True)
class Detections(Classifications):
    """Boxes of a batch of images, image after image; see `Classifications` for order and indexing.

    Parameters
    ----------
    boxes : (K, 4) float32
        xmin, ymin, xmax, ymax in [0, 1], origin top left, relative to the network's input, or to the original
        image where transforms were given.
    regions : (K,) int64
        Row of the network's proposal, anchor, cell or query that each box came from.
    """

    boxes: NDArray[np.float32]
    regions: NDArray[np.int64]

    def _row_dicts(self) -> list[dict[str, Any]]:
        rows = super(Detections, self)._row_dicts()
        boxes, regions = self.boxes.tolist(), self.regions.tolist()
        start = 0
        for end in self.offsets[1:].tolist():
            numbers: dict[int, int] = {}
            for index in range(start, end):
                xmin, ymin, xmax, ymax = boxes[index]
                rows[index]["roi"] = {
                    "region_id": numbers.setdefault(regions[index], len(numbers) + 1),
                    "bbox": {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax},
                }
            start = end
        return rows

    @overload
    def to_pixels(
        self, sizes: Size | Sequence[Size] | NDArray[Any], rounded: Literal[False] = False
    ) -> NDArray[np.float32]: ...

    @overload
    def to_pixels(
        self, sizes: Size | Sequence[Size] | NDArray[Any], rounded: Literal[True]
    ) -> NDArray[np.int64]: ...

    def to_pixels(
        self, sizes: Size | Sequence[Size] | NDArray[Any], rounded: bool = False
    ) -> NDArray[np.float32] | NDArray[np.int64]:
        """Boxes in pixels.

        Parameters
        ----------
        sizes : (2,) or (B, 2)
            Height and width of all images, or of each.
        rounded : bool
            To the nearest whole pixel, halves up: what crops and drawings take. A corner that was whole
            before it came to [0, 1] comes back exactly; ``int()`` and ``astype(int)`` would make some a pixel
            less, since float32 holds them a little low.

        Returns
        -------
        (K, 4) float32, or int64 if rounded, xyxy

        Raises
        ------
        TensorError
            If there is not one size, or one per image.
        """
        pixels = self.boxes * self._widths_and_heights(sizes)[:, [0, 1, 0, 1]]
        return np.floor(pixels + 0.5).astype(np.int64) if rounded else pixels.astype(np.float32)

    def padded(self, most: int) -> PaddedDetections:
        """Predicted boxes in arrays of a fixed shape, for hosts that need one.

        Parameters
        ----------
        most : int
            Rows of each image. Those that do not fit, the last ones, are left out.

        Raises
        ------
        TensorError
            If `most` is not a whole number of 0 or more, or the arrays would take more than 7 GiB.
        """
        if isinstance(most, bool) or not isinstance(most, (int, np.integer)) or most < 0:
            raise TensorError(f"most must be an integer of 0 or more; got {most!r}")
        if len(self) * int(most) > _MOST_PADDED:
            raise TensorError(f"{most} rows of {len(self)} images are more than {_MOST_PADDED}")
        found = self[self.predicted]
        counts = np.diff(found.offsets)
        images = images_of_rows(found.offsets)
        places = np.arange(len(images)) - found.offsets[images]
        fits = places < most
        images, places = images[fits], places[fits]
        boxes = np.zeros((len(self), most, 4), np.float32)
        scores = np.zeros((len(self), most), np.float32)
        labels = np.full((len(self), most), -1, np.int64)
        boxes[images, places] = found.boxes[fits]
        scores[images, places] = found.scores[fits]
        labels[images, places] = found.label_ids[fits]
        return PaddedDetections(
            boxes, scores, labels, np.minimum(counts, most), self.is_cut | (counts > most)
        )

    def _widths_and_heights(self, sizes: Size | Sequence[Size] | NDArray[Any]) -> NDArray[np.float64]:
        """Width and height (K, 2) of the image of each row."""
        per_image = np.broadcast_to(image_sizes(sizes, len(self)), (len(self), 2))[:, ::-1]
        return np.repeat(per_image, np.diff(self.offsets), axis=0)

    def to_coco(self, image_ids: Sequence[int], sizes: Size | Sequence[Size]) -> list[dict[str, Any]]:
        """COCO results of the predicted boxes: one dict a box, in pixels, ``[x, y, width, height]``.

        Parameters
        ----------
        image_ids : sequence of int
            COCO's id of each image.
        sizes : (2,) or (B, 2)
            Height and width of all images, or of each.

        Raises
        ------
        TensorError
            If the image ids or the sizes do not match the images.
        """
        ids = _image_ids(image_ids, len(self))
        pixels = self.to_pixels(sizes).astype(np.float64)
        corners_and_sizes = np.hstack([pixels[:, :2], pixels[:, 2:] - pixels[:, :2]]).tolist()
        images = images_of_rows(self.offsets).tolist()
        columns = (images, self.label_ids.tolist(), corners_and_sizes, self.scores.tolist())
        return [
            {"image_id": ids[image], "category_id": label_id, "bbox": box, "score": score}
            for image, label_id, box, score, predicted in zip(*columns, self.predicted.tolist(), strict=True)
            if predicted
        ]

    def to_supervision(self, size: Size) -> supervision.Detections:
        """`supervision.Detections` of the predicted boxes of one image, in pixels of `size` (height, width).

        ``class_id`` holds label ids, ``data["class_name"]`` their names.

        Raises
        ------
        TensorError
            If these are the boxes of several images: index one first.
        """
        require_one_image(self, "to_supervision")
        import supervision

        found = self[self.predicted]
        return supervision.Detections(
            xyxy=found.to_pixels(size),
            confidence=found.scores,
            class_id=found.label_ids,
            data={"class_name": np.array(found.label_names, dtype=str)},
        )


class PaddedDetections(NamedTuple):
    """Predicted boxes of a batch in arrays of a fixed shape, as `Detections.padded` gives them.

    Parameters
    ----------
    boxes : (B, most, 4) float32
        As of `Detections`; zeros where there is no row.
    scores : (B, most) float32
        Zeros where there is no row.
    labels : (B, most) int64
        Label ids; -1 where there is no row.
    count : (B,) int64
        How many rows each image has, the first ones.
    is_cut : (B,) bool
        Whether an image had more, here or already in the result that was padded.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    count: NDArray[np.int64]  # type: ignore[assignment]  # tuples have a method of that name
    is_cut: NDArray[np.bool_]


@dataclass(frozen=True, eq=False, slots=True)
class Recognitions:
    """All results of a batch: one `Detections` or `Classifications` per output of the spec.

    ``len(batch)`` counts images; ``batch[i]`` and ``batch[i:j]`` are the results of those images.
    """

    outputs: tuple[Detections | Classifications, ...]

    def __len__(self) -> int:
        return len(self.outputs[0])

    def __getitem__(self, index: int | slice) -> Recognitions:
        return Recognitions(tuple(output[index] for output in self.outputs))

    def to_dicts(self) -> list[dict[str, Any]]:
        """v0.7's result of each image, ready for JSON."""
        images = zip(*(output.to_dicts() for output in self.outputs), strict=True)
        return [{"outputs": [{"labels": labels} for labels in image]} for image in images]

    def to_arrow(
        self,
        images: Sequence[str | os.PathLike[str]] | Sequence[int] | None = None,
        sizes: Size | Sequence[Size] | NDArray[Any] | None = None,
        *,
        discarded: bool = False,
    ) -> pyarrow.Table:
        """Give an Arrow table, a row a detection; see `postproc.exports.arrow.to_arrow`.

        ``.to_pandas()`` and ``polars.from_arrow`` make data frames of it.
        """
        from postproc.exports.arrow import to_arrow

        return to_arrow(self, images, sizes, discarded=discarded)

    @classmethod
    def concatenate(cls, parts: Sequence[Recognitions]) -> Recognitions:
        """Join the results of several batches of the same spec.

        Raises
        ------
        TensorError
            If there are no parts.
        """
        _require_parts(parts)
        outputs = zip(*(part.outputs for part in parts), strict=True)
        return cls(tuple(type(output[0]).concatenate(output) for output in outputs))


def require_one_image(found: Classifications, method: str) -> None:
    """Check that results are those of one image, which the method takes.

    Raises
    ------
    TensorError
        If they are of none, or of several.
    """
    if len(found) != 1:
        raise TensorError(f"{method} takes one image, as of detections[i]; these are {len(found)}")


def images_of_rows(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the number of the image of each row, (K,), from the offsets of the images, (B + 1,)."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def image_sizes(sizes: Any, images: int) -> NDArray[np.float64]:
    """Height and width of all images (2,), or of each (images, 2).

    Raises
    ------
    TensorError
        If they have another shape, or are not positive, or beyond every image.
    """
    expected = f"sizes must be [height, width] or one such pair per image, {(images, 2)}"
    try:
        array = as_numbers(sizes)
    except (TypeError, ValueError, OverflowError) as error:
        raise TensorError(f"{expected}; found {type(sizes).__name__}: {error}") from None
    if array.shape not in ((2,), (images, 2)):
        raise TensorError(f"{expected}; found shape {array.shape}")
    if not ((array > 0) & (array < _LONGEST_SIDE)).all():
        raise TensorError(f"sizes must be positive and below {_LONGEST_SIDE}; found {array.tolist()}")
    return array


def as_finite(numbers: NDArray[np.float64]) -> NDArray[np.float32]:
    """Give numbers as float32, those beyond its range as the furthest it has: JSON knows no infinity."""
    return np.clip(numbers, -_FURTHEST, _FURTHEST).astype(np.float32)


def _image_ids(image_ids: Any, images: int) -> list[Any]:
    """Plain numbers, which JSON takes."""
    try:
        ids = np.asarray(image_ids)
    except ValueError:
        ids = np.empty(())
    if ids.ndim != 1:
        raise TensorError(f"image ids must be a sequence of integers; got {type(image_ids).__name__}")
    if len(ids) != images:
        raise TensorError(f"expected one image id per image, {images}; got {len(ids)}")
    numbers: list[Any] = ids.tolist()
    return numbers


def _index(index: Any) -> NDArray[Any]:
    try:
        array = np.asarray(index)
    except ValueError as error:
        raise IndexError(f"an index must be an image number, a slice of images or a mask; {error}") from None
    if isinstance(index, np.ma.MaskedArray) and np.ma.is_masked(index):
        raise IndexError("masked elements of an index are neither true nor false; fill them in")
    return array


def _row_numbers(rows: Any, count: int) -> NDArray[np.int64]:
    """Row numbers from 0 of those given, which may count from the end."""
    try:
        array = np.asarray(rows)
    except ValueError as error:
        raise IndexError(f"take needs row numbers, (N,) integers; {error}") from None
    if array.shape == (0,):
        return np.empty(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        advice = "; index with a mask instead: detections[mask]" if array.dtype == np.bool_ else ""
        raise IndexError(
            f"take needs row numbers, (N,) integers; got {array.dtype} of shape {array.shape}{advice}"
        )
    outside = (array < -count) | (array >= count)
    if outside.any():
        raise IndexError(f"row {array[outside][0]} is out of range: there are {count}")
    numbers = array.astype(np.int64)
    return np.where(numbers < 0, numbers + count, numbers)


def _require_parts(parts: Sequence[object]) -> None:
    if not parts:
        raise TensorError("concatenate needs one part at least: without one the labels are unknown")
