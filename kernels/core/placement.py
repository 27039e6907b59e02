"""From the coordinates of a decoder to those of a result."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inlined, inner


@inner
def placed(value: float, placement: NDArray[np.float64]) -> np.float64:
    """Coordinate relative to the image, in float64, of one that a decoder yields; not clipped.

    `placement` (4,) holds the factor f, offset o, scale s and size d: ``((value * f - o) / s) / d``.
    """
    result = value * placement[0] - placement[1]
    # Most divisors are 1, and a branch that goes the same way every time costs less than a division.
    if placement[2] != 1.0:
        result /= placement[2]
    if placement[3] != 1.0:
        result /= placement[3]
    return np.float64(result)


@inner
def clip(value: np.float32, limit: np.float32) -> np.float32:
    """Limit a coordinate to [0, limit]."""
    if value < 0.0:
        return np.float32(0.0)
    return limit if value > limit else value


@inlined
def place(value: np.float32, placement: NDArray[np.float64]) -> np.float32:
    """Coordinate in the result, clipped to [0, 1]."""
    return clip(np.float32(placed(np.float64(value), placement)), np.float32(1.0))
