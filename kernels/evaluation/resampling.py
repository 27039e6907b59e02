"""Counts of many resamplings of the images at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import kernel


@kernel
def resampled_counts(
    images: NDArray[np.int64],
    labels: NDArray[np.int64],
    true_positive: NDArray[np.bool_],
    weights: NDArray[np.uint8],
    label_count: int,
) -> NDArray[np.int64]:
    """Count the false and true positives of each label in each of D resamplings, (2, label_count, D).

    `images`, `labels` and `true_positive` are (K,); `weights` (images, D) says how often an image was
    drawn.
    """
    draws = weights.shape[1]
    counts = np.zeros((2, label_count, draws), np.int64)
    for row in range(labels.shape[0]):
        image, label, kind = images[row], labels[row], 1 if true_positive[row] else 0
        for draw in range(draws):
            counts[kind, label, draw] += weights[image, draw]
    return counts
