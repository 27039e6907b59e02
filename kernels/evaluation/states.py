"""What each detection is at a threshold, for a range of areas: a true or a false positive, or ignored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel
from .matching import take_best

FALSE_POSITIVE, TRUE_POSITIVE, IGNORED = np.uint8(0), np.uint8(1), np.uint8(2)


@inner
def write_states(
    states: NDArray[np.uint8],
    start: int,
    found: NDArray[np.int64],
    is_beyond: NDArray[np.bool_],
    starts: NDArray[np.int64],
    truths: NDArray[np.int64],
    overlaps: NDArray[np.float64],
    threshold: float,
    ignored: NDArray[np.bool_],
    crowd: NDArray[np.bool_],
    taken: NDArray[np.int64],
    turn: int,
) -> None:
    """Match the detections of a label at one threshold, and write what each is.

    `found` are the rows of those that have pairs, `start` that of the first of all. `taken` is not that of
    another call with the same `turn`.
    """
    for row in range(is_beyond.shape[0]):
        states[row] = IGNORED if is_beyond[row] else FALSE_POSITIVE
    for row in found:
        truth = take_best(
            starts[row], starts[row + 1], truths, overlaps, threshold, ignored, crowd, taken, turn
        )
        if truth >= 0:
            states[row - start] = IGNORED if ignored[truth] else TRUE_POSITIVE


@inner
def list_paired(starts: NDArray[np.int64], start: int, stop: int, found: NDArray[np.int64]) -> int:
    """Write the rows from `start` to `stop` that have pairs, and return how many there are."""
    pairs = 0
    for row in range(start, stop):
        if starts[row] < starts[row + 1]:
            found[pairs] = row
            pairs += 1
    return pairs


@kernel
def detection_states(
    starts: NDArray[np.int64],
    truths: NDArray[np.int64],
    overlaps: NDArray[np.float64],
    is_beyond: NDArray[np.bool_],
    crowd: NDArray[np.bool_],
    ignored: NDArray[np.bool_],
    thresholds: NDArray[np.float64],
) -> NDArray[np.uint8]:
    """State of each of K detections at each of T thresholds, for each of A ranges of areas, (A, T, K).

    Takes what `precision_recall` does.
    """
    areas, count = is_beyond.shape
    states = np.empty((areas, thresholds.shape[0], count), np.uint8)
    found = np.empty(count, np.int64)
    found = found[: list_paired(starts, 0, count, found)]
    taken = np.full(crowd.shape[0], -1, np.int64)
    for area in range(areas):
        for index in range(thresholds.shape[0]):
            write_states(
                states[area, index], 0, found, is_beyond[area], starts, truths, overlaps, thresholds[index],
                ignored[area], crowd, taken, area * thresholds.shape[0] + index,
            )  # fmt: skip
    return states
