"""Classes that a network names itself, in the numbers that it has: the label row of each."""

from __future__ import annotations

from typing import NamedTuple, NewType

import numpy as np
from numpy.typing import NDArray

from .._jit import borrowing, inner

FLOAT32 = 0
FLOAT64 = 1
INT64 = 2
UINT64 = 3

NO_LABEL = -1
FRACTION = -2
"""No label either, and no whole number."""

_INT64_END = 2.0**63

ClassNumbers = NewType("ClassNumbers", NDArray[np.float32])
ClassColumn = NewType("ClassColumn", int)
WideClasses = NewType("WideClasses", NDArray[np.int64])
ClassType = NewType("ClassType", int)
KnownClasses = NewType("KnownClasses", NDArray[np.int64])


class Classes(NamedTuple):
    """Classes of N boxes, and those of the spec.

    Classes of float32 stand in a column of a table (N, C), which may hold more; of those of 64 bits the bits
    are in `wide` (N,). The other one is empty.

    The spec's are ``known[0]`` (K,), ascending, and ``known[1]`` has the label row of each. Where they lie
    near each other, all numbers from the lowest to the highest are among them, some with `NO_LABEL`.
    """

    numbers: ClassNumbers
    column: ClassColumn
    wide: WideClasses
    class_type: ClassType
    known: KnownClasses


@borrowing
def label_row(
    index: int,
    numbers: NDArray[np.float32],
    width: int,
    column: int,
    wide: NDArray[np.int64],
    class_type: int,
    known: NDArray[np.int64],
) -> int:
    """Label row of a class, or `NO_LABEL` or `FRACTION`; the `numbers` are in one row, of `width` each."""
    if class_type >= INT64:
        is_beyond = class_type == UINT64 and wide[index] < 0
        return NO_LABEL if is_beyond else _row_of(wide[index], known)
    number = np.float64(0.0)
    if class_type == FLOAT32:
        number = np.float64(numbers[index * width + column])
    else:
        number = np.int64(wide[index]).view(np.float64)
    if not -_INT64_END <= number < _INT64_END:  # or NaN
        return NO_LABEL
    value = int(number)
    return _row_of(value, known) if np.float64(value) == number else FRACTION


@borrowing
def _row_of(value: int, known: NDArray[np.int64]) -> int:
    count = known.shape[1]
    place = value - known[0, 0]
    if known[0, count - 1] - known[0, 0] != count - 1:
        place = _place_of(value, known)
    # What is far away may come out anywhere, but not among these.
    return int(known[1, place]) if 0 <= place < count else NO_LABEL


@inner
def _place_of(value: int, known: NDArray[np.int64]) -> int:
    place = np.searchsorted(known[0], value)
    return int(place) if place < known.shape[1] and known[0, place] == value else -1
