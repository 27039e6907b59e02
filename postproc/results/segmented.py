"""Detections with instance masks from prototypes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from postproc.kernels.masks.cells import (
    PROTOTYPES,
    Coefficients,
    Frame,
    Grids,
    Planes,
    WholeBoxes,
)
from postproc.results.masked import MaskedDetections, MaskParts


@dataclass(frozen=True, eq=False, slots=True)
class SegmentedDetections(MaskedDetections):
    """Boxes with instance masks of a batch of images; see `Classifications` for order and indexing.

    A mask is where the sum of prototypes times coefficients is above 0 (a sigmoid above 0.5), interpolated
    between the centres of their cells first, and cropped to the box last: ultralytics'
    ``process_mask_native`` in one step. `mask_polygons` are in the resolution of the prototypes.

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

    _OF_IMAGES: ClassVar[tuple[str, ...]] = (*MaskedDetections._OF_IMAGES, "prototypes", "frames")

    coefficients: NDArray[np.float32]
    prototypes: tuple[NDArray[np.float32], ...]
    frames: NDArray[np.float64]

    def _mask_parts(self, image: int, rows: slice) -> MaskParts:
        boxes = self.boxes[rows].astype(np.float64)
        return MaskParts(
            PROTOTYPES,
            WholeBoxes(boxes),
            Coefficients(self.coefficients[rows]),
            Planes(np.zeros(len(boxes), np.int64)),
            Grids(self.prototypes[image]),
            Frame(self.frames[image]),
        )
