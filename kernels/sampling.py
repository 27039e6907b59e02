"""Guess from a sample where the best candidates of an image begin, before all of it is scanned.

At thresholds so low that nearly everything passes, most of a scan's time would go into candidates that better
ones soon push out. A guess of the score that they will be pushed out by saves them. It costs time only, never
a result: a guess that is too low lets more through, one that is too high is noticed, and the image scanned
again without.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import activation as act
from ._jit import kernel
from .candidates import LOWEST_KEY, keep_best, pack

# Primes, so that a sample does not keep to some columns of a table.
_COARSE = 499
_FINE = 61


@kernel
def guess_cutoff(
    values: NDArray[np.float32],
    planar: bool,
    boxes: int,
    width: int,
    first: int,
    limits: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    discard: np.float32,
    activation: int,
    top: int,
) -> np.uint64:
    """Key above which about twice `top` candidates of an image rank; the lowest if there are hardly so many.

    `values` are all scores of the image, by label and box if `planar`, else by box and column, where those of
    the labels begin at column `first` of `width`.
    """
    labels = limits.shape[0]
    lowest = limits.min()
    passing = 0
    for index in range(0, values.shape[0], _COARSE):
        if values[index] > lowest:
            label = index // boxes if planar else index % width - first
            if label >= 0 and label < labels:
                passing += values[index] > limits[label]
    if passing * _COARSE < 4 * top:
        return LOWEST_KEY
    sample = np.empty(values.shape[0] // _FINE + 1, np.uint64)
    count = 0
    for index in range(0, values.shape[0], _FINE):
        if values[index] > lowest:
            label = index // boxes if planar else index % width - first
            if label >= 0 and label < labels and values[index] > limits[label]:
                box = index % boxes if planar else index // width
                score = act.activate(values[index], activation)
                sample[count] = pack(score, label * boxes + box, thresholds[label], discard)
                count += 1
    wanted = 2 * top // _FINE + 1
    if count <= wanted:
        return LOWEST_KEY
    _, bound = keep_best(sample, count, wanted, wanted + wanted // 4)
    return max(bound, LOWEST_KEY)
