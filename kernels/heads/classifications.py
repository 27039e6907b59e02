"""Scores of whole images to classifications: threshold, rank, stop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._codings import BLOCK
from .._jit import inner, kernel
from ..core import activation as act
from ..core.bits import lowest_bit
from ..core.candidates import copy_keys, from_sortable, keep_best, sort_descending, sortable
from ..core.numbers import STRIDE
from ..core.scan import ALL, NO_HITS, ONE, next_hits, repeat
from .arguments import Activation, Scores, Thresholds

Classified = tuple[
    NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.bool_], float
]

_PREDICTED = np.uint64(1 << 63)
_LABEL_BITS = np.uint64(31)
_LABEL_MASK = np.uint64(0x7FFFFFFF)


@kernel
def classify(
    values: Scores,
    thresholds: Thresholds,
    activation: Activation,
    show_discarded: bool,
    most: int,
    start: int,
    stop: int,
) -> Classified:
    """Labels of images `start` to `stop` of `values` (B, L), best first, predicted before discarded.

    A finite score above the threshold of its label is predicted; with `show_discarded` the other finite ones
    are discarded; at most `most` of both an image. Returns scores, labels, predicted (K,), the offsets of the
    images (stop - start + 1,), whether each had more (stop - start,), and the highest score.
    """
    labels = values.shape[1]
    logits, probabilities = act.new_row(labels), act.new_row(labels)
    limits = np.empty(labels + STRIDE, np.float32)
    floors = np.empty(labels, np.float32)
    for label in range(labels):
        floors[label] = act.logit_limit(thresholds[label]) if activation == act.SIGMOID else thresholds[label]
    repeat(floors, 0, labels, limits)
    buffer = np.empty(labels, np.uint64)
    scratch = np.empty(labels, np.uint64)
    collected = np.empty(0, np.uint64)
    offsets = np.zeros(stop - start + 1, np.int64)
    cuts = np.empty(stop - start, np.bool_)
    for image in range(start, stop):
        row = values[image]
        if activation == act.SOFTMAX:
            for label in range(labels):
                logits[label] = row[label]
            act.softmax(logits, labels, probabilities)
            row = probabilities
        count = 0
        position = 0
        while position < labels:
            if show_discarded:
                hits = ALL >> np.uint64(max(0, position + BLOCK - labels))
            else:
                hits, position = next_hits(row, position, labels, limits, labels)
            while hits != NO_HITS:
                label = position + lowest_bit(hits)
                hits &= hits - ONE
                score = act.activate(row[label], activation)
                predicted = score > thresholds[label]
                if abs(score) < np.inf and (predicted or show_discarded):
                    buffer[count] = _pack(score, label, predicted)
                    count += 1
            position += BLOCK
        cuts[image - start] = count > most
        if count > most:
            if most > 0:
                keep_best(buffer, count, most, most)
            count = most
        sort_descending(buffer, scratch, count, 0)
        total = offsets[image - start]
        if total + count > collected.shape[0]:
            larger = np.empty(count if total == 0 else 2 * (total + count), np.uint64)
            copy_keys(collected, larger, 0, total)
            collected = larger
        copy_keys(buffer, collected, total, count)
        offsets[image - start + 1] = total + count
    total = offsets[stop - start]
    scores = np.empty(total, np.float32)
    rows = np.empty(total, np.int64)
    predictions = np.empty(total, np.bool_)
    highest = 0.0
    for index in range(total):
        scores[index] = _score_of(collected[index])
        highest = max(highest, np.float64(scores[index]))
        rows[index] = np.int64(_LABEL_MASK - (collected[index] & _LABEL_MASK))
        predictions[index] = collected[index] >= _PREDICTED
    return scores, rows, predictions, offsets, cuts, highest


@inner
def _pack(score: np.float32, label: int, predicted: bool) -> np.uint64:
    # Like `candidates.pack`, but scores may be negative: bit 63 predicted, 32 bits of score, 31 of the label.
    key = (np.uint64(sortable(score)) << _LABEL_BITS) | (_LABEL_MASK - np.uint64(label))
    return key | _PREDICTED if predicted else key


@inner
def _score_of(key: np.uint64) -> np.float32:
    return from_sortable(np.uint32((key >> _LABEL_BITS) & np.uint64(0xFFFFFFFF)))
