"""Instance masks of the boxes that were kept, whichever kind of output they are of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.decoding.base import Extras, Sizes, rows_of, with_batch
from postproc.errors import TensorError
from postproc.kernels.heads.arguments import (
    Boxes,
    BoxFormat,
    FirstImage,
    KeptOffsets,
    Placement,
    Planar,
    Table,
)
from postproc.results import Detections
from postproc.results.rows import images_of_rows
from postproc.tensors import as_float32, find, kernel_form, wrong_shape

if TYPE_CHECKING:
    from postproc.kernels.masks.gathering import InputSizes
    from postproc.results.pasted import PastedDetections
    from postproc.results.segmented import SegmentedDetections

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

# Pixels of the smallest input of a network: where masks are smaller, no size tells what they cover.
_LEAST_INPUT = 64
_WHOLE_INPUT = np.array([[1.0, 0.0], [1.0, 0.0]])


class BoxNumbers(NamedTuple):
    """Where the numbers of boxes are: a flat array, and of each detection the first and how far they go."""

    values: Floats
    firsts: Ints
    step: int
    box_format: BoxFormat


def boxes_of_a_table(
    table: Table, planar: Planar, box_format: BoxFormat, found: Detections, start: FirstImage
) -> BoxNumbers:
    """Give the boxes of detections in a table, whose first four columns they are."""
    row_step, column_step = (1, table.shape[2]) if planar else (table.shape[2], 1)
    images = images_of_rows(found.offsets) + start
    firsts = images * (table.shape[1] * table.shape[2]) + found.regions * row_step
    return BoxNumbers(table, firsts, column_step, box_format)


def boxes_of_rows(
    boxes: Boxes, box_format: BoxFormat, firsts: Ints, found: Detections, start: FirstImage
) -> BoxNumbers:
    """Give the boxes of detections in a list (R, 4), in which each image has a first row."""
    rows = firsts[start + images_of_rows(found.offsets)] + found.regions
    return BoxNumbers(boxes, rows * 4, 1, box_format)


def read_prototypes(name: str, tensors: Mapping[str, Any]) -> Floats:
    """Prototypes (B, M, h, w) of a call.

    Raises
    ------
    TensorError
        If they are missing, or have another shape.
    """
    prototypes = with_batch(as_float32(name, find(tensors, name)), 4)
    if prototypes.ndim != 4 or 0 in prototypes.shape[1:]:
        raise wrong_shape(name, prototypes.shape, "(B, M, h, w)")
    return prototypes


def with_prototypes(
    table: Table,
    planar: Planar,
    first: int,
    prototypes: Floats,
    found: Detections,
    placement: Placement,
    sizes: Sizes,
    start: FirstImage,
    firsts: Ints | None = None,
) -> SegmentedDetections:
    """Add the masks of prototypes, whose coefficients begin at a column of a table: see `rows_of`."""
    # Not at the top: every import of postproc would pay for what few documents need.
    from postproc.kernels.masks.gathering import CoefficientCount, FirstCoefficient, gather_coefficients
    from postproc.results.segmented import SegmentedDetections

    coefficients, frames = gather_coefficients(
        Table(kernel_form(table)),
        planar,
        FirstCoefficient(first),
        CoefficientCount(prototypes.shape[1]),
        rows_of(found, firsts, start),
        KeptOffsets(found.offsets),
        placement,
        _of_images(sizes, len(placement)),
        start,
    )
    return SegmentedDetections.from_detections(
        found,
        coefficients=coefficients,
        prototypes=tuple(prototypes[start : start + len(found)]),
        frames=frames,
    )


def leaving_out_empty(
    extras: Extras,
    boxes_of: Callable[[Detections, FirstImage], BoxNumbers],
    are_normalized: bool,
    pixels: NDArray[np.float64],
) -> Extras:
    """Make what adds masks, and leaves out detections whose mask has no pixel in the network's input.

    As ultralytics' predict does: ``construct_result`` of its SegmentationPredictor (8.4) looks at the masks
    in the input's size, cropped to the boxes that NMS gives, which are not clipped to the image.

    Parameters
    ----------
    extras : Extras
        Adds the masks.
    boxes_of : function
        Says where the boxes of detections are.
    are_normalized : bool
        Whether these are parts of the input, or in pixels of it.
    pixels : (1 or B, 2) float64
        Widths and heights of the input.
    """

    def add(found: Detections, placement: Placement, sizes: Sizes, start: FirstImage) -> Detections:
        from postproc.kernels.masks.cells import Frame, WholeBoxes
        from postproc.kernels.masks.drawing import find_masks
        from postproc.results.masked import MaskedDetections

        made = extras(found, placement, sizes, start)
        assert isinstance(made, MaskedDetections)
        inputs = np.broadcast_to(pixels[:, ::-1], (len(placement), 2))
        units = None if are_normalized else inputs
        inside, _, _ = _whole_boxes(boxes_of(found, start), found, placement, units, start)
        keep = np.empty(len(found.labels), np.bool_)
        for image, (begin, end) in enumerate(pairwise(found.offsets.tolist())):
            parts = made._mask_parts(image, slice(begin, end))
            parts = parts._replace(boxes=WholeBoxes(inside[begin:end]), frame=Frame(_WHOLE_INPUT))
            height, width = inputs[start + image]
            keep[begin:end] = find_masks(*parts, round(height), round(width))
        return made if keep.all() else made[keep]

    return add


class MasksOfRows(NamedTuple):
    """Masks as probabilities, beside boxes in rows: those of each image after those of the one before.

    Parameters
    ----------
    masks : (R, C, m, n) float32
    boxes : (R, 4) float32
        Those of the rows.
    box_format : BoxFormat
    order : (R,) int64 or None
        The mask of each row; that of its number if None.
    firsts, ends : (B,) int64
        Which rows each image has.
    cover_image : bool
    """

    masks: Floats
    boxes: Boxes
    box_format: BoxFormat
    order: Ints | None
    firsts: Ints
    ends: Ints
    cover_image: bool

    def check_size(self, name: str, sizes: Sizes) -> None:
        """Check that masks of boxes are none of the whole input.

        Raises
        ------
        TensorError
            If they are as large as it is.
        """
        side = self.masks.shape[2]
        if self.cover_image or sizes is None or side < _LEAST_INPUT:
            return
        if (np.asarray(sizes) == side).all():
            raise TensorError(
                f"tensor {name!r} has masks of {side} x {side}, the size of the network's input; expected "
                "smaller ones, to be pasted into boxes; if they cover the whole input, declare masks_cover: "
                '"image"'
            )

    def add(
        self, found: Detections, placement: Placement, sizes: Sizes, start: FirstImage
    ) -> PastedDetections:
        """Add their masks to detections: see `postproc.decoding.base.Extras`."""
        from postproc.results.pasted import PastedDetections

        channels = self.masks.shape[1]
        planes = self.masks.reshape(-1, *self.masks.shape[2:])
        boxes = boxes_of_rows(self.boxes, self.box_format, self.firsts, found, start)
        _, whole_boxes, frames = _whole_boxes(boxes, found, placement, sizes, start)
        images = range(start, start + len(found))
        if self.order is None:
            of_rows = found.regions
            probabilities = tuple(
                planes[self.firsts[image] * channels : self.ends[image] * channels] for image in images
            )
        else:
            of_rows = self.order[boxes.firsts // 4]
            probabilities = (planes,) * len(images)
        return PastedDetections.from_detections(
            found,
            whole_boxes=whole_boxes,
            planes=of_rows * channels + found.labels if channels > 1 else of_rows,
            probabilities=probabilities,
            covers_image=np.full(len(found), self.cover_image),
            frames=frames,
        )


def read_masks(
    name: str, tensors: Mapping[str, Any], rows: tuple[int, ...], labels: int, cover_image: bool
) -> Floats:
    """Masks (R, C, m, n) of rows (..., R), one of each or one for each label.

    Raises
    ------
    TensorError
        If they are missing, or of another shape.
    """
    masks = as_float32(name, find(tensors, name))
    lead = "".join(f"{side}, " for side in rows)
    given = masks.shape
    # Rows of one image may come without the batch axis.
    for axes in (rows, *(rows[at:] for at in range(1, len(rows)) if rows[:at] == (1,) * at)):
        if given[: len(axes)] != axes or len(given) - len(axes) not in (2, 3):
            continue
        channels = given[len(axes)] if len(given) - len(axes) == 3 else 1
        count = math.prod(axes)
        if channels not in (1, labels) or (count and 0 in given[-2:]):
            continue
        if not cover_image and given[-1] != given[-2]:
            raise TensorError(
                f"tensor {name!r} has shape {given}, masks of {given[-2]} x {given[-1]}; expected m x m, to "
                'be pasted into boxes; if they cover the whole input, declare masks_cover: "image"'
            )
        return masks.reshape(count, channels, *given[-2:])
    forms = dict.fromkeys((f"({lead}1, m, m)", f"({lead}{labels}, m, m)", f"({lead}m, m)"))
    raise wrong_shape(
        name, given, f"{' or '.join(forms)}, a mask for each row, or one for each of its labels"
    )


def _whole_boxes(
    boxes: BoxNumbers, found: Detections, placement: Placement, sizes: Sizes, start: FirstImage
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    from postproc.kernels.masks.gathering import FirstNumbers, Step, gather_whole_boxes

    return gather_whole_boxes(
        kernel_form(boxes.values.reshape(-1)),
        FirstNumbers(boxes.firsts),
        Step(boxes.step),
        boxes.box_format,
        KeptOffsets(found.offsets),
        placement,
        _of_images(sizes, len(placement)),
        start,
    )


def _of_images(sizes: Sizes, batch: int) -> InputSizes:
    from postproc.kernels.masks.gathering import InputSizes

    of_images = np.ones((batch, 2), np.float64)
    if sizes is not None:
        of_images[:] = sizes
    return InputSizes(of_images)
