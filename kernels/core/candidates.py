"""Candidates as 64-bit keys: pack, keep the best, sort.

A candidate is one label of one box. Its key holds all that ranks it, best is largest::

    bit 63      1 if predicted (score above the threshold of its label), 0 if discarded
    bits 62-32  the bits of its score, a positive float32, which order as the score does
    bits 31-0   the complement of its order, label * boxes + box

so that a plain comparison of keys is the order of results: predicted first, then by score, ties by label,
then by box. Score, label and box are read back from the key; nothing else is stored.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inner

_ORDER_BITS = np.uint64(32)
_ORDER_MASK = np.uint64(0xFFFFFFFF)
_SCORE_MASK = np.uint64(0x7FFFFFFF)
_PREDICTED = np.uint64(1 << 63)
_SIGN = np.uint32(0x80000000)
NO_KEY = np.uint64(0)
LOWEST_KEY = np.uint64(1)

# Up to how many keys comparing each with each sorts them fastest.
_FEW = 128

# More boxes times labels than this in one image do not fit the order of a key.
MAX_ORDER = 0xFFFFFFFF


@inner
def pack(score: np.float32, order: int, threshold: np.float32, discard: np.float32) -> np.uint64:
    """Key of a candidate; 0 if its score is neither above `threshold` nor above `discard`."""
    predicted = score > threshold
    if not (predicted or score > discard) or score == np.inf:
        return NO_KEY
    key = (np.uint64(np.float32(score).view(np.uint32)) << _ORDER_BITS) | (_ORDER_MASK - np.uint64(order))
    if predicted:
        key |= _PREDICTED
    return key


@inner
def is_predicted(key: np.uint64) -> np.bool_:
    """Whether the key is of a predicted candidate."""
    return key >= _PREDICTED


@inner
def score_of(key: np.uint64) -> np.float32:
    """Score packed in a key."""
    return np.uint32((key >> _ORDER_BITS) & _SCORE_MASK).view(np.float32)


@inner
def score_below(key: np.uint64) -> np.float32:
    """Float32 next below the score of a key, or 0: a score not above it ranks below the key."""
    bits = (key >> _ORDER_BITS) & _SCORE_MASK
    return np.uint32(bits - np.uint64(1) if bits > np.uint64(0) else bits).view(np.float32)


@inner
def order_of(key: np.uint64) -> np.int64:
    """Order (label * boxes + box) packed in a key."""
    return np.int64(_ORDER_MASK - (key & _ORDER_MASK))


@inner
def sortable(score: np.float32) -> np.uint32:
    """Bits of a score of either sign, changed so that they order as numbers do; -0 becomes 0."""
    bits = np.float32(score + np.float32(0.0)).view(np.uint32)
    return np.uint32(~bits) if bits >= _SIGN else np.uint32(bits | _SIGN)


@inner
def from_sortable(bits: np.uint32) -> np.float32:
    """Score of its sortable bits."""
    return np.uint32(bits & ~_SIGN if bits >= _SIGN else ~bits).view(np.float32)


@inner
def keep_best(keys: NDArray[np.uint64], count: int, fewest: int, most: int) -> tuple[int, np.uint64]:
    """Move the largest of the first `count` keys to the front, in their order; return how many, and a bound.

    At least `fewest` and at most `most` of them are kept; all others are below the bound.
    A radix selection: 8 bits at a time from the top, until what is left of a tie no longer matters.
    """
    histogram = np.empty(256, np.int64)
    bound = np.uint64(0)
    mask = np.uint64(0)
    above = 0
    for step in range(8):
        shift = np.uint64(56 - 8 * step)
        histogram[:] = 0
        for index in range(count):
            if keys[index] & mask == bound:
                histogram[np.int64((keys[index] >> shift) & np.uint64(255))] += 1
        digit = 255
        while above + histogram[digit] < fewest:
            above += histogram[digit]
            digit -= 1
        bound |= np.uint64(digit) << shift
        mask |= np.uint64(255) << shift
        if above + histogram[digit] <= most:
            break
    kept = 0
    for index in range(count):
        # Without a branch, which would be mispredicted half of the time.
        key = keys[index]
        keys[kept] = key
        kept += key >= bound
    return kept, bound


@inner
def sort_descending(
    keys: NDArray[np.uint64], scratch: NDArray[np.uint64], count: int, lowest_bit: int
) -> None:
    """Sort the first `count` keys in place, largest first; no two may be equal.

    Bits below `lowest_bit` need not be looked at where keys that differ in no others are in order already.
    """
    if count <= _FEW:
        _sort_few(keys, scratch, count)
        return
    varying = np.uint64(0)
    for index in range(1, count):
        varying |= keys[index] ^ keys[0]
    digit_bits = 11 if count >= 2048 else 8
    digits = 1 << digit_bits
    mask = np.uint64(digits - 1)
    starts = np.empty(digits, np.int64)
    source, target = keys, scratch
    for bit in range(lowest_bit, 64, digit_bits):
        shift = np.uint64(bit)
        if (varying >> shift) & mask == np.uint64(0):
            continue
        starts[:] = 0
        for index in range(count):
            starts[np.int64((source[index] >> shift) & mask)] += 1
        total = 0
        for digit in range(digits - 1, -1, -1):
            size = starts[digit]
            starts[digit] = total
            total += size
        for index in range(count):
            key = source[index]
            bin_ = np.int64((key >> shift) & mask)
            target[starts[bin_]] = key
            starts[bin_] += 1
        source, target = target, source
    if source is not keys:
        copy_keys(source, keys, 0, count)


@inner
def _sort_few(keys: NDArray[np.uint64], scratch: NDArray[np.uint64], count: int) -> None:
    # The place of a key is how many are larger: quadratic, but straight vector code.
    for index in range(count):
        place = 0
        for other in range(count):
            place += keys[other] > keys[index]
        scratch[place] = keys[index]
    copy_keys(scratch, keys, 0, count)


@inner
def copy_keys(source: NDArray[np.uint64], target: NDArray[np.uint64], start: int, count: int) -> None:
    """Copy the first `count` keys to `target` from `start` on.

    A slice assignment would do, but numba compiles its error message along, which takes three seconds.
    """
    for index in range(count):
        target[start + index] = source[index]
