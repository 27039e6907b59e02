"""What detections and objects have besides their upright boxes: masks, keypoints, oriented boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

KINDS = ("masks", "keypoints", "oriented boxes")


@dataclass(frozen=True, eq=False, slots=True)
class Shapes:
    """What N detections or objects have besides their upright boxes.

    Parameters
    ----------
    masks : (N,) object
        COCO's ``segmentation`` of each, polygons or RLE; None where there is none.
    keypoints : (N, P, 3) float64
        x and y in pixels, and COCO's visibility, 0 for a point that is not there. P is 0 where nothing has
        any; where labels have different numbers of points, the last ones of some are not there.
    rectangles : (N, 5) float64
        Centre, width and height in pixels, and the angle in radians that turns x towards y; NaN where there
        is none.
    """

    masks: NDArray[np.object_]
    keypoints: NDArray[np.float64]
    rectangles: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        count: int,
        masks: Sequence[Any] | None = None,
        keypoints: Sequence[Sequence[float]] | None = None,
        rectangles: NDArray[np.float64] | None = None,
    ) -> Shapes:
        """Gather what is known of so many: lists with an entry each, None or empty where there is nothing.

        Parameters
        ----------
        count : int
        masks : sequence, optional
        keypoints : sequence of sequence of float, optional
            COCO's lists ``[x, y, visibility, ...]``, of any lengths.
        rectangles : (N, 5) float64, optional
        """
        of_masks = np.full(count, None, np.object_)
        for row, mask in enumerate(masks or ()):
            of_masks[row] = mask or None
        points = max(map(len, keypoints or ()), default=0) // 3
        of_points = np.zeros((count, points, 3))
        for row, values in enumerate(keypoints or ()):
            of_points[row, : len(values) // 3] = np.reshape(values, (-1, 3))
        nothing = np.full((count, 5), np.nan)
        return cls(of_masks, of_points, nothing if rectangles is None else rectangles)

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, rows: slice | NDArray[Any]) -> Shapes:
        return Shapes(self.masks[rows], self.keypoints[rows], self.rectangles[rows])

    def has(self, kind: str) -> NDArray[np.bool_]:
        """Which have a mask, a keypoint that is there, or an oriented box, (N,); by a name of `KINDS`."""
        if kind == "masks":
            return np.array([mask is not None for mask in self.masks], np.bool_)
        if kind == "keypoints":
            return np.asarray((self.keypoints[..., 2] > 0).any(axis=1))
        return np.asarray(~np.isnan(self.rectangles).any(axis=1))

    def counts(self) -> dict[str, int]:
        """How many have each kind, without kinds that none has."""
        found = {kind: int(self.has(kind).sum()) for kind in KINDS}
        return {kind: count for kind, count in found.items() if count}
