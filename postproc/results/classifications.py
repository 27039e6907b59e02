"""Labels of a batch of images, as arrays; dicts and Arrow tables on request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from postproc.results.arguments import SizesLike, as_index, require_parts, row_numbers
from postproc.results.labels import LabelTable

if TYPE_CHECKING:
    import os

    import pyarrow

Result = TypeVar("Result", bound="Classifications")


def _no_images() -> NDArray[np.bool_]:
    return np.empty(0, np.bool_)


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

    Examples
    --------
    >>> from postproc import Classification, PostProcessor
    >>> output = Classification(output_tensor="scores")
    >>> post = PostProcessor.for_classification(["cat", "dog"], output, thresholds=0.5)
    >>> found = post({"scores": [[0.75, 0.25], [0.875, 0.625]]}).outputs[0]
    >>> found.label_names, found.offsets.tolist()
    (['cat', 'cat', 'dog'], [0, 1, 3])
    >>> found[1].scores.tolist(), found[found.labels == 0].scores.tolist()
    ([0.875, 0.625], [0.75, 0.875])
    """

    _OF_IMAGES: ClassVar[tuple[str, ...]] = ("is_cut",)
    """Fields that hold a value an image, and not one a row."""
    _OF_ALL: ClassVar[tuple[str, ...]] = ("table",)
    """Fields that hold one value for all images."""

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
        mask = as_index(index)
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

    def _predicted_rows(self: Result) -> Result:
        if np.count_nonzero(self.predicted) == len(self.predicted):  # most often
            return self
        return self._rows(self.predicted)

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
        others = ("offsets", *cls._OF_IMAGES, *cls._OF_ALL)
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
        numbers = row_numbers(rows, len(self.labels))
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
        require_parts(parts)
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
        sizes: SizesLike | None = None,
        *,
        discarded: bool = False,
    ) -> pyarrow.Table:
        """Give an Arrow table, a row a detection; see `postproc.exports.arrow.to_arrow`."""
        from postproc.results.arrow import arrow_table

        return arrow_table((self,), images, sizes, discarded=discarded)

    def _arrow_columns(self, sizes: NDArray[np.float64] | None) -> Iterator[tuple[str, Any]]:
        """Columns of an Arrow table that are made of this result alone, and of the images' sizes if known."""
        yield "label_id", self.label_ids
        yield "score", self.scores
        yield "threshold", self.thresholds
        yield "predicted", self.predicted

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
