"""Where to cut the detections of a label, sorted by score: one pass looks at every threshold there is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import kernel

F1 = 0
PRECISION = 1
FALSE_POSITIVES = 2

_NO_ROW = -1


@kernel
def best_cuts(
    scores: NDArray[np.float32],
    true_positive: NDArray[np.bool_],
    groups: NDArray[np.int16],
    offsets: NDArray[np.int64],
    objects: NDArray[np.int64],
    images: int,
    left_out: int,
    objective: int,
    wanted: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Best cut of each label: the rows down to it are kept.

    Parameters
    ----------
    scores : (K,) float32
        Those of label l are rows ``offsets[l]`` to ``offsets[l + 1]``, descending.
    true_positive : (K,) bool
        Whether a detection takes an object; otherwise it is a false positive.
    groups : (K,) int16
        Rows of group `left_out` are passed over.
    objects : (L,) int64
        How many there are to find, and in how many `images`, without the group that is left out.
    objective : int
        `F1`: the highest F1. `PRECISION`: most true positives with at least `wanted` precision.
        `FALSE_POSITIVES`: most true positives with at most `wanted` false positives an image.

    Returns
    -------
    Row of the last detection that is kept and of the first that is not, -1 where there is none, (L,) each;
    no cut keeps only false positives, or is between equal scores or scores above 1, where no threshold is.
    The value of the objective, an F1 or else the number of true positives, 0 without a cut; the highest
    precision that any cut has.
    """
    labels = objects.shape[0]
    last, following = np.full(labels, _NO_ROW, np.int64), np.full(labels, _NO_ROW, np.int64)
    values, precisions = np.zeros(labels, np.float64), np.zeros(labels, np.float64)
    for label in range(labels):
        true_positives = false_positives = 0
        previous = _NO_ROW
        stop = offsets[label + 1]
        for row in range(offsets[label], stop + 1):
            if row < stop and groups[row] == left_out:
                continue
            # What has been met so far may be cut from this row on.
            if true_positives > 0 and (
                row == stop or (scores[row] < scores[previous] and scores[row] <= 1.0)
            ):
                precision = true_positives / (true_positives + false_positives)
                precisions[label] = max(precisions[label], precision)
                value = 0.0
                if objective == F1:
                    value = 2.0 * true_positives / (objects[label] + true_positives + false_positives)
                elif objective == PRECISION:
                    if precision >= wanted:
                        value = float(true_positives)
                elif false_positives / images <= wanted:
                    value = float(true_positives)
                if value > values[label]:
                    values[label] = value
                    last[label] = previous
                    following[label] = row if row < stop else _NO_ROW
            if row < stop:
                if true_positive[row]:
                    true_positives += 1
                else:
                    false_positives += 1
                previous = row
    return last, following, values, precisions
