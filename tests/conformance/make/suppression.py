"""Cases of plain NMS: thresholds, last bits, order, ties."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np

from tests.conformance.make.nms_drafts import APART, FAR, HALF, SQUARE, at_threshold, nms
from tests.conformance.make.writing import Draft


def drafts() -> Iterator[Draft]:
    yield from chain(_thresholds(), _last_bits(), _greedy(), _ties())


def _thresholds() -> Iterator[Draft]:
    yield at_threshold(
        "iou-at-threshold-stays",
        "Two boxes whose IoU is exactly the threshold are both kept.",
        HALF,
        0.5,
        "50 / 100 = 0.5 is not greater than 0.5.",
        rule=4,
    )
    yield at_threshold(
        "quarter-at-threshold-stays",
        "An IoU of exactly a quarter is not above a threshold of a quarter.",
        [[0, 0, 4, 4], [0, 0, 2, 2]],
        0.25,
        "4 / 16 = 0.25 is not greater than 0.25.",
        rule=4,
    )
    yield nms(
        "iou-above-threshold-goes",
        4,
        "The lower-scored of two boxes that overlap by more than the threshold goes.",
        [SQUARE, [0, 0, 10, 6]],
        [0.9, 0.8],
        0.5,
        "60 / 100 is greater than 0.5.",
    )
    for side, outcome in ((49, "stays"), (51, "goes")):
        yield nms(
            f"one-pixel-{'less' if side < 50 else 'more'}-{outcome}",
            4,
            f"Of 100 rows of pixels {side} are shared at a threshold of a half: the second box {outcome}.",
            [[0, 0, 100, 100], [0, 0, 100, side]],
            [0.9, 0.8],
            0.5,
            f"{side} / 100, beside 0.5.",
        )
    yield nms(
        "one-keeps-equal-boxes",
        14,
        "At threshold 1 even equal boxes are both kept.",
        [SQUARE, SQUARE],
        [0.9, 0.8],
        1.0,
        "Their IoU is 1, which is not greater than 1.",
        kept=[0, 1],
    )
    yield nms(
        "zero-removes-any-overlap",
        14,
        "At threshold 0 a shared corner of one unit removes a box, a shared edge does not.",
        [SQUARE, [9, 9, 19, 19], [10, 0, 20, 9]],
        [0.9, 0.8, 0.7],
        0.0,
        "1 / 199 is greater than 0; the third touches the first at x = 10, IoU 0.",
        kept=[0, 2],
    )


def _last_bits() -> Iterator[Draft]:
    below, above = (float(np.nextafter(np.float32(0.5), np.float32(to))) for to in (0, 1))
    yield at_threshold(
        "threshold-a-bit-below-goes",
        "An IoU of 0.5 is above the float32 just below 0.5.",
        HALF,
        below,
        "0.5 > 0.49999997: a comparison with a tolerance would keep both.",
    )
    yield at_threshold(
        "threshold-a-bit-above-stays",
        "An IoU of 0.5 is not above the float32 just above 0.5.",
        HALF,
        above,
        "0.5 < 0.50000006.",
    )
    yield at_threshold(
        "third-at-threshold",
        "An IoU of a third, at a threshold that is a third rounded to float32, is not above it.",
        [[0, 0, 2, 1], [1, 0, 3, 1]],
        1 / 3,
        "1 / 3 in float32 is the threshold in float32. Others compare it with the float64, which is less.",
        definition=True,
    )
    yield at_threshold(
        "sixth-decimal-of-a-third",
        "An IoU of a third is above the threshold 0.333333.",
        [[0, 0, 2, 1], [1, 0, 3, 1]],
        0.333333,
        "1 / 3 in float32 is 0.33333334, the threshold 0.333333.",
    )
    for tenths, boxes in (
        (1, [SQUARE, [0, 0, 10, 1]]),
        (3, [SQUARE, [0, 0, 10, 3]]),
        (6, [SQUARE, [0, 0, 6, 10]]),
        (7, [SQUARE, [3, 0, 10, 10]]),
    ):
        side = "more" if float(np.float32(tenths / 10)) > tenths / 10 else "less"
        yield at_threshold(
            f"{tenths}-tenths-at-threshold",
            f"An IoU of 0.{tenths} is not above the threshold 0.{tenths}.",
            boxes,
            tenths / 10,
            f"Both are 0.{tenths} in float32, {side} than in float64, with which others compare.",
            definition=True,
        )
    for id, boxes, outcome in (
        ("up", [[0, 0, 6079, 3122], [0, 0, 6079, 1561]], "0.50000006, and the second box goes"),
        ("down", [[0, 0, 8386, 3266], [0, 0, 8386, 1633]], "0.49999997, and the second box stays"),
    ):
        yield at_threshold(
            f"large-areas-round-{id}",
            "Sums of areas beyond 2^24 are rounded: half of a large box is not exactly half.",
            boxes,
            0.5,
            f"Step by step in float32 the IoU is {outcome}. Others take float64, which gives 0.5.",
            definition=True,
        )


def _greedy() -> Iterator[Draft]:
    chained = [[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10], [12, 0, 22, 10]]
    yield nms(
        "suppressed-box-suppresses-none",
        5,
        "A box that was removed removes no other.",
        chained[:3],
        [0.9, 0.8, 0.7],
        0.3,
        "The second goes by the first (60 / 140); the third meets the second alike, the first by 20 / 180.",
    )
    yield nms(
        "chain-of-four",
        5,
        "Of a chain of four boxes, each of which overlaps the next, the first and the third are kept.",
        chained,
        [0.9, 0.8, 0.7, 0.6],
        0.3,
        "The second goes by the first, the fourth by the third. Fast NMS keeps the first only.",
    )
    yield nms(
        "chain-best-in-the-middle",
        5,
        "The best box in the middle of a chain removes both neighbours.",
        chained[:3],
        [0.7, 0.9, 0.8],
        0.3,
        "60 / 140 with each.",
    )
    yield nms(
        "rows-by-score",
        6,
        "Rows come by descending score, not in the order of the input.",
        APART,
        [0.25, 0.75, 0.5],
        0.5,
        "Scores 0.75, 0.5, 0.25.",
    )
    yield nms(
        "worse-before-better",
        6,
        "A box that comes first in the input and scores less goes.",
        [[0, 0, 10, 9], SQUARE],
        [0.25, 0.75],
        0.5,
        "90 / 100 with the better one.",
    )
    yield nms(
        "negative-scores",
        6,
        "Scores may be logits: negative ones are ordered as numbers.",
        APART,
        [-1.0, -2.0, -0.5],
        0.5,
        "-0.5 > -1 > -2; by their bits as unsigned integers the order would be reversed.",
    )
    yield nms(
        "scores-a-bit-apart",
        6,
        "Of two boxes whose scores differ by the last bit of float32 the better one is kept.",
        [SQUARE, SQUARE],
        [0.5, float(np.nextafter(np.float32(0.5), np.float32(1)))],
        0.5,
        "0.50000006 > 0.5, so that this is no tie.",
        kept=[1],
    )
    yield nms(
        "denormal-scores",
        6,
        "The smallest float32 is a higher score than zero.",
        [SQUARE, SQUARE, FAR],
        [0.0, 1e-45, 3e-45],
        0.5,
        "2.8e-45 > 1.4e-45 > 0: denormal numbers are not flushed to zero. Others may run with flushing on.",
        kept=[2, 1],
        definition=True,
    )
    yield nms(
        "one-box",
        23,
        "A single box is kept.",
        [SQUARE],
        [0.5],
        0.5,
        "Nothing is above it.",
    )
    many = [[20 * (row % 6), 20 * (row // 6), 20 * (row % 6) + 15, 20 * (row // 6) + 15] for row in range(36)]
    yield nms(
        "all-apart-all-kept",
        23,
        "36 boxes that share nothing are all kept.",
        many,
        [(row * 7 % 36 + 1) / 64 for row in range(36)],
        0.0,
        "All IoU are 0; the order is that of the scores.",
    )
    yield nms("empty", 21, "No boxes give no rows.", [], [], 0.5, "Nothing in, nothing out.", kept=[])


def _ties() -> Iterator[Draft]:
    yield nms(
        "ties-equal-scores",
        7,
        "Of two equal boxes with equal scores the first is kept.",
        [SQUARE, SQUARE, FAR],
        [0.5, 0.5, 0.75],
        0.5,
        "The lower row counts as the higher score. Others keep the later one, or leave it open.",
        definition=True,
    )
    yield nms(
        "ties-of-a-chain",
        7,
        "In a chain of three boxes with equal scores the first and the third are kept.",
        [[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]],
        [0.5, 0.5, 0.5],
        0.3,
        "The first removes the second, and the third meets the first by 20 / 180. Others may begin in the "
        "middle, and keep one.",
        definition=True,
    )
    yield nms(
        "ties-in-order",
        7,
        "40 boxes apart with two scores come by score, and of each score by row.",
        [[20 * row, 0, 20 * row + 10, 10] for row in range(40)],
        [0.5 if row % 3 else 0.75 for row in range(40)],
        0.5,
        "An unstable sort shows with more than 16 numbers. Others leave the order of ties open.",
        definition=True,
    )
    yield nms(
        "zeros-of-both-signs-tie",
        7,
        "Scores of -0.0 and 0.0 are equal.",
        [SQUARE, SQUARE],
        [-0.0, 0.0],
        0.5,
        "IEEE 754: -0 equals 0, so the lower row is kept. Others that order by bits keep the second.",
        kept=[0],
        definition=True,
    )
