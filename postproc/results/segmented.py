"""Detections with instance masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from postproc.errors import TensorError
from postproc.kernels.heads.masks import draw_masks, encode_masks, trace_masks
from postproc.results.arguments import SizeLike, SizesLike, image_sizes, require_one_image
from postproc.results.detections import Detections

if TYPE_CHECKING:
    import supervision

_MOST_PIXELS = 1 << 33
_MOST_COUNTED = (1 << 32) - 1


@dataclass(frozen=True, eq=False, slots=True)
class SegmentedDetections(Detections):
    """Boxes with instance masks of a batch of images; see `Classifications` for order and indexing.

    Masks are computed when they are asked for, of these rows only: `masks`, `to_rle`, `mask_polygons` and
    what leaves in other forms. Until then the prototypes are the network's tensor itself, not a copy: ask
    before its memory is written to again.

    Parameters
    ----------
    coefficients : (K, M) float32
        What the prototypes are multiplied by for each row.
    prototypes : tuple of (M, h, w) float32
        Those of each image.
    frames : (B, 2, 2) float64
        For x and for y of each image, factor and offset from the coordinates of boxes to parts of the
        network's input, which the prototypes cover.
    """

    _OF_IMAGES: ClassVar[tuple[str, ...]] = (*Detections._OF_IMAGES, "prototypes", "frames")

    coefficients: NDArray[np.float32]
    prototypes: tuple[NDArray[np.float32], ...]
    frames: NDArray[np.float64]

    @classmethod
    def concatenate(cls, parts: Sequence[SegmentedDetections]) -> SegmentedDetections:
        """Join results of the same labels: the images of the first part, then those of the second, ...

        Raises
        ------
        TensorError
            If there are no parts.
        """
        joined = super(SegmentedDetections, cls).concatenate(parts)
        prototypes = tuple(image for part in parts for image in part.prototypes)
        return replace(joined, prototypes=prototypes, frames=np.concatenate([part.frames for part in parts]))

    def masks(self, size: SizeLike) -> NDArray[np.bool_]:
        """Masks of the boxes of one image.

        The sums of prototypes times coefficients are interpolated between the centres of their cells, cut at
        0 (a sigmoid of 0.5), and cropped to the box: ultralytics' ``process_mask_native`` in one step.

        Parameters
        ----------
        size : (2,)
            Height and width of the masks, which cover what boxes are relative to: the original image if there
            were transforms, the network's input otherwise.

        Returns
        -------
        (K, height, width) bool

        Raises
        ------
        TensorError
            If these are the boxes of several images (index one first), the size is none, or the masks would
            take more than 8 GiB.
        """
        require_one_image(self, "masks")
        height, width = _whole(size)
        if len(self.labels) * height * width > _MOST_PIXELS:
            raise TensorError(
                f"{len(self.labels)} masks of {height} x {width} are more than {_MOST_PIXELS} pixels; ask "
                "for a smaller size, for fewer rows at a time, or to_rle"
            )
        return draw_masks(self.boxes, self.coefficients, self.prototypes[0], self.frames[0], height, width)

    def to_rle(self, sizes: SizesLike) -> list[dict[str, Any]]:
        """Masks as COCO's compressed run lengths, ``{"size": [height, width], "counts": text}`` each.

        They are the masks of `masks`, and what ``pycocotools.mask.decode`` takes; no more than one box of one
        mask is in memory at once.

        Parameters
        ----------
        sizes : (2,) or (B, 2)
            Height and width of the masks of all images, or of each.

        Raises
        ------
        TensorError
            If there is not one size, or one per image, or a size has more pixels than a run length of COCO's,
            of 32 bits, counts.
        """
        array = image_sizes(sizes, len(self))
        encoded = []
        for image, (start, stop) in enumerate(self._ranges()):
            height, width = _whole(array if array.ndim == 1 else array[image])
            if height * width > _MOST_COUNTED:
                raise TensorError(
                    f"a mask of {height} x {width} has more pixels than COCO's run lengths count, "
                    f"{_MOST_COUNTED}"
                )
            text, starts = encode_masks(
                self.boxes[start:stop],
                self.coefficients[start:stop],
                self.prototypes[image],
                self.frames[image],
                height,
                width,
            )
            letters, bounds = text.tobytes().decode("ascii"), starts.tolist()
            encoded += [
                {"size": [height, width], "counts": letters[begin:end]} for begin, end in pairwise(bounds)
            ]
        return encoded

    def mask_polygons(self) -> list[list[NDArray[np.float32]]]:
        """Outlines of the masks in the resolution of the prototypes, cropped to the boxes: exact rings.

        Returns
        -------
        list of lists of (n, 2) float32
            Of each row its rings; x and y of their corners, relative to what boxes are relative to, clipped
            to it. As seen, a ring goes clockwise around a part of the mask and counterclockwise around a hole
            in it: fill them all by the even-odd rule.
        """
        outlines = []
        for image, (start, stop) in enumerate(self._ranges()):
            points, rings, starts = trace_masks(
                self.boxes[start:stop],
                self.coefficients[start:stop],
                self.prototypes[image],
                self.frames[image],
            )
            of_image = np.split(points, rings[1:-1])[: len(rings) - 1]
            bounds = starts.tolist()
            outlines += [of_image[begin:end] for begin, end in pairwise(bounds)]
        return outlines

    def _ranges(self) -> Iterator[tuple[int, int]]:
        """Rows of each image."""
        bounds = self.offsets.tolist()
        return pairwise(bounds)

    def _arrow_columns(self, sizes: NDArray[np.float64] | None) -> Iterator[tuple[str, Any]]:
        yield from super(SegmentedDetections, self)._arrow_columns(sizes)
        yield "rings", self.mask_polygons()
        if sizes is not None:
            yield "mask", [mask["counts"] for mask in self.to_rle(sizes)]

    def _row_dicts(self) -> list[dict[str, Any]]:
        rows = super(SegmentedDetections, self)._row_dicts()
        for row, rings in zip(rows, self.mask_polygons(), strict=True):
            row["roi"]["polygons"] = [[{"x": x, "y": y} for x, y in ring.tolist()] for ring in rings]
        return rows

    def to_coco(self, image_ids: Sequence[int], sizes: SizesLike) -> list[dict[str, Any]]:
        """COCO results of the predicted boxes, as of `Detections`, with the mask as ``segmentation``.

        It is that of `to_rle`, in the image's size.

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
        results = super(SegmentedDetections, self).to_coco(image_ids, sizes)
        for result, mask in zip(results, self[self.predicted].to_rle(sizes), strict=True):
            result["segmentation"] = mask
        return results

    def to_supervision(self, size: SizeLike) -> supervision.Detections:
        """`supervision.Detections` as of `Detections`, with the masks.

        Raises
        ------
        TensorError
            If these are the boxes of several images: index one first.
        """
        made = super(SegmentedDetections, self).to_supervision(size)
        made.mask = self[self.predicted].masks(size)
        return made


def _whole(size: SizeLike | NDArray[Any]) -> tuple[int, int]:
    """Height and width as whole numbers."""
    try:
        numbers = np.asarray(size)
    except ValueError:
        numbers = np.empty(0)
    if (
        numbers.shape != (2,)
        or numbers.dtype.kind not in "iuf"
        or not (
            np.isfinite(numbers) & (numbers >= 1) & (numbers == np.floor(numbers)) & (numbers < 2**31)
        ).all()
    ):
        raise TensorError(f"a mask's size must be [height, width], whole and positive; got {size!r}")
    return int(numbers[0]), int(numbers[1])
