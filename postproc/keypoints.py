"""Detections with keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from postproc.results import Detections, Size, as_finite

if TYPE_CHECKING:
    import supervision


@dataclass(frozen=True, eq=False, slots=True)
class KeypointDetections(Detections):
    """Boxes with keypoints of a batch of images; see `Classifications` for order and indexing.

    Parameters
    ----------
    keypoints : (K, P, D) float32
        The P points of each row: x and y relative to what boxes are relative to, and if D is 3 the
        probability that the point is visible. A point may lie outside of the image (ultralytics clips them:
        ``np.clip(keypoints[..., :2], 0, 1)``). One that has a number which is not finite is all zeros.
    """

    keypoints: NDArray[np.float32]

    def _row_dicts(self) -> list[dict[str, Any]]:
        rows = super(KeypointDetections, self)._row_dicts()
        names = ("x", "y", "score")[: self.keypoints.shape[2]]
        for row, points in zip(rows, self.keypoints.tolist(), strict=True):
            row["roi"]["keypoints"] = [dict(zip(names, point, strict=True)) for point in points]
        return rows

    def keypoints_to_pixels(self, sizes: Size | Sequence[Size] | NDArray[Any]) -> NDArray[np.float32]:
        """Keypoints in pixels.

        Parameters
        ----------
        sizes : (2,) or (B, 2)
            Height and width of all images, or of each.

        Returns
        -------
        (K, P, D) float32
            x and y in pixels; scores as they are.

        Raises
        ------
        TensorError
            If there is not one size, or one per image.
        """
        pixels = self.keypoints.copy()
        pixels[:, :, :2] = as_finite(
            self.keypoints[:, :, :2] * self._widths_and_heights(sizes)[:, np.newaxis]
        )
        return pixels

    def to_coco(self, image_ids: Sequence[int], sizes: Size | Sequence[Size]) -> list[dict[str, Any]]:
        """COCO results of the predicted boxes, as of `Detections`, with ``keypoints`` ``[x, y, v, ...]``.

        They are in pixels; v is the point's score, or 1 where the network gives none.

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
        results = super(KeypointDetections, self).to_coco(image_ids, sizes)
        points = np.ones((len(self.keypoints), self.keypoints.shape[1], 3), np.float64)
        points[:, :, : self.keypoints.shape[2]] = self.keypoints_to_pixels(sizes)
        flat = points.reshape(len(points), 3 * points.shape[1])[self.predicted].tolist()
        for result, numbers in zip(results, flat, strict=True):
            result["keypoints"] = numbers
        return results

    def to_supervision(self, size: Size) -> supervision.Detections:
        """`supervision.Detections` as of `Detections`, with (K, P, D) ``data["keypoints"]`` in pixels.

        Raises
        ------
        TensorError
            If these are the boxes of several images: index one first.
        """
        made = super(KeypointDetections, self).to_supervision(size)
        made.data["keypoints"] = self[self.predicted].keypoints_to_pixels(size)
        return made
