"""Find the numbers above their limits at the speed of reading.

Hits are counted in blocks of a fixed length without a branch, which LLVM turns into straight vector code
(older ones do not where the bound varies, even as ``min(block, rest)``); only blocks with hits are looked at
number by number. A test keeps it so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._jit import kernel

BLOCK = 64
STRIDE = 128


@kernel
def repeat(limits: NDArray[np.float32], first: int, width: int, repeated: NDArray[np.float32]) -> None:
    """Write `limits` at column `first` of every row of `width` numbers that fits into `repeated`."""
    for start in range(first, repeated.shape[0], width):
        for label in range(min(limits.shape[0], repeated.shape[0] - start)):
            repeated[start + label] = limits[label]


@kernel
def next_hits(
    values: NDArray[np.float32],
    position: int,
    limits: NDArray[np.float32],
    period: int,
    hits: NDArray[np.int64],
) -> tuple[int, int]:
    """Scan on from `position` to the next block with values above their limits, and write where they are.

    `limits` repeat with the `period`, for as long as a stride behind one period. Returns how many hits the
    block has, and the position behind it.
    """
    size = values.shape[0]
    while position < size:
        phase = position % period
        if position % STRIDE == 0:
            step = STRIDE % period
            while position + STRIDE <= size:
                stride, stride_limits = values[position:], limits[phase:]
                above = 0
                for index in range(STRIDE):
                    above += stride[index] > stride_limits[index]
                if above > 0:
                    break
                position += STRIDE
                phase += step
                if phase >= period:
                    phase -= period
        block, block_limits = values[position:], limits[phase:]
        length = min(BLOCK, size - position)
        if length == BLOCK:
            above = 0
            for index in range(BLOCK):
                above += block[index] > block_limits[index]
            if above == 0:
                position += BLOCK
                continue
        found = 0
        for index in range(length):
            # Without a branch: where hits are as likely as not, mispredicted ones cost twelve times as much.
            hits[found] = position + index
            found += block[index] > block_limits[index]
        position += length
        if found > 0:
            return found, position
    return 0, position
