"""Arrays with a row a detection, beside the images that the rows are of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FURTHEST = float(np.finfo(np.float32).max)


def images_of_rows(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the number of the image of each row, (K,), from the offsets of the images, (B + 1,)."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def as_finite(numbers: NDArray[np.float64]) -> NDArray[np.float32]:
    """Give numbers as float32, those beyond its range as the furthest it has: JSON knows no infinity."""
    return np.clip(numbers, -_FURTHEST, _FURTHEST).astype(np.float32)
