"""Suppression of oriented boxes of the same label, by either of their indices.

Boxes are met best first, and each is compared with those of its label that were listed before. They stand in
blocks of `LANES`, as those of `greedy`: what is near a box is found among bounds, a structure of arrays, and
only that is compared. Four arrays hold them all: `heads` (buckets,) the newest block of each list, `links`
(blocks, 2) the next older block and how many boxes a block has, `bounds` (blocks, 4, LANES) xyxy, outside of
which no index is above the limit, and `shapes` (blocks, LANES, 8) the numbers of a rectangle and its area,
or those of a Gaussian.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .._jit import borrowing, inlined, inner
from ..core.bits import lowest_bit
from ..core.gaussians import is_probiou_above
from ..core.rectangles import shared_area

LANES = 16
NUMBERS = 8
AREA = 6
_NEXT = 0
_SIZE = 1
# More than a number loses when it is rounded to float32.
_ROUNDING = 1.2e-7
_SMALLEST = 1e-37
_NO_HITS = np.uint64(0)
_ONE = np.uint64(1)


@inlined
def outward(low: float, high: float) -> tuple[np.float32, np.float32]:
    """Bounds in float32 that are not within the given ones."""
    return (
        np.float32(low - _ROUNDING * abs(low) - _SMALLEST),
        np.float32(high + _ROUNDING * abs(high) + _SMALLEST),
    )


@borrowing
def is_suppressed(
    bucket: int,
    heads: NDArray[np.int32],
    links: NDArray[np.int32],
    bounds: NDArray[np.float32],
    shapes: NDArray[np.float64],
    bound: NDArray[np.float32],
    shape: NDArray[np.float64],
    probiou: bool,
    limit: np.float32,
    beyond: np.float32,
    polygons: NDArray[np.float64],
) -> bool:
    """Whether a listed box of the bucket is above the limit of this one, of a bound (4,) and a shape (8,)."""
    left, top, right, bottom = bound[0], bound[1], bound[2], bound[3]
    block = heads[bucket]
    while block >= 0:
        lanes = bounds[block]
        # As bits: branches on each lane would be mispredicted for most that are near.
        near = 0
        for lane in range(LANES):
            # Unused lanes end before they begin.
            near |= _is_near(left, top, right, bottom, lanes, lane) << lane
        bits = np.uint64(near)
        while bits != _NO_HITS:
            lane = lowest_bit(bits)
            bits &= bits - _ONE
            if probiou:
                if is_probiou_above(shapes[block, lane], shape, limit, beyond):
                    return True
            elif _is_exact_above(shapes[block, lane], shape, np.float64(limit), polygons):
                return True
        block = links[block, _NEXT]
    return False


@borrowing
def _is_near(
    left: np.float32,
    top: np.float32,
    right: np.float32,
    bottom: np.float32,
    lanes: NDArray[np.float32],
    lane: int,
) -> bool:
    return bool(
        (left < lanes[2, lane])
        & (lanes[0, lane] < right)
        & (top < lanes[3, lane])
        & (lanes[1, lane] < bottom)
    )


@inner
def _is_exact_above(
    one: NDArray[np.float64], other: NDArray[np.float64], limit: float, polygons: NDArray[np.float64]
) -> bool:
    """Whether the Jaccard index of two rectangles is above a limit."""
    width = _shared(one[0], abs(one[2]) + abs(one[4]), other[0], abs(other[2]) + abs(other[4]))
    height = _shared(one[1], abs(one[3]) + abs(one[5]), other[1], abs(other[3]) + abs(other[5]))
    if not (width > 0.0 and height > 0.0):
        return False
    # No more is shared than the smaller one has, or the enclosing boxes share: mostly that says enough.
    both = one[AREA] + other[AREA]
    shared = min(width * height, one[AREA], other[AREA])
    if shared <= limit * (both - shared):
        return False
    shared = shared_area(other, one, polygons)
    return bool(shared > limit * (both - shared))


@inner
def _shared(middle: float, half: float, other_middle: float, other_half: float) -> float:
    return min(middle + half, other_middle + other_half) - max(middle - half, other_middle - other_half)


@borrowing
def add(
    bucket: int,
    heads: NDArray[np.int32],
    links: NDArray[np.int32],
    bounds: NDArray[np.float32],
    shapes: NDArray[np.float64],
    used: int,
    bound: NDArray[np.float32],
    shape: NDArray[np.float64],
) -> int:
    """List a box in the bucket.

    Needs room for one block more than the `used` ones, and returns how many are used then.
    """
    block = heads[bucket]
    if block < 0 or links[block, _SIZE] == LANES:
        links[used, _NEXT] = block
        links[used, _SIZE] = 0
        for lane in range(LANES):
            bounds[used, 0, lane] = bounds[used, 1, lane] = math.inf
            bounds[used, 2, lane] = bounds[used, 3, lane] = -math.inf
        heads[bucket] = used
        block = used
        used += 1
    lane = links[block, _SIZE]
    links[block, _SIZE] = lane + 1
    for side in range(4):
        bounds[block, side, lane] = bound[side]
    for number in range(NUMBERS):
        shapes[block, lane, number] = shape[number]
    return used


@inlined
def with_room(
    links: NDArray[np.int32], bounds: NDArray[np.float32], shapes: NDArray[np.float64], used: int
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float64]]:
    """Return the blocks in arrays that have room for one more than the `used` ones."""
    if used < links.shape[0]:
        return links, bounds, shapes
    more_links = np.empty((2 * used + 4, 2), np.int32)
    more_bounds = np.empty((2 * used + 4, 4, LANES), np.float32)
    more_shapes = np.empty((2 * used + 4, LANES, NUMBERS), np.float64)
    for block in range(used):
        for field in range(2):
            more_links[block, field] = links[block, field]
        for side in range(4):
            for lane in range(LANES):
                more_bounds[block, side, lane] = bounds[block, side, lane]
        for lane in range(LANES):
            for number in range(NUMBERS):
                more_shapes[block, lane, number] = shapes[block, lane, number]
    return more_links, more_bounds, more_shapes
