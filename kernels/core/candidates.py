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
_FEW = 64

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
def label_and_box(key: np.uint64, boxes: int) -> tuple[np.int64, np.int64]:
    """Label and box of a key, where a label has so many boxes.

    Divisions of 32 bits, which an order has, take half of the time.
    """
    order, size = np.uint32(order_of(key)), np.uint32(boxes)
    label = np.uint32(order // size)
    return np.int64(label), np.int64(np.uint32(order - np.uint32(label * size)))


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
    The highest bits that differ leave few keys out of order, mostly: a radix sort of those, and the few are
    moved. Where they are not few, it goes by all bits.
    """
    if count <= _FEW:
        _sort_few(keys, scratch, count)
        return
    varying = np.uint64(0)
    for index in range(1, count):
        varying |= keys[index] ^ keys[0]
    digit_bits = 11 if count >= 2048 else 8
    width, last = 2 * digit_bits, 64 - 2 * digit_bits
    bit = min(lowest_bit, last)
    while bit < last and varying >> np.uint64(bit + width) != np.uint64(0):
        bit = min(bit + 4, last)
    _sort_by_digits(keys, scratch, count, bit, digit_bits)
    if not _move_few(keys, count):
        for bit in range(lowest_bit, 64, width):
            _sort_by_digits(keys, scratch, count, min(bit, last), digit_bits)


@inner
def _sort_by_digits(
    keys: NDArray[np.uint64], scratch: NDArray[np.uint64], count: int, lowest_bit: int, digit_bits: int
) -> None:
    """Sort by two digits from the lowest bit on, largest first; keys of equal ones stay in their order."""
    digits = np.uint64(1 << digit_bits)
    mask = digits - np.uint64(1)
    low, high = np.uint64(lowest_bit), np.uint64(lowest_bit + digit_bits)
    # Of the complement, so that places ascend with digits: counted once for both, and added up together.
    places = np.zeros(2 * digits, np.int64)
    for index in range(count):
        key = ~keys[index]
        places[(key >> low) & mask] += 1
        places[digits + ((key >> high) & mask)] += 1
    total = other_total = 0
    for digit in range(digits):
        size, other_size = places[digit], places[digits + digit]
        places[digit], places[digits + digit] = total, other_total
        total += size
        other_total += other_size
    for index in range(count):
        key = keys[index]
        digit = (~key >> low) & mask
        scratch[places[digit]] = key
        places[digit] += 1
    for index in range(count):
        key = scratch[index]
        digit = digits + ((~key >> high) & mask)
        keys[places[digit]] = key
        places[digit] += 1


@inner
def _move_few(keys: NDArray[np.uint64], count: int) -> bool:
    """Move keys that are smaller than a later one behind it; False if that is too much to finish."""
    left = 8 * count
    for index in range(1, count):
        key = keys[index]
        if keys[index - 1] < key:
            place = index
            while place > 0 and keys[place - 1] < key:
                keys[place] = keys[place - 1]
                place -= 1
            keys[place] = key
            left -= index - place
            if left < 0:
                return False
    return True


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
