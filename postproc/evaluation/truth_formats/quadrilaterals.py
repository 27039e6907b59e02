"""Rectangles by four corners."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.measured_detections import rectangles_of


def rectangle_of(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre, width, height and angle of the rectangle that four corners stand for, which go around.

    Each side is the mean of two that lie opposite, so that corners which are rounded to pixels do no harm.

    Parameters
    ----------
    corners : (4, 2) float64
        In pixels.

    Returns
    -------
    (5,) float64
        As of `Shapes`; equal to `rectangles_of` where the corners are those of a rectangle.
    """
    centre = corners.mean(axis=0)
    across = (corners[1] - corners[2] + corners[0] - corners[3]) / 4
    along = (corners[0] - corners[1] + corners[3] - corners[2]) / 4
    straight = centre + np.stack([along + across, across - along, -along - across, along - across])
    rectangle: NDArray[np.float64] = rectangles_of(straight[np.newaxis])[0]
    return rectangle


def deviation(corners: NDArray[np.float64], rectangle: NDArray[np.float64]) -> float:
    """How far, in pixels, the farthest corner lies from the nearest one of the rectangle."""
    x, y, width, height, angle = rectangle
    across = np.array([np.cos(angle), np.sin(angle)]) * width / 2
    along = np.array([-np.sin(angle), np.cos(angle)]) * height / 2
    own = np.array([x, y]) + np.stack([along + across, across - along, -along - across, along - across])
    distances = np.hypot(*(corners[:, np.newaxis] - own).transpose(2, 0, 1))
    return float(distances.min(axis=1).max())
