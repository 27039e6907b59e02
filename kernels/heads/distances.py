"""Distances from the cells of grids to the four sides of a box, as of FCOS (Tian et al. 2019) and GFL.

An image's boxes are numbered level by level, in each by ``(row * columns + column) * anchors + anchor``.
Numbers of a box are found by steps, which serve every layout; scores are scanned in parts that lie together.
"""

from __future__ import annotations

import math
from typing import NamedTuple, NewType

import numpy as np
from numpy.typing import NDArray

from .._jit import inlined, inner
from ..core import activation as act
from ..core.candidates import LOWEST_KEY, order_of, pack
from ..core.collector import Collector, begin_scan, ceiling, end_scan, make_room, push
from ..core.numbers import Numbers, image_of, number, part
from ..core.sampling import guess_cutoff
from ..core.scores import best_label, lowest_equal, scan_part
from .arguments import Activation, Rule
from .driver import detector
from .levels import (
    BOX_STEP,
    CHANNEL_STEP,
    FIRST_COLUMN,
    INNER,
    IS_PLANAR,
    PART_BOX,
    PART_START,
    PART_TENSOR,
    SIZE,
    STRIDE,
    TENSOR,
    AnchorsPerCell,
    CellOffset,
    InStrides,
    LevelTable,
    Parts,
    level_of,
    place_cell,
)

PLAIN = 0
RELU = 1
EXP = 2

LevelScores = NewType("LevelScores", NDArray[np.float32])
LevelDistances = NewType("LevelDistances", NDArray[np.float32])
Bins = NewType("Bins", int)
FirstBin = NewType("FirstBin", float)
DistanceActivation = NewType("DistanceActivation", int)
Factors = NewType("Factors", NDArray[np.float32])
IsRoot = NewType("IsRoot", bool)
ScoreSums = NewType("ScoreSums", NDArray[np.float32])

# Sums of quantised networks are rounded, as the scores are: by half a step of 1/255 each.
SUM_MARGIN = np.float32(1.0 / 128.0)
# Beyond such a share of cells all numbers are scanned sooner than those of some cells are gathered.
_SHARE = 32
_FEWEST = 64


class Distances(NamedTuple):
    """Up to six tensors of scores and of distances, each (B, numbers of an image).

    Rows of `parts` (P, 8) are runs of scores, planes of INNER boxes or rows of INNER columns, of SIZE numbers
    from PART_START on, whose boxes are PART_BOX and every BOX_STEP-th from there. Rows of `levels`
    (1 or B, S, 8) say where the distances of a level are. `factors` and `sums` are (B, N), or (B, 0): none.
    A distance is the expectation of a softmax over `bins` from `first_bin` on (Li et al. 2020,
    arXiv:2006.04388).
    """

    scores0: LevelScores
    scores1: LevelScores
    scores2: LevelScores
    scores3: LevelScores
    scores4: LevelScores
    scores5: LevelScores
    parts: Parts
    activation: Activation
    factors: Factors
    is_root: IsRoot
    sums: ScoreSums
    distances0: LevelDistances
    distances1: LevelDistances
    distances2: LevelDistances
    distances3: LevelDistances
    distances4: LevelDistances
    distances5: LevelDistances
    levels: LevelTable
    anchors: AnchorsPerCell
    cell_offset: CellOffset
    in_strides: InStrides
    bins: Bins
    first_bin: FirstBin
    distance_activation: DistanceActivation


@inner
def _scan(head: Distances, image: int, boxes: int, rule: Rule, room: int, collector: Collector) -> int:
    tensors = (head.scores0, head.scores1, head.scores2, head.scores3, head.scores4, head.scores5)
    thresholds, discard, multi_label = rule.thresholds, rule.discard, rule.multi_label
    parts, activation, is_root = head.parts, head.activation, head.is_root
    limiting = activation + act.ROOT if is_root else activation
    labels = thresholds.shape[0]
    begin_scan(collector, thresholds, discard, limiting, LOWEST_KEY)
    factors, sums = head.factors[image], head.sums[image]
    has_factors = factors.shape[0] > 0
    if multi_label and activation != act.SOFTMAX and not has_factors and parts.shape[0] > 0:
        # What the first part shows is taken for all: it is the largest, or there is no other.
        run = parts[0]
        values = _run_of(tensors, image, run)
        _, _, _, limits = collector
        top = room * (run[SIZE] // run[INNER] if not run[IS_PLANAR] else run[INNER]) // max(boxes, 1)
        guess = guess_cutoff(
            values, run[IS_PLANAR] != 0, run[INNER], run[FIRST_COLUMN], limits, thresholds, discard,
            activation, max(top, 1), ceiling(collector),
        )  # fmt: skip
        begin_scan(collector, thresholds, discard, activation, guess)
    least = np.float32(np.inf)
    for label in range(labels):
        least = min(least, min(thresholds[label], discard))
    if is_root:
        least *= least
    for index in range(parts.shape[0]):
        run = parts[index]
        values = _run_of(tensors, image, run)
        if sums.shape[0] > 0 and _scan_some(
            values, run, sums, least - SUM_MARGIN, rule, activation, limiting, collector, boxes, factors,
            has_factors, is_root,
        ):  # fmt: skip
            continue
        if has_factors:
            scan_part(
                values, run[IS_PLANAR] != 0, run[INNER], run[FIRST_COLUMN], thresholds, discard,
                activation, multi_label, collector, boxes, run[PART_BOX], run[BOX_STEP], factors, is_root,
            )  # fmt: skip
        else:
            scan_part(
                values, run[IS_PLANAR] != 0, run[INNER], run[FIRST_COLUMN], thresholds, discard,
                activation, multi_label, collector, boxes, run[PART_BOX], run[BOX_STEP], None, False,
            )  # fmt: skip
    return end_scan(collector, 0)


@inlined
def _run_of(tensors: tuple[Numbers, ...], image: int, run: NDArray[np.int64]) -> Numbers:
    """Return the numbers of a row of `Parts`."""
    found: Numbers = part(
        image_of(tensors[run[PART_TENSOR]], image), run[PART_START], run[PART_START] + run[SIZE]
    )
    return found


@inner
def _scan_some(
    values: Numbers,
    run: NDArray[np.int64],
    sums: NDArray[np.float32],
    least: np.float32,
    rule: Rule,
    activation: int,
    limiting: int,
    collector: Collector,
    boxes: int,
    factors: NDArray[np.float32],
    has_factors: bool,
    is_root: bool,
) -> bool:
    """Collect the candidates of boxes whose sum of scores is above `least`; False if they are too many."""
    thresholds, discard, multi_label = rule.thresholds, rule.discard, rule.multi_label
    buffer, count, bounds, limits = collector
    labels = thresholds.shape[0]
    is_planar, first = run[IS_PLANAR] != 0, run[FIRST_COLUMN]
    size = run[INNER] if is_planar else run[SIZE] // run[INNER]
    box_step, label_step = (1, run[INNER]) if is_planar else (run[INNER], 1)
    start, step = run[PART_BOX], run[BOX_STEP]
    # Not above, since a sum that is NaN says nothing.
    passing = 0
    for index in range(size):
        passing += not sums[start + index * step] <= least
    if passing * _SHARE > size + _FEWEST * _SHARE:
        return False
    row = np.empty(labels, np.float32)
    for index in range(size):
        box = start + index * step
        if sums[box] <= least:
            continue
        at = index * box_step + first
        for label in range(labels):
            row[label] = number(values, at + label * label_step)
        factor = factors[box] if has_factors else np.float32(1.0)
        best = -1
        if not multi_label:
            best = best_label(row, activation)
            if has_factors:
                best = lowest_equal(row, best, factor, activation, is_root)
        for label in range(labels):
            if not row[label] > limits[label] or (best >= 0 and label != best):
                continue
            if has_factors:
                score = act.combined(row[label], factor, activation, is_root)
            else:
                score = act.activate(row[label], activation)
            key = pack(score, label * boxes + box, thresholds[label], discard)
            if push(key, buffer, count, bounds):
                make_room(buffer, count, bounds, limits, thresholds, discard, limiting)
    return True


@inner
def _decode(
    head: Distances,
    image: int,
    boxes: int,
    keys: NDArray[np.uint64],
    count: int,
    corners: NDArray[np.float32],
) -> None:
    tensors = (
        head.distances0, head.distances1, head.distances2, head.distances3, head.distances4, head.distances5,
    )  # fmt: skip
    levels = head.levels[image if head.levels.shape[0] > 1 else 0]
    bins, activation = head.bins, head.distance_activation
    of_level, starts, members = (
        np.empty(count, np.int64),
        np.empty(count, np.int64),
        np.empty(count, np.int64),
    )
    centres, scales = np.empty((count, 2), np.float64), np.empty(count, np.float64)
    numbers = np.empty((4 * bins, count), np.float32)
    for index in range(count):
        box = int(order_of(keys[index]) % boxes)
        level = level_of(box, levels)
        of_level[index] = level
        starts[index] = place_cell(box, levels[level], head.anchors, head.cell_offset, centres[index])
        scales[index] = levels[level, STRIDE] if head.in_strides else 1.0
    # Channel by channel: where each is a plane, its pages are looked up once for all candidates.
    for level in range(levels.shape[0]):
        many = 0
        for index in range(count):
            members[many] = index
            many += of_level[index] == level
        if many == 0:
            continue
        source, step = image_of(tensors[levels[level, TENSOR]], image), levels[level, CHANNEL_STEP]
        for channel in range(4 * bins):
            row, offset = numbers[channel], channel * step
            for member in range(many):
                index = members[member]
                row[index] = number(source, starts[index] + offset)
    distances = numbers
    if bins > 1:
        distances = np.empty((4, count), np.float32)
        for side in range(4):
            _expectations(numbers[side * bins : (side + 1) * bins], head.first_bin, distances[side])
    elif activation != PLAIN:
        for side in range(4):
            for index in range(count):
                value = distances[side, index]
                if activation == EXP:
                    value = np.float32(math.exp(np.float64(value)))
                elif value < 0.0:
                    value = np.float32(0.0)
                distances[side, index] = value
    for index in range(count):
        x, y, scale = centres[index, 0], centres[index, 1], scales[index]
        corners[index, 0] = x - np.float64(distances[0, index]) * scale
        corners[index, 1] = y - np.float64(distances[1, index]) * scale
        corners[index, 2] = x + np.float64(distances[2, index]) * scale
        corners[index, 3] = y + np.float64(distances[3, index]) * scale


@inner
def _expectations(logits: NDArray[np.float32], first_bin: float, expectations: NDArray[np.float32]) -> None:
    """Write the expectation of each column's softmax over its rows, in float64, rounded to float32."""
    bins, count = logits.shape
    highest = np.empty(count, np.float32)
    totals, moments = np.empty(count, np.float64), np.empty(count, np.float64)
    for index in range(count):
        highest[index] = logits[0, index]
        totals[index] = moments[index] = 0.0
    for bin_ in range(1, bins):
        row = logits[bin_]
        for index in range(count):
            highest[index] = row[index] if row[index] > highest[index] else highest[index]
    for bin_ in range(bins):
        row, weight = logits[bin_], np.float64(bin_)
        for index in range(count):
            power = _exp(np.float64(row[index]) - np.float64(highest[index]))
            totals[index] += power
            moments[index] += weight * power
    for index in range(count):
        expectations[index] = first_bin + moments[index] / totals[index]


@inlined
def _exp(x: float) -> float:
    """exp(x) for x <= 0 in float64, within a few ulp, in arithmetic that LLVM vectorises; NaN stays NaN.

    Cody-Waite reduction to abs(r) <= ln(2) / 2, and Taylor's polynomial, whose rest is below 1e-17.
    """
    # Below -708 the power of two leaves the normal range, and float32 makes nothing of so small a part.
    tiny = x < -708.0
    x = -708.0 if tiny else x
    # Adding 1.5 * 2**52 rounds to an integer without a call, and leaves it in the low bits.
    shifted = x * 1.4426950408889634 + 6755399441055744.0
    whole = shifted - 6755399441055744.0
    r = x - whole * 6.93147180369123816490e-01
    r = r - whole * 1.90821492927058770002e-10
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    bits = (np.float64(shifted).view(np.uint64) << np.uint64(52)) + np.uint64(1023 << 52)
    return 0.0 if tiny else p * np.uint64(bits).view(np.float64)


detect_distances = detector(Distances, _scan, _decode)
