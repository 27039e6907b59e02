"""Detections as metrics take them, whatever they are of and whoever found them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.shapes import Shapes
from postproc.results import Detections
from postproc.results.arguments import SizesLike
from postproc.results.keypoints import KeypointDetections
from postproc.results.masked import MaskedDetections
from postproc.results.oriented import OrientedDetections


@dataclass(frozen=True, eq=False, slots=True)
class MeasuredDetections(Detections):
    """Detections whose masks, keypoints and oriented boxes are in pixels of their images, as columns.

    No tensor of a network is held, and what others found has the same form.

    Parameters
    ----------
    masks, keypoints, rectangles
        As of `Shapes`, one a row.
    """

    masks: NDArray[np.object_]
    keypoints: NDArray[np.float64]
    rectangles: NDArray[np.float64]

    @property
    def shapes(self) -> Shapes:
        """What they have besides their upright boxes."""
        return Shapes(self.masks, self.keypoints, self.rectangles)

    @classmethod
    def of(cls, detections: Detections, sizes: SizesLike) -> MeasuredDetections:
        """Give detections of any kind this form.

        Parameters
        ----------
        detections : Detections
        sizes : (2,) or (B, 2)
            Height and width of all images, or of each.
        """
        if isinstance(detections, cls):
            return detections
        count = len(detections.scores)
        shapes = Shapes.of(count)
        if isinstance(detections, MaskedDetections):
            shapes = Shapes.of(count, masks=detections.to_rle(sizes))
        elif isinstance(detections, KeypointDetections):
            points = detections.keypoints_to_pixels(sizes).astype(np.float64)
            shapes = Shapes(shapes.masks, _shown(points), shapes.rectangles)
        elif isinstance(detections, OrientedDetections):
            corners = detections.polygons_to_pixels(sizes).astype(np.float64)
            shapes = Shapes.of(count, rectangles=rectangles_of(corners))
        return cls.from_detections(
            detections, masks=shapes.masks, keypoints=shapes.keypoints, rectangles=shapes.rectangles
        )


def rectangles_of(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre, width, height and angle of rectangles by their corners, which go around.

    Parameters
    ----------
    corners : (N, 4, 2) float64

    Returns
    -------
    (N, 5) float64
        The first side is the height: at an angle of 0 the corners are as `OrientedDetections` has them.
    """
    across, along = corners[:, 1] - corners[:, 2], corners[:, 0] - corners[:, 1]
    sides = [np.hypot(*across.T), np.hypot(*along.T)]
    return np.column_stack([corners.mean(axis=1), *sides, np.arctan2(across[:, 1], across[:, 0])])


def corners_of(rectangles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners (N, 4, 2) of rectangles (N, 5), in the order in which `rectangles_of` takes them."""
    cos, sin = np.cos(rectangles[:, 4]), np.sin(rectangles[:, 4])
    a = rectangles[:, 2:3] / 2 * np.column_stack([cos, sin])
    b = rectangles[:, 3:4] / 2 * np.column_stack([-sin, cos])
    centres = rectangles[:, :2]
    return np.stack([centres + a + b, centres + a - b, centres - a - b, centres - a + b], axis=1)


def _shown(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mark every point as there: metrics take those of detections whatever their scores."""
    return np.concatenate([points[..., :2], np.ones((*points.shape[:2], 1))], axis=2)
