"""Collect the best candidates of an image in bounded memory, and say which scores are still worth a look.

Keys are pushed while a tensor is scanned. When the buffer is full its better half is kept, and the limits of
the scan rise to it: from then on most of the tensor fails one vectorised comparison, so that a
scan stays near the speed of memory however low the thresholds are.

A collector is four arrays that every function here takes: `buffer` of keys, `count` (1,) of those in it,
`cutoff` (1,) the key from which on none was lost, and `limits` (L,) of the scan. They are
separate arguments because a tuple of arrays costs reference counts in the hot loop (55 ns a candidate).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import activation as act
from ._jit import kernel
from .candidates import LOWEST_KEY, copy_keys, is_predicted, keep_best, score_below, sort_descending


@kernel
def new_buffer(top: int, most: int) -> NDArray[np.uint64]:
    """Room to collect at least the best `top` of at most `most` keys."""
    return np.empty(min(2 * top, most + 1), np.uint64)


@kernel
def begin_image(
    count: NDArray[np.int64],
    cutoff: NDArray[np.uint64],
    limits: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    discard: np.float32,
    activation: int,
    lowest: np.uint64,
) -> None:
    """Empty the collector, which from now on takes keys from `lowest` on."""
    count[0] = 0
    cutoff[0] = lowest
    _set_limits(limits, thresholds, discard, activation, lowest)


@kernel
def push(
    key: np.uint64, buffer: NDArray[np.uint64], count: NDArray[np.int64], cutoff: NDArray[np.uint64]
) -> bool:
    """Take a key that ranks; True if the buffer is full now, and `make_room` must follow."""
    if key < cutoff[0]:
        return False
    size = count[0]
    buffer[size] = key
    count[0] = size + 1
    return bool(size + 1 == buffer.shape[0])


@kernel
def make_room(
    buffer: NDArray[np.uint64],
    count: NDArray[np.int64],
    cutoff: NDArray[np.uint64],
    limits: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    discard: np.float32,
    activation: int,
) -> None:
    """Keep the better half of a full buffer, or some more, and raise the cutoff and the limits to it."""
    size = count[0]
    count[0], cutoff[0] = keep_best(buffer, size, size // 2, size // 4 * 3)
    _set_limits(limits, thresholds, discard, activation, cutoff[0])


@kernel
def end_image(
    buffer: NDArray[np.uint64],
    count: NDArray[np.int64],
    cutoff: NDArray[np.uint64],
    lowest_bit: int,
    keys: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    truncated: NDArray[np.bool_],
    image: int,
) -> NDArray[np.uint64]:
    """Sort the keys of an image, best first, and write them behind those of the images before it.

    Also writes where they end, and whether some were lost. Returns the array of all keys, a larger one if
    they did not fit. Bits below `lowest_bit` are not compared.
    """
    size = count[0]
    total = offsets[image]
    sort_descending(buffer, np.empty(size, np.uint64), size, lowest_bit)
    if total + size > keys.shape[0]:
        larger = np.empty(size if total == 0 else 2 * (total + size), np.uint64)
        copy_keys(keys, larger, 0, total)
        keys = larger
    copy_keys(buffer, keys, total, size)
    offsets[image + 1] = total + size
    truncated[image] = cutoff[0] != LOWEST_KEY
    return keys


@kernel
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
        limits[label] = act.logit_limit(limit) if activation == act.SIGMOID else limit
