"""Guess from a sample where the best candidates of an image begin, before all of it is scanned.

At thresholds so low that nearly everything passes, most of a scan's time would go into candidates that better
ones soon push out. A guess of the score that they will be pushed out by saves them. It costs time only, never
a result: a guess that is too low lets more through, one that is too high leaves them to a further scan.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inner
from . import activation as act
from .candidates import LOWEST_KEY, NO_KEY, keep_best, pack
from .numbers import Numbers, number, raw

# Primes, so that a sample does not keep to some columns of a table. The coarse one only tells whether a guess
# pays: about 130 looks for the 672,000 scores of a YOLOv8.
_COARSE = 4999
_FINE = 61


@inner
def guess_cutoff(
    values: Numbers,
    planar: bool,
    inner: int,
    first: int,
    limits: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    discard: np.float32,
    activation: int,
    top: int,
    end: np.uint64,
) -> np.uint64:
    """Key from which on about one and a half times `top` candidates of an image rank below `end`.

    It is the lowest key if there are not many more. `values` are all scores of the image: planes of `inner`
    boxes, one a label, if `planar`; else rows of `inner` columns, where those of the labels begin at `first`.
    """
    size = raw(values).shape[0]
    if size < 8 * top:
        return LOWEST_KEY
    sample = np.empty(size // _FINE + 1, np.uint64)
    arguments = (values, planar, inner, first, limits, thresholds, discard, activation, end)
    if _draw(_COARSE, sample, *arguments) * _COARSE < 8 * top:
        return LOWEST_KEY
    count = _draw(_FINE, sample, *arguments)
    wanted = (top + top // 2) // _FINE + 1
    if count <= wanted:
        return LOWEST_KEY
    _, bound = keep_best(sample, count, wanted, wanted + wanted // 8)
    return max(bound, LOWEST_KEY)


@inner
def _draw(
    step: int,
    sample: NDArray[np.uint64],
    values: Numbers,
    planar: bool,
    inner: int,
    first: int,
    limits: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    discard: np.float32,
    activation: int,
    end: np.uint64,
) -> int:
    """Write the keys below `end` of candidates among every `step`-th value; return how many there are."""
    count = 0
    size = raw(values).shape[0]
    boxes = inner if planar else size // inner
    rows, columns = divmod(step, inner)
    row, column = 0, 0
    for index in range(0, size, step):
        label, box = (row, column) if planar else (column - first, row)
        if 0 <= label < limits.shape[0]:
            value = number(values, index)
            if value > limits[label]:
                score = act.activate(value, activation)
                key = pack(score, label * boxes + box, thresholds[label], discard)
                if key != NO_KEY and key < end:
                    sample[count] = key
                    count += 1
        row, column = row + rows, column + columns  # two divisions an index would take most of the time
        if column >= inner:
            row, column = row + 1, column - inner
    return count
