"""What Python gives to the kernels of heads: a type for each meaning, so that mypy tells one from another.

Each head takes a NamedTuple of its own, then `Rule` and `Call`: see `driver`.
"""

from __future__ import annotations

from typing import NamedTuple, NewType

import numpy as np
from numpy.typing import NDArray

Scores = NewType("Scores", NDArray[np.float32])
Boxes = NewType("Boxes", NDArray[np.float32])
Table = NewType("Table", NDArray[np.float32])
"""Boxes, scores and what else there is of a box, in one tensor."""
Planar = NewType("Planar", bool)
"""Whether scores, or a table, are planes (B, C, N), not rows (B, N, C)."""
PlanarBoxes = NewType("PlanarBoxes", bool)
FirstScore = NewType("FirstScore", int)
"""Row or plane of the first label's score."""
FirstNumber = NewType("FirstNumber", int)
"""Column of a box's first number in a table."""
Activation = NewType("Activation", int)
BoxFormat = NewType("BoxFormat", int)
ObjectnessAlone = NewType("ObjectnessAlone", bool)
"""Whether the score of the only label is the objectness."""

Thresholds = NewType("Thresholds", NDArray[np.float32])
MultiLabel = NewType("MultiLabel", bool)
Discard = NewType("Discard", np.float32)
IouThresholds = NewType("IouThresholds", NDArray[np.float32])
ClassAgnostic = NewType("ClassAgnostic", bool)

BoxesALabel = NewType("BoxesALabel", int)
BoxesARegion = NewType("BoxesARegion", int)
Bounds = NewType("Bounds", NDArray[np.float32])
Placement = NewType("Placement", NDArray[np.float64])

KeptRegions = NewType("KeptRegions", NDArray[np.int64])
"""Region of each detection, (K,)."""
KeptOffsets = NewType("KeptOffsets", NDArray[np.int64])
"""Where the detections of each image end, (images + 1,)."""
FirstImage = NewType("FirstImage", int)
"""The image of the tensors that the first of these is."""


class Rule(NamedTuple):
    """Which candidates become detections.

    Parameters
    ----------
    thresholds : (L,) float32
        A score above its label's makes a predicted candidate.
    multi_label : bool
        Each label of a box is a candidate, not only that of its highest score.
    discard : float32
        A score above it makes a discarded candidate.
    iou_thresholds : (L,) float32
        Boxes of a label overlapping by more than its own are suppressed; none are where it is 1 or more.
    class_agnostic : bool
        Boxes of different labels suppress each other, too; then there is one IoU threshold, (1,).
    """

    thresholds: Thresholds
    multi_label: MultiLabel
    discard: Discard
    iou_thresholds: IouThresholds
    class_agnostic: ClassAgnostic


class Call(NamedTuple):
    """The images of a call, and what is asked of them.

    Parameters
    ----------
    boxes : int
        How many boxes a label has.
    columns : int
        How many of them belong to one region of the network.
    bounds : (0 or B, 2) float32
        Width and height that boxes are clipped to before they are compared; none if there are no rows.
    placement : (0 or B, 2, 4) float64
        For x and for y the factor f, offset o, scale s and size d that place a coordinate in the result:
        ``((x * f - o) / s) / d``, which is then clipped to [0, 1]. Without rows, boxes stay as they are, for
        whoever suppresses them in another way: see `merging`.
    top : int
        Candidates that a scan of an image collects at least, if there are so many.
    most : int
        Detections an image at most.
    start, stop : int
        The images to compute.
    """

    boxes: BoxesALabel
    columns: BoxesARegion
    bounds: Bounds
    placement: Placement
    top: int
    most: int
    start: int
    stop: int
