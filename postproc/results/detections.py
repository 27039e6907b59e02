"""Boxes of a batch of images, as arrays; pixels, COCO and supervision objects on request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from postproc.errors import TensorError
from postproc.results.arguments import SizeLike, SizesLike, image_sizes, require_one_image
from postproc.results.arguments import image_ids as checked_image_ids
from postproc.results.classifications import Classifications
from postproc.results.rows import images_of_rows

if TYPE_CHECKING:
    import supervision

_OF_CORNERS = np.array([0, 1, 0, 1])
_MOST_PADDED = 1 << 28  # rows of all images, which take 28 bytes each

Result = TypeVar("Result", bound="Detections")


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

    Examples
    --------
    >>> import numpy as np
    >>> from postproc import DirectOutput, PostProcessor
    >>> output = DirectOutput(boxes_tensor="boxes", scores_tensor="scores", classes_tensor="classes")
    >>> post = PostProcessor.for_detection(["cat", "dog"], output, thresholds=0.5)
    >>> boxes = np.array([[[0, 0, 0.5, 0.5], [0.5, 0.25, 1, 1]]], np.float32)
    >>> found = post({"boxes": boxes, "scores": [[0.75, 0.875]], "classes": [[0, 1]]}).outputs[0]
    >>> found.label_names, found.regions.tolist()
    (['dog', 'cat'], [1, 0])
    >>> found.to_pixels((100, 200), rounded=True).tolist()  # height, width
    [[100, 25, 200, 100], [0, 0, 100, 50]]
    >>> found.to_coco([139], (100, 200))[0]
    {'image_id': 139, 'category_id': 1, 'bbox': [100.0, 25.0, 100.0, 75.0], 'score': 0.875}
    >>> found.padded(3).scores.tolist()
    [[0.875, 0.75, 0.0]]
    """

    boxes: NDArray[np.float32]
    regions: NDArray[np.int64]

    @classmethod
    def from_detections(cls: type[Result], detections: Detections, **columns: Any) -> Result:
        """Give detections the columns that this kind has besides theirs; what else they have is left out."""
        return cls(*_arguments(detections), is_cut=detections.is_cut, **columns)

    def _arrow_columns(self, sizes: NDArray[np.float64] | None) -> Iterator[tuple[str, Any]]:
        yield from super(Detections, self)._arrow_columns(sizes)
        yield "region", self.regions
        yield from zip(("xmin", "ymin", "xmax", "ymax"), self.boxes.T, strict=True)
        if sizes is not None:
            yield from zip(("left", "top", "right", "bottom"), self.to_pixels(sizes).T, strict=True)

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
    def to_pixels(self, sizes: SizesLike, rounded: Literal[False] = False) -> NDArray[np.float32]: ...

    @overload
    def to_pixels(self, sizes: SizesLike, rounded: Literal[True]) -> NDArray[np.int64]: ...

    def to_pixels(self, sizes: SizesLike, rounded: bool = False) -> NDArray[np.float32] | NDArray[np.int64]:
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
        pixels = self.boxes * self._widths_and_heights(sizes).take(_OF_CORNERS, axis=1)
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
        found = self._predicted_rows()
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

    def _widths_and_heights(self, sizes: SizesLike) -> NDArray[np.float64]:
        """Width and height of the image of each row, (K, 2), or (1, 2) of all."""
        given = image_sizes(sizes, len(self))
        if given.ndim == 1:
            return given[np.newaxis, ::-1]
        return np.repeat(given[:, ::-1], np.diff(self.offsets), axis=0)

    def to_coco(self, image_ids: Sequence[int], sizes: SizesLike) -> list[dict[str, Any]]:
        """COCO results of the predicted boxes: one dict a box, in pixels, ``[x, y, width, height]``.

        Keypoints are its ``keypoints``, ``[x, y, v, ...]`` in pixels, where v is the point's score, or 1
        where the network gives none; its ``segmentation`` is the mask, as of `to_rle`, or has the corners of
        an oriented box.

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
        ids = checked_image_ids(image_ids, len(self))
        pixels = self.to_pixels(sizes).astype(np.float64)
        corners_and_sizes = np.hstack([pixels[:, :2], pixels[:, 2:] - pixels[:, :2]]).tolist()
        images = images_of_rows(self.offsets).tolist()
        columns = (images, self.label_ids.tolist(), corners_and_sizes, self.scores.tolist())
        results = [
            {"image_id": ids[image], "category_id": label_id, "bbox": box, "score": score}
            for image, label_id, box, score, predicted in zip(*columns, self.predicted.tolist(), strict=True)
            if predicted
        ]
        for name, values in self._coco_columns(sizes):
            for result, value in zip(results, values, strict=True):
                result[name] = value
        return results

    def _coco_columns(self, sizes: SizesLike) -> Iterator[tuple[str, list[Any]]]:
        """Give what COCO results have of the predicted rows beside boxes, by its name there."""
        yield from ()

    def to_supervision(self, size: SizeLike) -> supervision.Detections:
        """`supervision.Detections` of the predicted boxes of one image, in pixels of `size` (height, width).

        ``class_id`` holds label ids, ``data["class_name"]`` their names.

        Raises
        ------
        TensorError
            If these are the boxes of several images: index one first.
        """
        require_one_image(self, "to_supervision")
        import supervision

        found = self._predicted_rows()
        return supervision.Detections(
            xyxy=found.to_pixels(size),
            confidence=found.scores,
            class_id=found.label_ids,
            data={"class_name": found.table.name_array[found.labels].astype(str, copy=False)},
        )


_arguments = attrgetter(*[field.name for field in fields(Detections) if not field.kw_only])


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
