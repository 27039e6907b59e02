"""Precision and recall of each label as its threshold falls, bit for bit as pycocotools accumulates them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel
from .states import FALSE_POSITIVE, TRUE_POSITIVE, list_paired, write_states

# pycocotools' own, numpy.spacing(1): a precision of nothing found is 0, and 1 is not reached by 1 of 1.
EPSILON = 2.0**-52


@kernel
def precision_recall(
    starts: NDArray[np.int64],
    truths: NDArray[np.int64],
    overlaps: NDArray[np.float64],
    offsets: NDArray[np.int64],
    scores: NDArray[np.float64],
    ranks: NDArray[np.int64],
    by_score: NDArray[np.int64],
    is_beyond: NDArray[np.bool_],
    truth_offsets: NDArray[np.int64],
    crowd: NDArray[np.bool_],
    ignored: NDArray[np.bool_],
    thresholds: NDArray[np.float64],
    recalls: NDArray[np.float64],
    limits: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Match at each of T thresholds, A ranges of areas and M limits, and read curves off.

    Parameters
    ----------
    starts, truths, overlaps
        Of `pairs`.
    offsets : (L + 1,) int64
        The detections of label l are rows ``offsets[l]`` to ``offsets[l + 1]``.
    scores : (K,) float64
    ranks : (K,) int64
        How many of its image and label come before a detection.
    by_score : (K,) int64
        The rows of each label by descending score.
    is_beyond : (A, K) bool
        Whether a detection that takes no object is no false positive, as where its area is out of a range.
    truth_offsets : (L + 1,) int64
        Where the objects of each label lie.
    crowd : (G,) bool
    ignored : (A, G) bool
        Objects that need not be found: crowds, and those whose area is out of a range.
    recalls : (R,) float64
        Ascending.
    limits : (M,) int64
        Detections of an image and label that are looked at.

    Returns
    -------
    Precisions (L, A, M, T, R), highest at each recall or above; recalls that are reached (L, A, M, T); scores
    at each recall (L, A, M, T, R). -1 where there is no object to find.
    """
    labels, areas = offsets.shape[0] - 1, ignored.shape[0]
    shape = (labels, areas, limits.shape[0], thresholds.shape[0])
    precision, score_at = np.full((*shape, recalls.shape[0]), -1.0), np.full((*shape, recalls.shape[0]), -1.0)
    recall = np.full(shape, -1.0)
    most = 0
    for label in range(labels):
        most = max(most, offsets[label + 1] - offsets[label])
    states, found = np.empty(most, np.uint8), np.empty(most, np.int64)
    hits, before = np.empty(most + 1, np.int64), np.empty(most + 1, np.int64)
    kept, counts = np.empty((limits.shape[0], most), np.int64), np.zeros(limits.shape[0], np.int64)
    needed = np.empty(recalls.shape[0], np.int64)
    taken = np.full(crowd.shape[0], -1, np.int64)
    for label in range(labels):
        start, stop = offsets[label], offsets[label + 1]
        pairs = list_paired(starts, start, stop, found)
        for limit in range(limits.shape[0]):
            counts[limit] = 0
            for row in by_score[start:stop]:
                if ranks[row] < limits[limit]:
                    kept[limit, counts[limit]] = row - start
                    counts[limit] += 1
        for area in range(areas):
            objects = 0
            for row in range(truth_offsets[label], truth_offsets[label + 1]):
                objects += not ignored[area, row]
            if objects == 0:
                continue
            find_needed(recalls, objects, needed)
            skipped, out = ignored[area], is_beyond[area, start:stop]
            for index in range(thresholds.shape[0]):
                write_states(
                    states, start, found[:pairs], out, starts, truths, overlaps, thresholds[index], skipped,
                    crowd, taken, area * thresholds.shape[0] + index,
                )  # fmt: skip
                for limit in range(limits.shape[0]):
                    true = _read_curve(
                        states, kept[limit, : counts[limit]], scores[start:stop], needed, hits, before,
                        precision[label, area, limit, index], score_at[label, area, limit, index],
                    )  # fmt: skip
                    recall[label, area, limit, index] = true / objects
    return precision, recall, score_at


@inner
def find_needed(recalls: NDArray[np.float64], objects: int, needed: NDArray[np.int64]) -> None:
    """Write how many objects must be found to reach each recall, one more than there are for above 1."""
    count = 0
    for index in range(recalls.shape[0]):
        while count <= objects and count / objects < recalls[index]:
            count += 1
        needed[index] = count


@inner
def _read_curve(
    states: NDArray[np.uint8],
    rows: NDArray[np.int64],
    scores: NDArray[np.float64],
    needed: NDArray[np.int64],
    hits: NDArray[np.int64],
    before: NDArray[np.int64],
    precision: NDArray[np.float64],
    score_at: NDArray[np.float64],
) -> int:
    """Write precision and score at each recall, and return how many objects are found.

    `rows` stand by descending score. Only where a true positive is met does recall rise, and only there is
    precision ever highest: the others are passed over. `hits` and `before` are room for the rows of true
    positives, and how many false ones come before each.
    """
    true = false = 0
    for number in range(rows.shape[0]):
        row = rows[number]
        state = states[row]
        # Written always, and counted where it is one: no processor can foresee which are.
        hits[true], before[true] = row, false
        true += state == TRUE_POSITIVE
        false += state == FALSE_POSITIVE
    highest = 0.0
    met = true
    for index in range(needed.shape[0] - 1, -1, -1):
        count = needed[index]
        while met > 0 and met >= count:
            highest = max(highest, met / ((before[met - 1] + met) + EPSILON))
            met -= 1
        if count <= true and rows.shape[0] > 0:
            precision[index] = highest
            # Where nothing need be found, the score of the first of all, whatever it is.
            score_at[index] = scores[hits[count - 1] if count > 0 else rows[0]]
        else:
            precision[index] = score_at[index] = 0.0
    return true
