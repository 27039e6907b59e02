"""Find the numbers that pass their limits at the speed of reading.

Strides of a fixed length are searched without a branch, which LLVM turns into straight vector code (older
ones do not where the bound varies, even as ``min(stride, rest)``); only in a stride with hits are blocks
turned into bits, one a number. A test keeps it so.
"""

from __future__ import annotations

import numpy as np

from .._codings import BLOCK
from .._jit import inner
from .bits import above
from .numbers import Numbers, Raw, part, passes, raw, stride_of

NO_HITS = np.uint64(0)
ONE = np.uint64(1)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@inner
def repeat(limits: Raw, first: int, width: int, repeated: Raw) -> None:
    """Write `limits` at column `first` of every row of `width` numbers that fits into `repeated`."""
    for start in range(first, repeated.shape[0], width):
        for label in range(min(limits.shape[0], repeated.shape[0] - start)):
            repeated[start + label] = limits[label]


@inner
def next_hits(values: Numbers, position: int, stop: int, limits: Raw, period: int) -> tuple[np.uint64, int]:
    """Scan from `position` to the next block with numbers that pass their limits.

    The raw `limits` repeat with the `period`, for as long as a stride behind one period: see `stride_of`.
    Returns the block's hits, bit i for value i of the block, and where it begins; no hits and `stop` if there
    is none before that.
    """
    size, stride = raw(values).shape[0], stride_of(values)
    phase, step = position % period, stride % period
    while position < stop:
        if position + stride <= stop:
            numbers, number_limits = part(values, position, size), limits[phase:]
            # As bool: an integer count of hits takes vectors of eight bytes a number, a third slower.
            is_any = False
            for index in range(stride):
                is_any |= passes(numbers, index, number_limits[index])
            if not is_any:
                position += stride
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
                is_hit = passes(values, position + index, limits[phase + index])
                hits |= np.uint64(is_hit) << np.uint64(index)
        if hits != NO_HITS:
            return hits, position
        position += BLOCK
        phase = position % period
    return NO_HITS, stop
