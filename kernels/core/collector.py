"""Collect the best candidates of an image in bounded memory, and say which scores are still worth a look.

Keys are pushed while a tensor is scanned. When the buffer is full its better half is kept, and the limits of
the scan rise to it: from then on most of the tensor fails one vectorised comparison, so that a
scan stays near the speed of memory however low the thresholds are. What was lost that way can be had by a
further scan, which takes only keys below all that it has already given.

Each further scan of an image has room for more keys, up to a part of all candidates, so that there are never
many scans, however many of the best suppress each other.

A collector is four arrays: `buffer` of keys, `count` (2,) of those in it and, behind it, the signs that
scans have noted, `bounds` (2,), of which keys from the first to below the second are taken, and `limits` (L,)
of the scan. In a hot loop they are separate arguments, because a tuple of arrays costs reference counts there
(55 ns a candidate).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import borrowing, inner
from . import activation as act
from .candidates import LOWEST_KEY, is_predicted, keep_best, score_below, sort_descending

Collector = tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.uint64], NDArray[np.float32]]

_LOWEST = 0
_END = 1
_SIGNS = 1
_HIGHEST_KEY = np.uint64(0xFFFFFFFFFFFFFFFF)

# A further scan has so many times the room of the last. For 672,000 boxes at one place 2, 4 and 8 took 61, 64
# and 72 ms, the same room each time 2,200; 2 wastes least where few more candidates would do. The room ends
# at a part of all candidates, which bounds the scans and the memory: keys and corners, 3 bytes for each.
_WIDENING = 2
_PARTS = 16
_ALWAYS_ROOM = 1 << 16


@inner
def new_collector(top: int, most: int, labels: int) -> Collector:
    """Room to collect at least the best `top` of at most `most` keys."""
    buffer, count = np.empty(min(2 * top, most + 1), np.uint64), np.empty(2, np.int64)
    count[_SIGNS] = 0
    return buffer, count, np.empty(2, np.uint64), np.empty(labels, np.float32)


@inner
def widened(collector: Collector, top: int, most: int) -> tuple[Collector, int]:
    """Room for the next scan of an image that has `most` keys at most, after one with room for `top`."""
    larger = max(top, min(_WIDENING * top, max(_ALWAYS_ROOM, most // _PARTS)))
    buffer, count, bounds, limits = collector
    if larger > top:
        buffer = np.empty(min(2 * larger, most + 1), np.uint64)
    return (buffer, count, bounds, limits), larger


@inner
def begin_image(collector: Collector) -> None:
    """From now on take every key."""
    _, _, bounds, _ = collector
    bounds[_END] = _HIGHEST_KEY


@inner
def begin_scan(
    collector: Collector,
    thresholds: NDArray[np.float32],
    discard: np.float32,
    activation: int,
    lowest: np.uint64,
) -> None:
    """Empty the collector, which takes keys from `lowest` on."""
    _, count, bounds, limits = collector
    count[0] = 0
    bounds[_LOWEST] = lowest
    _set_limits(limits, thresholds, discard, activation, lowest)


@inner
def ceiling(collector: Collector) -> np.uint64:
    """Key that all keys which are still wanted rank below."""
    _, _, bounds, _ = collector
    return np.uint64(bounds[_END])


@inner
def note(collector: Collector, signs: int) -> None:
    """Note what a scan has seen, in bits, for whoever is to be told: see `noted`."""
    _, count, _, _ = collector
    count[_SIGNS] |= signs


@inner
def noted(collector: Collector) -> int:
    """Signs that scans of any image have noted; none is 0."""
    _, count, _, _ = collector
    return int(count[_SIGNS])


@inner
def end_scan(collector: Collector, lowest_bit: int) -> int:
    """Sort the keys, best first, and return how many there are. Bits below `lowest_bit` are not compared."""
    buffer, count, _, _ = collector
    sort_descending(buffer, np.empty(count[0], np.uint64), count[0], lowest_bit)
    return int(count[0])


@inner
def continue_below(collector: Collector) -> bool:
    """Take in the next scan only what ranks below all of the last; False if there is no such key."""
    _, _, bounds, _ = collector
    if bounds[_LOWEST] == LOWEST_KEY:
        return False
    bounds[_END] = bounds[_LOWEST]
    return True


@borrowing
def push(
    key: np.uint64, buffer: NDArray[np.uint64], count: NDArray[np.int64], bounds: NDArray[np.uint64]
) -> bool:
    """Take a key that is wanted; True if the buffer is full now, and `make_room` must follow."""
    if key < bounds[_LOWEST] or key >= bounds[_END]:
        return False
    size = count[0]
    buffer[size] = key
    count[0] = size + 1
    return bool(size + 1 == buffer.shape[0])


@inner
def make_room(
    buffer: NDArray[np.uint64],
    count: NDArray[np.int64],
    bounds: NDArray[np.uint64],
    limits: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    discard: np.float32,
    activation: int,
) -> None:
    """Keep the better half of a full buffer, or some more, and raise the bound and the limits to it."""
    size = count[0]
    count[0], bounds[_LOWEST] = keep_best(buffer, size, size // 2, size // 4 * 3)
    _set_limits(limits, thresholds, discard, activation, bounds[_LOWEST])


@inner
def lowest(limits: NDArray[np.float32]) -> np.float32:
    """Lowest of the limits; NumPy's ``min`` takes numba long to compile."""
    least = limits[0]
    for label in range(limits.shape[0]):
        least = min(least, limits[label])
    return np.float32(least)


@inner
def _set_limits(
    limits: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    discard: np.float32,
    activation: int,
    cutoff: np.uint64,
) -> None:
    # A value (before a sigmoid) not above its label's limit is no candidate, or ranks below the cutoff.
    # Equals of the cutoff's score may still win by their order, so that limit lies one step below it.
    lost = score_below(cutoff)
    for label in range(limits.shape[0]):
        if is_predicted(cutoff):
            limit = max(thresholds[label], lost)
        else:
            limit = min(thresholds[label], max(discard, lost))
        limits[label] = act.value_limit(limit, activation)
