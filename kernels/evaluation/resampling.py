"""Counts of many resamplings of the images at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import kernel


@kernel
def resampled_counts(
    images: NDArray[np.int64],
    labels: NDArray[np.int64],
    right: NDArray[np.bool_],
    weights: NDArray[np.uint8],
    label_count: int,
) -> NDArray[np.int64]:
    """Rows of each label that are wrong and that are right, in each of D resamplings, (2, label_count, D).

    `images`, `labels` and `right` are (K,); `weights` (images, D) says how often an image was drawn.
    """
    draws = weights.shape[1]
    counts = np.zeros((2, label_count, draws), np.int64)
    for row in range(labels.shape[0]):
        image, label, kind = images[row], labels[row], 1 if right[row] else 0
        for draw in range(draws):
            counts[kind, label, draw] += weights[image, draw]
    return counts
