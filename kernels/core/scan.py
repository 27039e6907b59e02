"""Find the numbers above their limits at the speed of reading.

Strides of a fixed length are searched without a branch, which LLVM turns into straight vector code (older
ones do not where the bound varies, even as ``min(stride, rest)``); only in a stride with hits are blocks
turned into bits, one a number. A test keeps it so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inner
from .bits import BLOCK, above

STRIDE = 128
NO_HITS = np.uint64(0)
ONE = np.uint64(1)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@inner
def repeat(limits: NDArray[np.float32], first: int, width: int, repeated: NDArray[np.float32]) -> None:
    """Write `limits` at column `first` of every row of `width` numbers that fits into `repeated`."""
    for start in range(first, repeated.shape[0], width):
        for label in range(min(limits.shape[0], repeated.shape[0] - start)):
            repeated[start + label] = limits[label]


@inner
def next_hits(
    values: NDArray[np.float32], position: int, stop: int, limits: NDArray[np.float32], period: int
) -> tuple[np.uint64, int]:
    """Scan from `position` to the next block with values above their limits.

    `limits` repeat with the `period`, for as long as a stride behind one period. Returns the block's hits,
    bit i for value i of the block, and where it begins; no hits and `stop` if there is none before that.
    """
    size = values.shape[0]
    phase, step = position % period, STRIDE % period
    while position < stop:
        if position + STRIDE <= stop:
            stride, stride_limits = values[position:], limits[phase:]
            # As bool: an integer count of hits takes vectors of eight bytes a number, a third slower.
            any_above = False
            for index in range(STRIDE):
                any_above |= stride[index] > stride_limits[index]
            if not any_above:
                position += STRIDE
                phase += step
                if phase >= period:
                    phase -= period
                continue
        if position + BLOCK <= size:
            hits = above(values, position, limits, phase)
            if position + BLOCK > stop:
                hits &= ALL >> np.uint64(position + BLOCK - stop)
        else:
            hits = NO_HITS
            for index in range(stop - position):
                hits |= np.uint64(values[position + index] > limits[phase + index]) << np.uint64(index)
        if hits != NO_HITS:
            return hits, position
        position += BLOCK
        phase = position % period
    return NO_HITS, stop
