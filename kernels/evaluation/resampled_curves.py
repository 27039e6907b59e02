"""Average precision and recall of many resamplings of the images: matched once, and read off with weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel
from .curves import EPSILON, find_needed


@kernel
def resampled_curves(
    entries: NDArray[np.int32],
    starts: NDArray[np.int64],
    areas: NDArray[np.int64],
    of_labels: NDArray[np.bool_],
    object_images: NDArray[np.int64],
    object_starts: NDArray[np.int64],
    recalls: NDArray[np.float64],
    weights: NDArray[np.uint16],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Read C curves of each of L labels in each of D resamplings.

    A curve is that of the resampled images as a whole: of copies of a detection with equal scores all come
    before the next one.

    Parameters
    ----------
    entries : (N,) int32
        Twice the image of each detection that counts, and 1 more for a true positive; by descending score.
    starts : (C, L + 1) int64
        Those of curve c and label l are ``starts[c, l]`` to ``starts[c, l + 1]``.
    areas : (C,) int64
        Which objects a curve is of.
    of_labels : (C,) bool
        Of which curves the third result is the mean.
    object_images : (M,) int64
        Image of each object that counts.
    object_starts : (A, L + 1) int64
        Those of range a of areas and label l are ``object_starts[a, l]`` to ``object_starts[a, l + 1]``.
    recalls : (R,) float64
        Ascending.
    weights : (D, images) uint16
        How often each image was drawn.

    Returns
    -------
    Average precision and recall of each curve, the means of the labels that have an object, (D, C) each, and
    the average precision of each label, (D, L). NaN where there is no object.
    """
    draws, curves, labels = weights.shape[0], starts.shape[0], starts.shape[1] - 1
    precision, recall = np.zeros((draws, curves)), np.zeros((draws, curves))
    by_label = np.full((draws, labels), np.nan)
    needed = np.empty(recalls.shape[0], np.int64)
    most = 0
    for curve in range(curves):
        for label in range(labels):
            most = max(most, starts[curve, label + 1] - starts[curve, label])
    hits, looked_at = np.empty(most + 1, np.int64), np.empty(most + 1, np.int64)
    chosen = max(of_labels.sum(), 1)
    measured = np.zeros(curves, np.int64)
    for draw in range(draws):
        drawn = weights[draw]
        measured[:] = 0
        for label in range(labels):
            area, objects = -1, 0
            for curve in range(curves):
                if areas[curve] != area:
                    area, objects = areas[curve], 0
                    for row in range(object_starts[area, label], object_starts[area, label + 1]):
                        objects += drawn[object_images[row]]
                    if objects > 0:
                        find_needed(recalls, objects, needed)
                if objects == 0:
                    continue
                found = entries[starts[curve, label] : starts[curve, label + 1]]
                value, true = _read_weighted(found, drawn, needed, hits, looked_at)
                precision[draw, curve] += value
                recall[draw, curve] += true / objects
                measured[curve] += 1
                if of_labels[curve]:
                    if np.isnan(by_label[draw, label]):
                        by_label[draw, label] = 0.0
                    by_label[draw, label] += value / chosen
        for curve in range(curves):
            precision[draw, curve] /= measured[curve]
            recall[draw, curve] /= measured[curve]
    return precision, recall, by_label


@inner
def _read_weighted(
    entries: NDArray[np.int32],
    drawn: NDArray[np.uint16],
    needed: NDArray[np.int64],
    hits: NDArray[np.int64],
    looked_at: NDArray[np.int64],
) -> tuple[float, int]:
    """Mean precision at the recalls, and how many objects are found.

    Of the copies of a true positive the last has the highest precision, and stands for all of them. `hits`
    and `looked_at` are room for how many true positives, and how many of all, there are up to it.
    """
    true = count = met = 0
    for entry in entries:
        weight: int = np.int64(drawn[entry >> 1])  # type: ignore[assignment]
        is_true: int = np.int64(entry & 1)  # type: ignore[assignment]
        true += weight * is_true
        count += weight
        # Written always, and counted where it is one: no processor can foresee which are.
        hits[met], looked_at[met] = true, count
        met += is_true & (weight > 0)
    total = highest = 0.0
    for index in range(needed.shape[0] - 1, -1, -1):
        while met > 0 and hits[met - 1] >= needed[index]:
            highest = max(highest, hits[met - 1] / (looked_at[met - 1] + EPSILON))
            met -= 1
        if needed[index] <= true:
            total += highest
    return total / needed.shape[0], true
