"""Detections whose boxes are turned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from postproc.results.arguments import SizeLike, SizesLike
from postproc.results.detections import Detections
from postproc.results.rows import as_finite

if TYPE_CHECKING:
    import supervision


@dataclass(frozen=True, eq=False, slots=True)
class OrientedDetections(Detections):
    """Oriented boxes of a batch of images; see `Classifications` for order and indexing.

    `boxes` are the upright ones around them, clipped to the image.

    Parameters
    ----------
    polygons : (K, 4, 2) float32
        x and y of the corners, relative to what boxes are relative to, not clipped. They go around as
        ultralytics' do: lower right, upper right, upper left, lower left at an angle of 0; mirrored
        where the network gave a side below 0.
    angles : (K,) float32
        Radians that turn x towards y (clockwise as seen), as the network writes them: in its input, which is
        the image's angle unless the image was squashed.
    """

    polygons: NDArray[np.float32]
    angles: NDArray[np.float32]

    def _arrow_columns(self, sizes: NDArray[np.float64] | None) -> Iterator[tuple[str, Any]]:
        yield from super(OrientedDetections, self)._arrow_columns(sizes)
        yield "polygon", self.polygons
        yield "angle", self.angles

    def _row_dicts(self) -> list[dict[str, Any]]:
        rows = super(OrientedDetections, self)._row_dicts()
        for row, corners in zip(rows, self.polygons.tolist(), strict=True):
            row["roi"]["polygon"] = [{"x": x, "y": y} for x, y in corners]
        return rows

    def polygons_to_pixels(self, sizes: SizesLike) -> NDArray[np.float32]:
        """Corners in pixels.

        Parameters
        ----------
        sizes : (2,) or (B, 2)
            Height and width of all images, or of each.

        Returns
        -------
        (K, 4, 2) float32

        Raises
        ------
        TensorError
            If there is not one size, or one per image.
        """
        return as_finite(self.polygons * self._widths_and_heights(sizes)[:, np.newaxis])

    def _coco_columns(self, sizes: SizesLike) -> Iterator[tuple[str, list[Any]]]:
        corners = self.polygons_to_pixels(sizes).astype(np.float64).reshape(-1, 1, 8)
        yield "segmentation", corners[self.predicted].tolist()

    def to_supervision(self, size: SizeLike) -> supervision.Detections:
        """`supervision.Detections` as of `Detections`, with (K, 4, 2) ``data["xyxyxyxy"]`` in pixels.

        That is where supervision looks for the corners of oriented boxes.

        Raises
        ------
        TensorError
            If these are the boxes of several images: index one first.
        """
        made = super(OrientedDetections, self).to_supervision(size)
        made.data["xyxyxyxy"] = self._predicted_rows().polygons_to_pixels(size)
        return made
