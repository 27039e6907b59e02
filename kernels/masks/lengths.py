"""How many pixels COCO's compressed run lengths are of, as a check of what others wrote."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import kernel

_FIRST, _BITS, _LAST_SHIFT = 48, 5, 30


@kernel
def run_length_totals(letters: NDArray[np.uint8], bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum of the runs of each mask, whose letters are ``bounds[i]`` to ``bounds[i + 1]``; -1 if it is none.

    A letter holds five bits of a number, the lowest first, and whether more follow; the last one the sign.
    From the fourth on, a number is what its run is longer than the one before last (pycocotools' maskApi).
    """
    totals = np.empty(bounds.shape[0] - 1, np.int64)
    for mask in range(totals.shape[0]):
        total = runs = value = shift = last = before_last = 0
        is_sound = is_whole = True
        for place in range(bounds[mask], bounds[mask + 1]):
            letter: int = np.int64(letters[place]) - _FIRST  # type: ignore[assignment]
            if letter < 0 or letter > 63 or shift > _LAST_SHIFT:
                is_sound = False
                break
            value |= (letter & 31) << shift
            shift += _BITS
            is_whole = letter & 32 == 0
            if not is_whole:
                continue
            if letter & 16 != 0:
                value -= 1 << shift
            if runs > 2:
                value += before_last
            is_sound = is_sound and value >= 0
            before_last, last = last, value
            total += value
            runs += 1
            value = shift = 0
        totals[mask] = total if is_sound and is_whole else -1
    return totals
