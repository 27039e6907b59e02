"""The slow reference of the post-processing: plain NumPy and Python loops, written from the formulas.

It never imports postproc, so that an error there cannot hide here. Inputs are taken as valid.
"""

from tests.reference.activation import sigmoid, softmax
from tests.reference.boxes import area, box_convert, box_iou, clip_boxes, iou
from tests.reference.hypothesis import Hypothesis
from tests.reference.nms import batched_nms, nms
from tests.reference.pipeline import Row, hypotheses, run, thresholds_of

__all__ = [
    "Hypothesis",
    "Row",
    "area",
    "batched_nms",
    "box_convert",
    "box_iou",
    "clip_boxes",
    "hypotheses",
    "iou",
    "nms",
    "run",
    "sigmoid",
    "softmax",
    "thresholds_of",
]
