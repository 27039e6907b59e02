"""Which detections and objects overlap enough to be matched at all: few, of all that there might be.

Boxes are x, y, width, height in pixels and every step is in float64 and in pycocotools' order, unlike the
Jaccard indices elsewhere in this package: so both decide alike where an index lies on the threshold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel


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


@kernel
def box_pairs(
    boxes: NDArray[np.float64],
    offsets: NDArray[np.int64],
    truths: NDArray[np.float64],
    crowd: NDArray[np.bool_],
    truth_starts: NDArray[np.int64],
    truth_stops: NDArray[np.int64],
    lowest: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Pair the detections (K, 4) of each group with its objects, of (G, 4).

    The detections of group i are rows ``offsets[i]`` to ``offsets[i + 1]``, its objects ``truth_starts[i]``
    to ``truth_stops[i]``.

    Returns
    -------
    The pairs of detection k are ``starts[k]`` to ``starts[k + 1]``, (K + 1,); row of the object of each, and
    how much the two overlap, `lowest` at least; by ascending row.
    """
    starts = np.zeros(boxes.shape[0] + 1, np.int64)
    rows = np.empty(boxes.shape[0] + 16, np.int64)
    overlaps = np.empty(rows.shape[0], np.float64)
    used = 0
    for group in range(truth_starts.shape[0]):
        start, stop = truth_starts[group], truth_stops[group]
        for row in range(offsets[group], offsets[group + 1]):
            if used + stop - start > rows.shape[0]:
                more = np.empty(rows.shape[0] + stop - start, np.int64)
                rows = np.concatenate((rows, more))
                overlaps = np.concatenate((overlaps, more.astype(np.float64)))
            box = boxes[row]
            for truth in range(start, stop):
                overlap = _overlap(box, truths[truth], crowd[truth])
                if overlap >= lowest:
                    rows[used] = truth
                    overlaps[used] = overlap
                    used += 1
            starts[row + 1] = used
    return starts, rows[:used], overlaps[:used]
