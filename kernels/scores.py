"""Threshold and gather: the candidates of a tensor of scores, the best of each image as sorted keys.

Every scan of this package returns ``(keys, offsets, truncated)``: the keys of image i are
``keys[offsets[i]:offsets[i + 1]]``, best first, and ``truncated[i]`` says that the image has more candidates,
all of lower rank.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import activation as act
from ._jit import kernel
from .candidates import LOWEST_KEY, pack
from .collector import begin_image, end_image, make_room, new_buffer, push
from .sampling import guess_cutoff
from .scan import BLOCK, STRIDE, next_hits, repeat

Scan = tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.bool_]]


@kernel
def scan_scores(
    scores: NDArray[np.float32],
    planar: bool,
    first: int,
    thresholds: NDArray[np.float32],
    discard: np.float32,
    activation: int,
    multi_label: bool,
    top: int,
    start: int,
    stop: int,
) -> Scan:
    """Candidates of images `start` to `stop`, at least the best `top` of each.

    Scores are (B, N, S), a row per box, or (B, S, N) if `planar`, a plane per label; those of the L labels
    begin at column or plane `first`. A softmax goes along rows, so planar scores have none.
    """
    labels = thresholds.shape[0]
    boxes, width = scores.shape[1], scores.shape[2]
    if planar:
        boxes, width = width, boxes
    buffer = new_buffer(top, boxes * labels)
    count, cutoff = np.zeros(1, np.int64), np.zeros(1, np.uint64)
    limits = np.empty(labels, np.float32)
    hits = np.empty(BLOCK + 1, np.int64)
    keys = np.empty(0, np.uint64)
    offsets = np.zeros(stop - start + 1, np.int64)
    truncated = np.zeros(stop - start, np.bool_)
    for image in range(start, stop):
        values = scores[image].reshape(-1)
        if planar:
            values = values[first * boxes : (first + labels) * boxes]
        begin_image(count, cutoff, limits, thresholds, discard, activation, LOWEST_KEY)
        guess = LOWEST_KEY
        if multi_label and activation != act.SOFTMAX:
            guess = guess_cutoff(
                values, planar, boxes, width, first, limits, thresholds, discard, activation, top
            )
        while True:
            begin_image(count, cutoff, limits, thresholds, discard, activation, guess)
            if not planar:
                _scan_rows(
                    values, width, first, activation, multi_label, hits,
                    buffer, count, cutoff, limits, thresholds, discard,
                )  # fmt: skip
            elif multi_label:
                _scan_planes(
                    values, boxes, activation, hits, buffer, count, cutoff, limits, thresholds, discard
                )
            else:
                _scan_across_planes(
                    values, boxes, activation, buffer, count, cutoff, limits, thresholds, discard
                )
            if guess == LOWEST_KEY or count[0] >= top:
                break
            guess = LOWEST_KEY
        # Along planes candidates are met in the order of their keys, which a stable sort by score keeps.
        keys = end_image(
            buffer,
            count,
            cutoff,
            32 if planar and multi_label else 0,
            keys,
            offsets,
            truncated,
            image - start,
        )
    return keys, offsets, truncated


@kernel
def _scan_rows(
    values: NDArray[np.float32],
    width: int,
    first: int,
    activation: int,
    multi_label: bool,
    hits: NDArray[np.int64],
    buffer: NDArray[np.uint64],
    count: NDArray[np.int64],
    cutoff: NDArray[np.uint64],
    limits: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    discard: np.float32,
) -> None:
    labels = thresholds.shape[0]
    boxes = values.shape[0] // width
    # The limits of a row over and over, infinite for columns that hold no label's score.
    row_limits = np.full(width + STRIDE, np.inf, np.float32)
    repeat(limits, first, width, row_limits)
    probabilities = np.empty(width, np.float32)
    # A softmax goes row by row; otherwise the scan takes no notice of rows.
    for run in range(boxes if activation == act.SOFTMAX else 1):
        scores = values
        if activation == act.SOFTMAX:
            act.softmax(values[run * width : (run + 1) * width], probabilities)
            scores = probabilities
        position = 0
        last_row = -1
        while position < scores.shape[0]:
            found, position = next_hits(scores, position, row_limits, width, hits)
            for index in range(found):
                row = hits[index] // width
                label = hits[index] - row * width - first
                if not multi_label:
                    if row == last_row:
                        continue
                    last_row = row
                    begin = row * width + first
                    label = best_label(scores[begin : begin + labels], activation)
                score = act.activate(scores[row * width + first + label], activation)
                key = pack(score, label * boxes + run + row, thresholds[label], discard)
                if push(key, buffer, count, cutoff):
                    make_room(buffer, count, cutoff, limits, thresholds, discard, activation)
                    repeat(limits, first, width, row_limits)


@kernel
def _scan_planes(
    values: NDArray[np.float32],
    boxes: int,
    activation: int,
    hits: NDArray[np.int64],
    buffer: NDArray[np.uint64],
    count: NDArray[np.int64],
    cutoff: NDArray[np.uint64],
    limits: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    discard: np.float32,
) -> None:
    plane_limits = np.empty(1 + STRIDE, np.float32)
    for label in range(thresholds.shape[0]):
        plane = values[label * boxes : (label + 1) * boxes]
        plane_limits[:] = limits[label]
        position = 0
        while position < boxes:
            found, position = next_hits(plane, position, plane_limits, 1, hits)
            for index in range(found):
                box = hits[index]
                score = act.activate(plane[box], activation)
                key = pack(score, label * boxes + box, thresholds[label], discard)
                if push(key, buffer, count, cutoff):
                    make_room(buffer, count, cutoff, limits, thresholds, discard, activation)
                    plane_limits[:] = limits[label]


@kernel
def _scan_across_planes(
    values: NDArray[np.float32],
    boxes: int,
    activation: int,
    buffer: NDArray[np.uint64],
    count: NDArray[np.int64],
    cutoff: NDArray[np.uint64],
    limits: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    discard: np.float32,
) -> None:
    labels = thresholds.shape[0]
    best, best_labels = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.int32)
    column_values = np.empty(labels, np.float32)
    lowest = limits.min()
    for block in range(0, boxes, BLOCK):
        size = min(BLOCK, boxes - block)
        best[:] = -np.inf
        best_labels[:] = 0
        for label in range(labels):
            run = values[label * boxes + block : label * boxes + block + size]
            for column in range(size):
                value = run[column]
                # An infinite score is none; an infinite logit has the score 1.
                better = value > best[column] and (activation == act.SIGMOID or value < np.inf)
                best[column] = value if better else best[column]
                best_labels[column] = label if better else best_labels[column]
        for column in range(size):
            label = int(best_labels[column])
            # A lower label's logit may round to the same score, and that label may have a lower limit.
            if best[column] > (lowest if activation == act.SIGMOID else limits[label]):
                if activation == act.SIGMOID:
                    for other in range(labels):
                        column_values[other] = values[other * boxes + block + column]
                    label = best_label(column_values, activation)
                score = act.activate(best[column], activation)
                key = pack(score, label * boxes + block + column, thresholds[label], discard)
                if push(key, buffer, count, cutoff):
                    make_room(buffer, count, cutoff, limits, thresholds, discard, activation)
                    lowest = limits.min()


@kernel
def best_label(values: NDArray[np.float32], activation: int) -> int:
    """Label of the highest finite score of a box's `values` (L,), ties to the lower; 0 if none is finite."""
    best = act.largest(values)
    label = 0
    if best < np.inf or (best == np.inf and activation == act.SIGMOID):
        while values[label] != best:
            label += 1
    else:
        # A NaN or an infinite score: leave them out one by one.
        best = np.float32(-np.inf)
        for index in range(values.shape[0]):
            if values[index] > best and (values[index] < np.inf or activation == act.SIGMOID):
                best = values[index]
                label = index
    if activation == act.SIGMOID:
        # Different logits can round to one score.
        score = act.sigmoid(best)
        for index in range(label):
            if act.sigmoid(values[index]) == score:
                return index
    return label
