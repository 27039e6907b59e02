"""Detections with instance masks, whatever these are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from postproc.errors import TensorError
from postproc.kernels.masks.cells import Coefficients, Frame, Grids, Kind, Planes, WholeBoxes
from postproc.kernels.masks.drawing import draw_masks
from postproc.kernels.masks.outlines import trace_masks
from postproc.kernels.masks.runs import encode_masks
from postproc.results.arguments import SizeLike, SizesLike, image_sizes, require_one_image
from postproc.results.detections import Detections

if TYPE_CHECKING:
    import supervision

_MOST_PIXELS = 1 << 33
_MOST_COUNTED = (1 << 32) - 1

Result = TypeVar("Result", bound="MaskedDetections")


class MaskParts(NamedTuple):
    """What the masks of an image's rows are made of, as `postproc.kernels.masks.cells` tells."""

    kind: Kind
    boxes: WholeBoxes
    coefficients: Coefficients
    planes: Planes
    grids: Grids
    frame: Frame


@dataclass(frozen=True, eq=False, slots=True)
class MaskedDetections(Detections):
    """Boxes with instance masks: what `SegmentedDetections` and `PastedDetections` have in common.

    Masks are computed when they are asked for, of these rows only: `masks`, `to_rle`, `mask_polygons` and
    what leaves in other forms.
    """

    @classmethod
    def concatenate(cls: type[Result], parts: Sequence[Result]) -> Result:
        """Join results of the same labels: the images of the first part, then those of the second, ...

        Raises
        ------
        TensorError
            If there are no parts.
        """
        joined = super(MaskedDetections, cls).concatenate(parts)
        of_images: dict[str, Any] = {}
        for name in cls._OF_IMAGES:
            values = [getattr(part, name) for part in parts]
            is_tuple = isinstance(values[0], tuple)
            of_images[name] = tuple(chain.from_iterable(values)) if is_tuple else np.concatenate(values)
        return replace(joined, **of_images)

    def _mask_parts(self, image: int, rows: slice) -> MaskParts:
        """Give what the masks of an image's rows are made of."""
        raise NotImplementedError

    def masks(self, size: SizeLike) -> NDArray[np.bool_]:
        """Masks of the boxes of one image.

        Values are interpolated between the centres of their cells, and cut at a probability of 0.5.

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
        # Memory that the system gives zeroed, where nothing is written for free.
        masks = np.zeros((len(self.labels), height, width), np.bool_)
        draw_masks(*self._mask_parts(0, slice(None)), masks)
        return masks

    def to_rle(self, sizes: SizesLike) -> list[dict[str, Any]]:
        """Masks as COCO's compressed run lengths, ``{"size": [height, width], "counts": text}`` each.

        They are the masks of `masks`, and what ``pycocotools.mask.decode`` takes; none is drawn for it.

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
            text, starts = encode_masks(*self._mask_parts(image, slice(start, stop)), height, width)
            letters, bounds = text.tobytes().decode("ascii"), starts.tolist()
            encoded += [
                {"size": [height, width], "counts": letters[begin:end]} for begin, end in pairwise(bounds)
            ]
        return encoded

    def mask_polygons(self) -> list[list[NDArray[np.float32]]]:
        """Outlines of the masks in the resolution of what they are made of: exact rings.

        Returns
        -------
        list of lists of (n, 2) float32
            Of each row its rings; x and y of their corners, relative to what boxes are relative to, clipped
            to it. As seen, a ring goes clockwise around a part of the mask and counterclockwise around a hole
            in it: fill them all by the even-odd rule.
        """
        outlines = []
        for image, (start, stop) in enumerate(self._ranges()):
            points, rings, starts = trace_masks(*self._mask_parts(image, slice(start, stop)))
            of_image = np.split(points, rings[1:-1])[: len(rings) - 1]
            bounds = starts.tolist()
            outlines += [of_image[begin:end] for begin, end in pairwise(bounds)]
        return outlines

    def _ranges(self) -> Iterator[tuple[int, int]]:
        """Rows of each image."""
        bounds = self.offsets.tolist()
        return pairwise(bounds)

    def _arrow_columns(self, sizes: NDArray[np.float64] | None) -> Iterator[tuple[str, Any]]:
        yield from super(MaskedDetections, self)._arrow_columns(sizes)
        yield "rings", self.mask_polygons()
        if sizes is not None:
            yield "mask", [mask["counts"] for mask in self.to_rle(sizes)]

    def _row_dicts(self) -> list[dict[str, Any]]:
        rows = super(MaskedDetections, self)._row_dicts()
        for row, rings in zip(rows, self.mask_polygons(), strict=True):
            row["roi"]["polygons"] = [[{"x": x, "y": y} for x, y in ring.tolist()] for ring in rings]
        return rows

    def _coco_columns(self, sizes: SizesLike) -> Iterator[tuple[str, list[Any]]]:
        yield "segmentation", self._predicted_rows().to_rle(sizes)

    def to_supervision(self, size: SizeLike) -> supervision.Detections:
        """`supervision.Detections` as of `Detections`, with the masks.

        Raises
        ------
        TensorError
            If these are the boxes of several images: index one first.
        """
        made = super(MaskedDetections, self).to_supervision(size)
        made.mask = self._predicted_rows().masks(size)
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
