"""Match detections to ground truth greedily, best score first, as pycocotools' evaluation does.

Boxes are x, y, width, height in pixels and every step is in float64 and in pycocotools' order, unlike the
Jaccard indices elsewhere in this package: so both decide alike where an index lies on the threshold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel

# pycocotools' own: a box still matches itself where the threshold is 1.
_HIGHEST = 1.0 - 1e-10


@inner
def _overlap(box: NDArray[np.float64], truth: NDArray[np.float64], is_crowd: bool) -> float:
    """Jaccard index of a detection and an object, or the share of a detection that lies in a crowd."""
    width = min(box[2] + box[0], truth[2] + truth[0]) - max(box[0], truth[0])
    height = min(box[3] + box[1], truth[3] + truth[1]) - max(box[1], truth[1])
    if not (width > 0.0 and height > 0.0):
        return 0.0
    shared = width * height
    area = box[2] * box[3]
    union = area if is_crowd else area + truth[2] * truth[3] - shared
    return float(shared / union)


@inner
def _best(
    box: NDArray[np.float64],
    label: int,
    truths: NDArray[np.float64],
    truth_labels: NDArray[np.int64],
    crowd: NDArray[np.bool_],
    taken: NDArray[np.bool_],
    start: int,
    stop: int,
    threshold: float,
    in_crowds: bool,
) -> int:
    """Row of the object, or of the crowd, that overlaps a detection most; -1 for none.

    The later of two that overlap it alike, as in pycocotools. Crowds, which have room for any number, are
    never taken.
    """
    best = -1
    highest = min(threshold, _HIGHEST)
    for row in range(start, stop):
        if truth_labels[row] != label or crowd[row] != in_crowds or taken[row]:
            continue
        overlap = _overlap(box, truths[row], in_crowds)
        if overlap >= highest:
            highest = overlap
            best = row
    return best


@kernel
def match_greedily(
    boxes: NDArray[np.float64],
    labels: NDArray[np.int64],
    offsets: NDArray[np.int64],
    truths: NDArray[np.float64],
    truth_labels: NDArray[np.int64],
    crowd: NDArray[np.bool_],
    truth_offsets: NDArray[np.int64],
    iou_thresholds: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Row of the ground truth that each detection takes at each Jaccard index (T, K); -1 for none.

    Detections (K, 4) and ground truths (G, 4) of the same image and label are matched. A label's detections
    stand by descending score within an image, whose rows are ``offsets[i]`` to ``offsets[i + 1]``. Objects
    come before crowds, whatever overlaps more.
    """
    count = iou_thresholds.shape[0]
    matched = np.empty((count, boxes.shape[0]), np.int64)
    taken = np.empty(truths.shape[0], np.bool_)
    for index in range(count):
        threshold = iou_thresholds[index]
        for row in range(truths.shape[0]):
            taken[row] = False
        for image in range(offsets.shape[0] - 1):
            start, stop = truth_offsets[image], truth_offsets[image + 1]
            for row in range(offsets[image], offsets[image + 1]):
                box, label = boxes[row], labels[row]
                best = _best(
                    box, label, truths, truth_labels, crowd, taken, start, stop, threshold, False
                )  # fmt: skip
                if best >= 0:
                    taken[best] = True
                else:
                    best = _best(
                        box, label, truths, truth_labels, crowd, taken, start, stop, threshold, True
                    )  # fmt: skip
                matched[index, row] = best
    return matched
