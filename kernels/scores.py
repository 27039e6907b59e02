"""Threshold and gather: the candidates of a tensor of scores, the best of each image as sorted keys.

Every scan returns ``(keys, offsets, truncated)``: the keys of image i are
``keys[offsets[i]:offsets[i + 1]]``, best first, and ``truncated[i]`` says that the image has more candidates,
all of lower rank.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import activation as act
from ._jit import kernel
from .candidates import NO_KEY, pack
from .collector import begin_image, end_image, keep_better_half, new_buffer, push
from .scan import BLOCK, STRIDE, next_hits, repeat

Scan = tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.bool_]]


@kernel
def scan_rows(
    scores: NDArray[np.float32],
    first: int,
    thresholds: NDArray[np.float32],
    discard: np.float32,
    activation: int,
    multi_label: bool,
    top: int,
    start: int,
    stop: int,
) -> Scan:
    """Candidates of scores (B, N, S), one row a box; the scores of the L labels begin at column `first`."""
    boxes, width = scores.shape[1], scores.shape[2]
    labels = thresholds.shape[0]
    buffer = new_buffer(top, boxes * labels)
    count, cutoff = np.zeros(1, np.int64), np.zeros(1, np.uint64)
    limits = np.empty(labels, np.float32)
    # The limits of a row over and over, infinite for columns that hold no label's score.
    row_limits = np.full(width + STRIDE, np.inf, np.float32)
    hits = np.empty(BLOCK + 1, np.int64)
    probabilities = np.empty(width, np.float32)
    keys = np.empty(0, np.uint64)
    offsets = np.zeros(stop - start + 1, np.int64)
    truncated = np.zeros(stop - start, np.bool_)
    for image in range(start, stop):
        begin_image(count, cutoff, limits, thresholds, discard, activation)
        repeat(limits, first, width, row_limits)
        # A softmax goes row by row; otherwise the scan takes no notice of rows.
        for run in range(boxes if activation == act.SOFTMAX else 1):
            values = scores[image].reshape(-1)
            if activation == act.SOFTMAX:
                act.softmax(scores[image, run], probabilities)
                values = probabilities
            position = 0
            last_row = -1
            while position < values.shape[0]:
                found, position = next_hits(values, position, row_limits, width, hits)
                for index in range(found):
                    row = hits[index] // width
                    label = hits[index] - row * width - first
                    if not multi_label:
                        if row == last_row:
                            continue
                        last_row = row
                        begin = row * width + first
                        label = best_label(values[begin : begin + labels], activation)
                    score = act.activate(values[row * width + first + label], activation)
                    key = pack(score, label * boxes + run + row, thresholds[label], discard)
                    if push(key, buffer, count, cutoff):
                        keep_better_half(buffer, count, cutoff, limits, thresholds, discard, activation)
                        repeat(limits, first, width, row_limits)
        total = offsets[image - start]
        keys = end_image(buffer, count, 0, keys, total)
        offsets[image - start + 1] = total + count[0]
        truncated[image - start] = cutoff[0] != NO_KEY
    return keys, offsets, truncated


@kernel
def scan_planes(
    scores: NDArray[np.float32],
    first: int,
    thresholds: NDArray[np.float32],
    discard: np.float32,
    activation: int,
    multi_label: bool,
    top: int,
    start: int,
    stop: int,
) -> Scan:
    """Candidates of scores (B, S, N), one plane a label; those of the L labels begin at plane `first`.

    The activation is none or sigmoid: a softmax wants rows.
    """
    boxes = scores.shape[2]
    labels = thresholds.shape[0]
    buffer = new_buffer(top, boxes * labels)
    count, cutoff = np.zeros(1, np.int64), np.zeros(1, np.uint64)
    limits = np.empty(labels, np.float32)
    plane_limits = np.empty(1 + STRIDE, np.float32)
    hits = np.empty(BLOCK + 1, np.int64)
    best, best_labels = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.int32)
    keys = np.empty(0, np.uint64)
    offsets = np.zeros(stop - start + 1, np.int64)
    truncated = np.zeros(stop - start, np.bool_)
    for image in range(start, stop):
        begin_image(count, cutoff, limits, thresholds, discard, activation)
        planes = scores[image, first : first + labels]
        if multi_label:
            for label in range(labels):
                values = planes[label]
                plane_limits[:] = limits[label]
                position = 0
                while position < boxes:
                    found, position = next_hits(values, position, plane_limits, 1, hits)
                    for index in range(found):
                        box = hits[index]
                        score = act.activate(values[box], activation)
                        key = pack(score, label * boxes + box, thresholds[label], discard)
                        if push(key, buffer, count, cutoff):
                            keep_better_half(buffer, count, cutoff, limits, thresholds, discard, activation)
                            plane_limits[:] = limits[label]
        else:
            for block in range(0, boxes, BLOCK):
                size = min(BLOCK, boxes - block)
                _best_labels(planes, block, size, activation, best, best_labels)
                for column in range(size):
                    label = int(best_labels[column])
                    if best[column] > limits[label]:
                        if activation == act.SIGMOID:
                            label = best_label(planes[:, block + column], activation)
                        score = act.activate(best[column], activation)
                        key = pack(score, label * boxes + block + column, thresholds[label], discard)
                        if push(key, buffer, count, cutoff):
                            keep_better_half(buffer, count, cutoff, limits, thresholds, discard, activation)
        total = offsets[image - start]
        # Along planes candidates are met in the order of their keys, which a stable sort by score keeps.
        keys = end_image(buffer, count, 32 if multi_label else 0, keys, total)
        offsets[image - start + 1] = total + count[0]
        truncated[image - start] = cutoff[0] != NO_KEY
    return keys, offsets, truncated


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


@kernel
def _best_labels(
    planes: NDArray[np.float32],
    start: int,
    size: int,
    activation: int,
    best: NDArray[np.float32],
    labels: NDArray[np.int32],
) -> None:
    """`best_label` of `size` columns of `planes` (L, N), without its look at rounded scores."""
    best[:] = -np.inf
    labels[:] = 0
    unlimited = activation == act.SIGMOID
    for label in range(planes.shape[0]):
        values = planes[label, start : start + size]
        for column in range(size):
            value = values[column]
            better = value > best[column] and (unlimited or value < np.inf)
            best[column] = value if better else best[column]
            labels[column] = label if better else labels[column]
