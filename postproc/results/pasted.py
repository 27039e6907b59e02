"""Detections with instance masks that are given as probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from postproc.kernels.masks.cells import (
    IN_BOX,
    IN_IMAGE,
    Coefficients,
    Frame,
    Grids,
    Planes,
    WholeBoxes,
)
from postproc.results.masked import MaskedDetections, MaskParts


@dataclass(frozen=True, eq=False, slots=True)
class PastedDetections(MaskedDetections):
    """Boxes with instance masks of a batch of images; see `Classifications` for order and indexing.

    A mask is where its probability is above 0.5. Probabilities of a box are pasted into it as
    ``paste_masks_in_image`` of torchvision does it; those that cover the network's input are interpolated
    between the centres of their cells, and not cropped. `mask_polygons` are in the resolution of the
    probabilities.

    Masks are computed when they are asked for, of these rows only: `masks`, `to_rle`, `mask_polygons` and
    what leaves in other forms. Until then the probabilities are the network's tensor itself, not a copy: ask
    before its memory is written to again.

    Parameters
    ----------
    whole_boxes : (K, 4) float64
        `boxes` as the network gives them: not clipped, and not rounded.
    planes : (K,) int64
        Which of its image's probabilities are those of each row.
    probabilities : tuple of (P, m, n) float32
        Those of each image.
    covers_image : (B,) bool
        Whether the probabilities of an image cover the network's input, or each its box.
    frames : (B, 2, 2) float64
        For x and for y of each image, factor and offset from the coordinates of boxes to parts of the
        network's input.
    """

    _OF_IMAGES: ClassVar[tuple[str, ...]] = (
        *MaskedDetections._OF_IMAGES,
        *("probabilities", "covers_image", "frames"),
    )

    whole_boxes: NDArray[np.float64]
    planes: NDArray[np.int64]
    probabilities: tuple[NDArray[np.float32], ...]
    covers_image: NDArray[np.bool_]
    frames: NDArray[np.float64]

    def _mask_parts(self, image: int, rows: slice) -> MaskParts:
        planes = self.planes[rows]
        return MaskParts(
            IN_IMAGE if self.covers_image[image] else IN_BOX,
            WholeBoxes(self.whole_boxes[rows]),
            Coefficients(np.empty((len(planes), 0), np.float32)),
            Planes(planes),
            Grids(self.probabilities[image]),
            Frame(self.frames[image]),
        )
