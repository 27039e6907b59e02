"""Threshold and gather: the candidates of a tensor of scores, the best of an image in a collector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._codings import BLOCK
from .._jit import borrowing, inner, pasted
from . import activation as act
from .bits import lowest_bit
from .candidates import LOWEST_KEY, pack
from .collector import Collector, begin_scan, ceiling, end_scan, lowest, make_room, push
from .numbers import (
    Numbers,
    as_float32,
    flat,
    highest_limits,
    number,
    part,
    raw,
    raw_limit,
    raw_limits,
    stride_of,
    with_softmax,
)
from .sampling import guess_cutoff
from .scan import NO_HITS, ONE, next_hits, repeat

# In a block with more candidates than this the best label of each box is looked for plane by plane.
_CROWDED = 8


@inner
def scan_scores(
    scores: Numbers,
    planar: bool,
    first: int,
    thresholds: NDArray[np.float32],
    discard: np.float32,
    activation: int,
    multi_label: bool,
    top: int,
    collector: Collector,
) -> int:
    """Collect the best candidates of an image, about `top` or more of those that the collector takes.

    Scores are (N, S), a row per box, or (S, N) if `planar`, a plane per label; those of the L labels begin at
    column or plane `first`. A softmax goes along rows, so planar scores have none, and it is for float32
    alone. Returns how many keys the collector holds, best first.
    """
    labels = thresholds.shape[0]
    boxes, width = raw(scores).shape
    values = flat(scores)
    if planar:
        boxes, width = width, boxes
        values = part(values, first * boxes, (first + labels) * boxes)
    begin_scan(collector, thresholds, discard, activation, LOWEST_KEY)
    if multi_label and activation != act.SOFTMAX:
        _, _, _, limits = collector
        guess = guess_cutoff(
            values, planar, boxes if planar else width, first, limits, thresholds, discard, activation, top,
            ceiling(collector),
        )  # fmt: skip
        begin_scan(collector, thresholds, discard, activation, guess)
    scan_part(
        values, planar, boxes if planar else width, first, thresholds, discard, activation, multi_label,
        collector, boxes, 0, 1, None, False,
    )  # fmt: skip
    # Along planes candidates are met in the order of their keys, which a stable sort by score keeps.
    return end_scan(collector, 32 if planar and multi_label else 0)


@pasted
def scan_part(
    values: Numbers,
    planar: bool,
    inner: int,
    first: int,
    thresholds: NDArray[np.float32],
    discard: np.float32,
    activation: int,
    multi_label: bool,
    collector: Collector,
    boxes: int,
    first_box: int,
    box_step: int,
    factors: NDArray[np.float32] | None,
    is_root: bool,
) -> None:
    """Collect the candidates of some boxes of an image, whose scan has begun and is not ended here.

    `values` are planes of `inner` boxes, those of the L labels, if `planar`; else rows of `inner` columns,
    where the labels' begin at `first`. The image has `boxes`, of which these are `first_box` and every
    `box_step`-th from there. With `factors`, one a box of the image, a score is that of `combined`.
    """
    if not planar:
        _scan_rows(
            values, inner, first, thresholds, discard, activation, multi_label, collector, boxes, first_box,
            box_step, factors, is_root,
        )  # fmt: skip
    elif multi_label:
        _scan_planes(
            values, inner, thresholds, discard, activation, collector, boxes, first_box, box_step, factors,
            is_root,
        )  # fmt: skip
    else:
        _scan_across_planes(
            values, inner, thresholds, discard, activation, collector, boxes, first_box, box_step, factors,
            is_root,
        )  # fmt: skip


@inner
def _scan_rows(
    values: Numbers,
    width: int,
    first: int,
    thresholds: NDArray[np.float32],
    discard: np.float32,
    activation: int,
    multi_label: bool,
    collector: Collector,
    boxes: int,
    first_box: int,
    box_step: int,
    factors: NDArray[np.float32] | None,
    is_root: bool,
) -> None:
    buffer, count, bounds, limits = collector
    labels = thresholds.shape[0]
    limiting = activation + act.ROOT if is_root else activation
    # The limits of a row over and over, the highest for columns that hold no label's score.
    row_limits = highest_limits(values, width + stride_of(values))
    repeat(raw_limits(values, limits), first, width, row_limits)
    logits, probabilities = act.new_row(width), act.new_row(width)
    least_difference = act.log_limit(lowest(limits))
    # A softmax goes row by row; otherwise the scan takes no notice of rows.
    for run in range(raw(values).shape[0] // width if activation == act.SOFTMAX else 1):
        scores, size = values, raw(values).shape[0]
        if activation == act.SOFTMAX:
            for column in range(width):
                logits[column] = number(values, run * width + column)
            # Most rows are of the background, which one look at the logits shows.
            highest = act.largest(logits[first : first + labels])
            if highest - act.largest(logits[:width]) <= least_difference:
                continue
            act.softmax(logits, width, probabilities)
            scores, size = with_softmax(values, probabilities), width
        position = 0
        last_row = -1
        while position < size:
            hits, position = next_hits(scores, position, size, row_limits, width)
            while hits != NO_HITS:
                place = position + lowest_bit(hits)
                hits &= hits - ONE
                row = place // width
                label = place - row * width - first
                if not 0 <= label < labels:
                    continue
                box = first_box + (run + row) * box_step
                if not multi_label:
                    if row == last_row:
                        continue
                    last_row = row
                    own = as_float32(scores, row * width + first, labels, logits)
                    label = best_label(own, activation)
                    if factors is not None:
                        label = lowest_equal(own, label, factors[box], activation, is_root)
                value = number(scores, row * width + first + label)
                if factors is None:
                    score = act.activate(value, activation)
                else:
                    score = act.combined(value, factors[box], activation, is_root)
                key = pack(score, label * boxes + box, thresholds[label], discard)
                if push(key, buffer, count, bounds):
                    make_room(buffer, count, bounds, limits, thresholds, discard, limiting)
                    repeat(raw_limits(values, limits), first, width, row_limits)
                    least_difference = act.log_limit(lowest(limits))
            position += BLOCK


@inner
def _scan_planes(
    values: Numbers,
    size: int,
    thresholds: NDArray[np.float32],
    discard: np.float32,
    activation: int,
    collector: Collector,
    boxes: int,
    first_box: int,
    box_step: int,
    factors: NDArray[np.float32] | None,
    is_root: bool,
) -> None:
    buffer, count, bounds, limits = collector
    limiting = activation + act.ROOT if is_root else activation
    plane_limits = highest_limits(values, 1 + stride_of(values))
    for label in range(thresholds.shape[0]):
        plane_limits[:] = raw_limit(values, limits[label])
        position = label * size
        stop = position + size
        while position < stop:
            hits, position = next_hits(values, position, stop, plane_limits, 1)
            while hits != NO_HITS:
                place = position + lowest_bit(hits)
                hits &= hits - ONE
                box = first_box + (place - label * size) * box_step
                if factors is None:
                    score = act.activate(number(values, place), activation)
                else:
                    score = act.combined(number(values, place), factors[box], activation, is_root)
                key = pack(score, label * boxes + box, thresholds[label], discard)
                if push(key, buffer, count, bounds):
                    make_room(buffer, count, bounds, limits, thresholds, discard, limiting)
                    plane_limits[:] = raw_limit(values, limits[label])
            position += BLOCK


@inner
def _scan_across_planes(
    values: Numbers,
    size: int,
    thresholds: NDArray[np.float32],
    discard: np.float32,
    activation: int,
    collector: Collector,
    boxes: int,
    first_box: int,
    box_step: int,
    factors: NDArray[np.float32] | None,
    is_root: bool,
) -> None:
    """Collect each box with the label of its highest score: first mark the boxes that any score makes one."""
    buffer, count, bounds, limits = collector
    labels = thresholds.shape[0]
    limiting = activation + act.ROOT if is_root else activation
    blocks = (size + BLOCK - 1) // BLOCK
    marks = np.empty(blocks, np.uint64)
    for block in range(blocks):
        marks[block] = NO_HITS
    plane_limits = highest_limits(values, 1 + stride_of(values))
    for label in range(labels):
        plane_limits[:] = raw_limit(values, limits[label])
        first = label * size
        position = first
        while position < first + size:
            hits, position = next_hits(values, position, first + size, plane_limits, 1)
            if hits != NO_HITS:
                marks[(position - first) // BLOCK] |= hits
                position += BLOCK
    best_labels = np.empty(BLOCK, np.int32)
    column = np.empty(labels, np.float32)
    for block in range(blocks):
        hits = marks[block]
        if hits == NO_HITS:
            continue
        first = block * BLOCK
        is_crowded = _count_bits(hits) > _CROWDED
        if is_crowded:
            _best_labels(values, size, labels, first, activation, best_labels)
        while hits != NO_HITS:
            place = first + lowest_bit(hits)
            hits &= hits - ONE
            box = first_box + place * box_step
            # Of sigmoids and products, a lower label's value may round to the same score.
            label = int(best_labels[place - first])
            if not is_crowded or activation == act.SIGMOID or factors is not None:
                for other in range(labels):
                    column[other] = number(values, other * size + place)
                label = best_label(column, activation)
            if factors is None:
                score = act.activate(number(values, label * size + place), activation)
            else:
                label = lowest_equal(column, label, factors[box], activation, is_root)
                score = act.combined(number(values, label * size + place), factors[box], activation, is_root)
            key = pack(score, label * boxes + box, thresholds[label], discard)
            if push(key, buffer, count, bounds):
                make_room(buffer, count, bounds, limits, thresholds, discard, limiting)


@inner
def _count_bits(bits: np.uint64) -> int:
    count = 0
    while bits != NO_HITS:
        bits &= bits - ONE
        count += 1
    return count


@inner
def _best_labels(
    values: Numbers,
    boxes: int,
    labels: int,
    first: int,
    activation: int,
    best_labels: NDArray[np.int32],
) -> None:
    """Label of the highest finite value of each box of a block, plane by plane, ties to the lower label."""
    best = np.empty(BLOCK, np.float32)
    size = min(BLOCK, boxes - first)
    for box in range(BLOCK):
        best[box] = -np.inf
        best_labels[box] = 0
    for label in range(labels):
        run = part(values, label * boxes + first, label * boxes + first + size)
        for box in range(size):
            value = number(run, box)
            # An infinite score is none; an infinite logit has the score 1.
            better = value > best[box] and (activation == act.SIGMOID or value < np.inf)
            best[box] = value if better else best[box]
            best_labels[box] = label if better else best_labels[box]


@borrowing
def push_row(
    scores: NDArray[np.float32],
    box: int,
    boxes: int,
    row_limits: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    discard: np.float32,
    multi_label: bool,
    buffer: NDArray[np.uint64],
    count: NDArray[np.int64],
    bounds: NDArray[np.uint64],
    limits: NDArray[np.float32],
) -> bool:
    """Collect the scores of box number `box` of `boxes` that are above their limits.

    `scores` is a `new_row`, and `row_limits` (L + STRIDE,) repeat the limits. True if the limits have risen.
    """
    labels = thresholds.shape[0]
    best = 0 if multi_label else best_label(scores[:labels], act.NONE)
    position = 0
    has_risen = False
    while position < labels:
        hits, position = next_hits(scores, position, labels, row_limits, labels)
        while hits != NO_HITS:
            label = position + lowest_bit(hits)
            hits &= hits - ONE
            if multi_label or label == best:
                key = pack(scores[label], label * boxes + box, thresholds[label], discard)
                if push(key, buffer, count, bounds):
                    make_room(buffer, count, bounds, limits, thresholds, discard, act.NONE)
                    repeat(limits, 0, labels, row_limits)
                    has_risen = True
        position += BLOCK
    return has_risen


@inner
def best_label(values: NDArray[np.float32], activation: int) -> int:
    """Label of the highest finite score of a box's `values` (L,), ties to the lower; 0 if none is finite."""
    best = act.largest(values)
    label = 0
    if best < np.inf or (best == np.inf and activation == act.SIGMOID):
        # It is there, unless another thread writes to the tensor meanwhile: that must not lead out of it.
        while label + 1 < values.shape[0] and values[label] != best:
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


@inner
def lowest_equal(
    values: NDArray[np.float32], best: int, factor: np.float32, activation: int, is_root: bool
) -> int:
    """Lowest label whose score with a factor is that of the best, which it may be rounded to."""
    score = act.combined(values[best], factor, activation, is_root)
    for label in range(best):
        if act.combined(values[label], factor, activation, is_root) == score:
            return label
    return best
