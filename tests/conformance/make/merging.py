"""Cases of soft and of weighted NMS."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain, pairwise
from typing import Any

import numpy as np

from tests.conformance.make.nms_drafts import FAR, HALF, SQUARE
from tests.conformance.make.oracles import Box, Index, nearest, rational_iou, stepwise_iou
from tests.conformance.make.writing import Draft, as_boxes

CHAIN = [[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]]
APART = 1e-4  # no two scores, and no score and a threshold, are nearer


def soft_oracle(
    boxes: Sequence[Box], scores: Sequence[float], labels: Sequence[int], sigma: float, threshold: float
) -> tuple[list[int], list[float]]:
    """Soft NMS by its definition, in float64: pick the best, let the others of its label decay, and again."""
    current = {row: float(np.float32(score)) for row, score in enumerate(scores)}
    kept, found = [], []
    while current:
        values = sorted([*current.values(), threshold])
        assert min(b - a for a, b in pairwise(values)) > APART, values
        row = max(current, key=lambda row: current[row])
        score = current.pop(row)
        if score <= threshold:
            break
        kept.append(row)
        found.append(nearest(score))
        for other in current:
            if labels[other] == labels[row]:
                overlap = float(rational_iou(boxes[row], boxes[other]))
                current[other] *= math.exp(-(overlap**2) / sigma)
    return kept, found


def soft(
    id: str,
    rule: int,
    title: str,
    boxes: Sequence[Box],
    scores: Sequence[float],
    why: str,
    *,
    labels: Sequence[int] | None = None,
    sigma: float = 0.5,
    threshold: float = 0.01,
    **more: Any,
) -> Draft:
    labels = [0] * len(boxes) if labels is None else labels
    kept, decayed = soft_oracle(boxes, scores, labels, sigma, threshold)
    parameters = {"sigma": sigma, "score_threshold": threshold}
    expected = {"kept": kept, "scores": decayed}
    return Draft(
        "merging", f"soft-{id}", rule, title, "soft_nms", _inputs(boxes, scores, labels), expected, "float64",
        why, parameters, tolerance=1e-6, **more,
    )  # fmt: skip


def weighted_oracle(
    boxes: Sequence[Box], scores: Sequence[float], labels: Sequence[int], threshold: float, index: Index
) -> dict[str, Any]:
    """Weighted NMS by its definition, means in rational numbers; IoU at the threshold is decided stepwise."""
    exact = [Fraction(float(np.float32(score))) for score in scores]
    left = sorted(range(len(boxes)), key=lambda row: (-exact[row], row))
    kept, merged = [], []
    while left:
        best = left[0]
        group = [
            row
            for row in left
            if row == best
            or (labels[row] == labels[best] and index(boxes[best], boxes[row]) > np.float32(threshold))
        ]
        total = sum(exact[row] for row in group)
        sides = [
            sum(exact[row] * Fraction(float(boxes[row][side])) for row in group) / total for side in range(4)
        ]
        kept.append(best)
        merged.append([nearest(side) for side in sides])
        left = [row for row in left if row not in group]
    return {"kept": kept, "boxes": merged, "scores": [nearest(exact[row]) for row in kept]}


def weighted(
    id: str,
    rule: int,
    title: str,
    boxes: Sequence[Box],
    scores: Sequence[float],
    threshold: float,
    why: str,
    *,
    labels: Sequence[int] | None = None,
    **more: Any,
) -> Draft:
    labels = [0] * len(boxes) if labels is None else labels
    expected = weighted_oracle(boxes, scores, labels, threshold, stepwise_iou)
    return Draft(
        "merging", f"weighted-{id}", rule, title, "weighted_nms", _inputs(boxes, scores, labels), expected,
        "rational", why, {"iou_threshold": threshold}, tolerance=1e-3, **more,
    )  # fmt: skip


def drafts() -> Iterator[Draft]:
    yield from chain(_soft(), _weighted())


def _inputs(boxes: Sequence[Box], scores: Sequence[float], labels: Sequence[int]) -> dict[str, Any]:
    return {
        "boxes": as_boxes(boxes),
        "scores": np.array(scores, np.float32),
        "labels": np.array(labels, np.int64),
    }


def _soft() -> Iterator[Draft]:
    yield soft(
        "decay-of-a-half", 38, "A box that overlaps the best by a half keeps exp(-0.5) of its score.",
        HALF, [0.9, 0.8], "0.8 * exp(-0.25 / 0.5).",
    )  # fmt: skip
    yield soft(
        "equal-boxes", 38, "An equal box keeps exp(-2) of its score.",
        [SQUARE, SQUARE], [0.9, 0.8], "IoU 1: 0.8 * exp(-1 / 0.5).",
    )  # fmt: skip
    yield soft(
        "apart", 38, "Boxes apart, or that touch, keep their scores.",
        [SQUARE, [10, 0, 20, 10], FAR], [0.7, 0.8, 0.9], "exp(0) = 1.",
    )  # fmt: skip
    yield soft(
        "sigma-small", 38, "With a small sigma a score decays more.",
        HALF, [0.9, 0.8], "0.8 * exp(-0.25 / 0.125).", sigma=0.125,
    )  # fmt: skip
    yield soft(
        "sigma-large", 38, "With a large sigma a score decays less.",
        HALF, [0.9, 0.8], "0.8 * exp(-0.25 / 2).", sigma=2.0,
    )  # fmt: skip
    yield soft(
        "any-overlap-decays", 38, "There is no IoU threshold: a small overlap lets a score decay a little.",
        [SQUARE, [9, 0, 19, 10]], [0.9, 0.8],
        "IoU 10 / 190: 0.8 * 0.9945. Others decay above a threshold only.",
        definition=True,
    )  # fmt: skip
    yield soft(
        "order-by-decayed-scores", 39, "A box apart overtakes one that decayed.",
        [*HALF, FAR], [0.9, 0.8, 0.6], "0.8 becomes 0.485, less than 0.6.",
    )  # fmt: skip
    yield soft(
        "decays-by-each-kept", 38, "Two kept boxes let a third decay twice.",
        [SQUARE, [0, 0, 10, 8], [0, 0, 10, 6]], [0.9, 0.8, 0.75],
        "By exp(-0.36 / 0.5), then exp(-0.5625 / 0.5).",
    )  # fmt: skip
    yield soft(
        "chain", 39, "In a chain the last box decays by the middle one, however low that one scores by then.",
        CHAIN, [0.9, 0.8, 0.3], "The middle one has 0.554 by then, and the last decays by both.",
    )  # fmt: skip
    yield soft(
        "below-threshold-goes", 39, "A score that decays below the threshold is not returned.",
        [SQUARE, SQUARE, FAR], [0.9, 0.8, 0.3], "0.8 * exp(-2) = 0.108 is not above 0.25.", threshold=0.25,
    )  # fmt: skip
    yield soft(
        "labels-do-not-meet", 15, "Boxes of another label do not let a score decay.",
        [SQUARE, SQUARE, [0, 0, 10, 5]], [0.9, 0.8, 0.7],
        "The second keeps 0.8, the third decays by the first.",
        labels=[0, 1, 0],
    )  # fmt: skip
    yield soft(
        "best-last", 6, "The best box may come last in the input.",
        [[0, 0, 10, 5], FAR, SQUARE], [0.7, 0.8, 0.9], "The first decays by the third.",
    )  # fmt: skip
    yield soft(
        "empty", 21, "No boxes give no rows.", [], [], "Nothing in, nothing out.",
    )  # fmt: skip


def _weighted() -> Iterator[Draft]:
    yield weighted(
        "mean-of-two", 40, "Two boxes that overlap become their mean.",
        [SQUARE, [0, 0, 10, 8]], [0.75, 0.25], 0.5, "ymax = (0.75 * 10 + 0.25 * 8) / 1; the score is 0.75.",
    )  # fmt: skip
    yield weighted(
        "mean-of-all-sides", 40, "Each side is a mean of its own.",
        [[0, 0, 10, 10], [2, 1, 12, 11]], [0.75, 0.25], 0.5, "IoU 72 / 128; [0.5, 0.25, 10.5, 10.25].",
    )  # fmt: skip
    yield weighted(
        "mean-of-three", 40, "Three boxes that overlap the best become one.",
        [[0, 0, 8, 8], [0, 0, 8, 6], [0, 0, 6, 8]], [0.5, 0.375, 0.125], 0.5,
        "xmax (4 + 3 + 0.75) / 1, ymax (4 + 2.25 + 1) / 1.",
    )  # fmt: skip
    yield weighted(
        "at-threshold-stays", 40, "A box whose IoU is exactly the threshold is not merged.",
        HALF, [0.75, 0.25], 0.5, "0.5 is not greater than 0.5.",
    )  # fmt: skip
    yield weighted(
        "alone-stays", 40, "A box that meets no other stays as it is.",
        [SQUARE, FAR], [0.25, 0.75], 0.5, "The mean of one.",
    )  # fmt: skip
    yield weighted(
        "measured-with-the-best", 41, "A box that overlaps the mean but not the best one stays apart.",
        [[0, 0, 10, 10], [0, 0, 10, 16], [0, 0, 10, 20]], [0.5, 0.4, 0.3], 0.55,
        "With the best one 0.625 and 0.5; with the mean, to 12.67, the third would have 0.63.",
    )  # fmt: skip
    yield weighted(
        "merged-is-used-up", 41, "A box that was merged has no part in another mean.",
        CHAIN, [0.5, 0.25, 0.125], 0.3,
        "The second goes into the first; the third meets it, too late, and stays.",
    )  # fmt: skip
    yield weighted(
        "labels-do-not-meet", 15, "Boxes of other labels are not merged.",
        [SQUARE, [0, 0, 10, 8], [0, 0, 10, 6]], [0.75, 0.5, 0.25], 0.5, "The first takes the third: ymax 9.",
        labels=[0, 1, 0],
    )  # fmt: skip
