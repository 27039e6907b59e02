"""Which numbers of a block pass their limits, as the bits of one integer.

LLVM compares a block in a few vector instructions and moves the results into a register in as many more, but
no loop makes it do so: these functions say it in its own language.
"""

from __future__ import annotations

import numpy as np

from .._codings import BLOCK
from .._jit import intrinsic
from .numbers import Numbers, Raw, passes


@intrinsic
def above(values: Numbers, position: int, limits: Raw, first: int) -> np.uint64:
    """Return which of a block's numbers pass their limits.

    Bit i says whether the number at ``position + i`` passes the raw limit at ``first + i``. Both must have a
    whole `BLOCK` there: nothing is checked.
    """
    flags = passes(values, slice(position, position + BLOCK), limits[first : first + BLOCK])
    return np.uint64(np.packbits(flags, bitorder="little").view(np.uint64)[0])


@intrinsic
def lowest_bit(bits: np.uint64) -> int:
    """Return the number of the lowest bit that is set, of which there must be one."""
    return (int(bits) & -int(bits)).bit_length() - 1
