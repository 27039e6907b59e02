"""Match detections to ground truth greedily, best score first, as pycocotools' evaluation does.

What overlaps what, and how much, is told by pairs (see `pairs`), whatever it was measured on. Detections
stand so that of any two of the same image and label the one of the higher score comes first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import borrowing, kernel

# pycocotools' own: what is equal to its object still matches it where the threshold is 1.
HIGHEST = 1.0 - 1e-10


@borrowing
def take_best(
    first: int,
    last: int,
    truths: NDArray[np.int64],
    overlaps: NDArray[np.float64],
    threshold: float,
    ignored: NDArray[np.bool_],
    crowd: NDArray[np.bool_],
    taken: NDArray[np.int64],
    turn: int,
) -> int:
    """Row of the object that a detection, whose pairs are `first` to `last`, takes; -1 for none.

    It is the one that overlaps it most, and the later of two alike. Objects that are not ignored come before
    those that are, whatever overlaps more. What is taken in this turn cannot be again, but for crowds, which
    have room for any number.
    """
    best = -1
    highest = min(threshold, HIGHEST)
    for pair in range(first, last):
        row = truths[pair]
        if overlaps[pair] >= highest and not ignored[row] and taken[row] != turn:
            highest = overlaps[pair]
            best = row
    if best < 0:
        for pair in range(first, last):
            row = truths[pair]
            if overlaps[pair] >= highest and ignored[row] and (crowd[row] or taken[row] != turn):
                highest = overlaps[pair]
                best = row
    if best >= 0:
        taken[best] = turn
    return best


@kernel
def match_greedily(
    starts: NDArray[np.int64],
    truths: NDArray[np.int64],
    overlaps: NDArray[np.float64],
    crowd: NDArray[np.bool_],
    ignored: NDArray[np.bool_],
    thresholds: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Row of the object, or else of an ignored one, that each detection takes at each threshold, (T, K).

    -1 is none. The first three are of `pairs`; `crowd` and `ignored`, which crowds are as well, are (G,).
    """
    matched = np.full((thresholds.shape[0], starts.shape[0] - 1), -1, np.int64)
    taken = np.full(crowd.shape[0], -1, np.int64)
    for turn in range(thresholds.shape[0]):
        for row in range(matched.shape[1]):
            if starts[row] < starts[row + 1]:
                matched[turn, row] = take_best(
                    starts[row], starts[row + 1], truths, overlaps, thresholds[turn], ignored, crowd,
                    taken, turn,
                )  # fmt: skip
    return matched
