"""Detections that somebody's file holds, in the form that metrics take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.measured_detections import MeasuredDetections


@dataclass(frozen=True, eq=False, slots=True)
class FoundDetections(MeasuredDetections):
    """Detections of a file, whose boxes and scores are what the file writes, to the last digit.

    Their `scores` are float64, so that those that differ in a file are not equal here.

    Parameters
    ----------
    pixels : (K, 4) float64
        x, y, width, height in pixels. `boxes` are the same, relative to the image and rounded to float32.
    areas_are_of_boxes : bool
        As of `FoundFile`.
    """

    _OF_ALL: ClassVar[tuple[str, ...]] = (*MeasuredDetections._OF_ALL, "areas_are_of_boxes")

    pixels: NDArray[np.float64]
    areas_are_of_boxes: bool
