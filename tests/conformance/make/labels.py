"""Cases of NMS of several labels: labels never meet, each has its threshold, all share the limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from tests.conformance.make.nms_drafts import APART, FAR, HALF, SQUARE
from tests.conformance.make.oracles import Box, greedy
from tests.conformance.make.writing import Draft, as_boxes

NAN = float("nan")


def batched(
    id: str,
    rule: int,
    title: str,
    boxes: Sequence[Box],
    scores: Sequence[float],
    labels: Sequence[int],
    threshold: float,
    why: str,
    *,
    kept: list[int] | None = None,
    **more: Any,
) -> Draft:
    oracle = "rational" if kept is None else "by hand"
    if kept is None:
        kept = greedy(boxes, scores, threshold, labels)
    inputs = {
        "boxes": as_boxes(boxes),
        "scores": np.array(scores, np.float32),
        "labels": np.array(labels, np.int64),
    }
    parameters = {"iou_threshold": threshold}
    return Draft(
        "labels",
        f"batched-{id}",
        rule,
        title,
        "batched_nms",
        inputs,
        {"kept": kept},
        oracle,
        why,
        parameters,
        **more,
    )


def multiclass(
    id: str,
    rule: int,
    title: str,
    boxes: Sequence[Box],
    scores: Sequence[Sequence[float]],
    thresholds: Sequence[float],
    kept: Sequence[tuple[int, int]],
    why: str,
    iou_threshold: float = 0.5,
    most: int | None = None,
    **more: Any,
) -> Draft:
    """A case with scores of every label; `kept` has row and label of each, by hand."""
    inputs = {"boxes": as_boxes(boxes), "scores": np.array(scores, np.float32)}
    parameters = {"score_thresholds": list(thresholds), "iou_threshold": iou_threshold}
    if most is not None:
        parameters["max_predictions"] = most
    expected = {"kept": [row for row, _ in kept], "labels": [label for _, label in kept]}
    return Draft(
        "labels",
        f"multiclass-{id}",
        rule,
        title,
        "multiclass_nms",
        inputs,
        expected,
        "by hand",
        why,
        parameters,
        **more,
    )


def drafts() -> Iterator[Draft]:
    yield from chain(_apart(), _coordinates(), _thresholds(), _order())


def _apart() -> Iterator[Draft]:
    yield batched(
        "labels-do-not-meet",
        15,
        "Equal boxes of different labels are both kept, those of one label are not.",
        [SQUARE, SQUARE, SQUARE],
        [0.9, 0.8, 0.7],
        [0, 1, 0],
        0.5,
        "The third goes by the first.",
    )
    yield batched(
        "labels-as-single-nms",
        15,
        "With one label for all it is plain NMS.",
        [SQUARE, [0, 0, 10, 6], FAR],
        [0.9, 0.8, 0.7],
        [7, 7, 7],
        0.5,
        "60 / 100 > 0.5.",
    )
    yield batched(
        "labels-of-any-integer",
        15,
        "Labels may be negative and far apart.",
        [SQUARE, SQUARE, SQUARE, SQUARE],
        [0.9, 0.8, 0.7, 0.6],
        [-5, 1_000_000_007, -5, 1_000_000_007],
        0.5,
        "They are compared, nothing is computed with them.",
    )
    yield batched(
        "labels-beyond-float32",
        15,
        "Labels 16777216 and 16777217 are two labels.",
        [SQUARE, SQUARE],
        [0.9, 0.8],
        [16_777_216, 16_777_217],
        0.5,
        "As float32 they are one number.",
    )
    yield batched("empty", 21, "No boxes give no rows.", [], [], [], 0.5, "Nothing in, nothing out.", kept=[])
    yield batched(
        "score-nan",
        8,
        "A NaN score of one label changes nothing of another.",
        [SQUARE, SQUARE, SQUARE],
        [NAN, 0.8, 0.7],
        [0, 1, 0],
        0.5,
        "NaN is no candidate: it does not remove the third. Others sort it first.",
        kept=[1, 2],
        definition=True,
    )
    yield multiclass(
        "box-of-two-labels",
        15,
        "A box is kept for each label whose threshold it passes.",
        [SQUARE, [0, 0, 10, 9]],
        [[0.9, 0.6], [0.8, 0.7]],
        [0.5, 0.5],
        [(0, 0), (1, 1)],
        "Label 0: row 0 removes row 1 (90 / 100); label 1: row 1 removes row 0.",
    )


def _coordinates() -> Iterator[Draft]:
    yield batched(
        "negative-coordinates",
        15,
        "Boxes of two labels left of and above the origin are all kept.",
        [[-10, -10, 0, 0], [-21, -21, -11, -11], [-10, -10, 0, 0]],
        [0.9, 0.8, 0.7],
        [0, 1, 1],
        0.5,
        "The two of label 1 are apart. Shifted by label * (largest coordinate + 1) = 1, the third box, from "
        "-9 to 1, meets the first by 81 / 119.",
    )
    yield batched(
        "negative-coordinates-overlap",
        15,
        "A box far left of the origin is not removed by one of another label.",
        [[-60, -50, -10, 0], [-60, -50, -10, 0], [1, 1, 3, 3]],
        [0.9, 0.8, 0.7],
        [0, 1, 0],
        0.5,
        "Shifted by label * (largest coordinate + 1) = 4 the second meets the first by 2116 / 2884.",
    )
    yield batched(
        "small-boxes-of-a-large-image",
        15,
        "A small box of a high label, in an image 4000 wide, goes by its neighbour.",
        [[326.14, 326.11, 328.39, 328.38], [326.14, 326.11, 328.39, 327.26], [3990, 2990, 4000, 3000]],
        [0.9, 0.8, 0.7],
        [79, 79, 0],
        0.5,
        "1.15 / 2.27 = 0.507 > 0.5. Shifted by 79 * 4001 float32 holds steps of 1 / 32 only: 0.5, and it "
        "stays.",
    )
    yield batched(
        "normalized-boxes-of-a-high-label",
        15,
        "A normalized box of a high label goes by its neighbour.",
        [[0.5, 0.5, 0.5625, 0.53125], [0.5, 0.5, 0.5625, 0.5234375], [0.0, 0.0, 1.0, 1.0]],
        [0.9, 0.8, 0.7],
        [79, 79, 0],
        0.5,
        "0.75 > 0.5. Shifted by 79 * 7680, for pixels, float32 holds steps of 1 / 16 only: no area is left.",
    )
    yield batched(
        "fractions-of-a-high-label",
        15,
        "With a high label number the fractions of coordinates still count.",
        [[1000, 1000, 1000.5, 1000.25], [1000, 1000, 1000.25, 1000.25], [4000, 4000, 4001, 4001]],
        [0.9, 0.8, 0.7],
        [9_000, 9_000, 0],
        0.4,
        "0.0625 / 0.125 > 0.4. Shifted by 9000 * 4002 float32 holds multiples of 4 only: no area is left.",
    )
    yield batched(
        "translated",
        16,
        "What is kept does not depend on where the origin lies.",
        [[side - 500 for side in box] for box in (SQUARE, [0, 0, 10, 6], SQUARE, [0, 5, 10, 15])],
        [0.9, 0.8, 0.7, 0.6],
        [0, 0, 1, 1],
        0.5,
        "Label 0: 0.6 goes. Label 1: 1 / 3 stays.",
    )


def _thresholds() -> Iterator[Draft]:
    third = float(np.float32(0.3))
    yield multiclass(
        "score-at-threshold",
        1,
        "A score that equals the threshold is not above it.",
        APART,
        [[0.5], [0.75], [0.25]],
        [0.5],
        [(1, 0)],
        "0.5 > 0.5 is false. Others take >=.",
        definition=True,
    )
    yield multiclass(
        "score-a-bit-above",
        1,
        "A score one bit of float32 above the threshold passes, one bit below does not.",
        APART,
        [[0.5], [float(np.nextafter(np.float32(0.5), np.float32(1)))], [0.49999997]],
        [0.5],
        [(1, 0)],
        "0.50000006 > 0.5: a comparison with a tolerance would drop it.",
    )
    yield multiclass(
        "decimal-at-threshold",
        2,
        "The float32 score 0.3 is not above a threshold of 0.3.",
        APART,
        [[third], [0.4], [0.2]],
        [0.3],
        [(1, 0)],
        "As float32 both are 0.30000001. Others compare with the float64 0.3, which is less.",
        definition=True,
    )
    yield multiclass(
        "decimal-below-threshold",
        2,
        "The float32 score 0.7 is not above a threshold of 0.7.",
        APART,
        [[0.7], [0.8], [0.6]],
        [0.7],
        [(1, 0)],
        "As float32 both are 0.69999999. Others take >=, or compare with the float64.",
        definition=True,
    )
    yield multiclass(
        "threshold-zero",
        1,
        "At a threshold of 0 a score of 0 does not pass, the smallest positive float32 does.",
        APART,
        [[0.0], [1e-45], [0.5]],
        [0.0],
        [(2, 0), (1, 0)],
        "1.4e-45 > 0. Others take >= or flush denormal numbers.",
        definition=True,
    )
    yield multiclass(
        "each-label-its-threshold",
        3,
        "One score passes for a label of a low threshold and not for one of a high.",
        APART,
        [[0.5, 0.5, 0.5], [0.25, 0.75, 0.75], [0.0, 0.0, 0.875]],
        [0.25, 0.5, 0.75],
        [(2, 2), (1, 1), (0, 0)],
        "0.875 > 0.75; 0.75 > 0.5 but not > 0.75; 0.5 > 0.25 but not > 0.5.",
    )
    yield multiclass(
        "below-threshold-removes-nothing",
        5,
        "A box that does not pass its label's threshold removes nothing of another label.",
        [SQUARE, SQUARE],
        [[0.6, 0.0], [0.0, 0.5]],
        [0.75, 0.25],
        [(1, 1)],
        "0.6 is not above 0.75.",
    )
    yield multiclass(
        "iou-at-threshold",
        4,
        "For each label a box at the IoU threshold stays.",
        HALF,
        [[0.9, 0.7], [0.8, 0.95]],
        [0.25, 0.25],
        [(1, 1), (0, 0), (1, 0), (0, 1)],
        "0.5 is not greater than 0.5, for either label.",
    )
    yield multiclass(
        "nothing-passes",
        22,
        "Where nothing passes nothing is returned.",
        APART,
        [[0.25, 0.5], [0.125, 0.0], [0.25, 0.25]],
        [0.5, 0.5],
        [],
        "No score is above 0.5.",
    )
    yield multiclass(
        "score-nan-of-a-label",
        8,
        "A NaN score drops that label of the box only.",
        APART,
        [[NAN, 0.75], [0.5, NAN], [NAN, NAN]],
        [0.25, 0.25],
        [(0, 1), (1, 0)],
        "A comparison with NaN is false.",
    )


def _order() -> Iterator[Draft]:
    yield multiclass(
        "order-over-labels",
        27,
        "Results of all labels come by score.",
        APART,
        [[0.5, 0.875], [0.75, 0.375], [0.625, 0.25]],
        [0.125, 0.125],
        [(0, 1), (1, 0), (2, 0), (0, 0), (1, 1), (2, 1)],
        "0.875, 0.75, 0.625, 0.5, 0.375, 0.25. Others list label after label.",
        definition=True,
    )
    yield multiclass(
        "ties-over-labels",
        27,
        "Equal scores come by label, then by row.",
        APART,
        [[0.5, 0.5], [0.5, 0.5], [0.5, 0.75]],
        [0.25, 0.25],
        [(2, 1), (0, 0), (1, 0), (2, 0), (0, 1), (1, 1)],
        "After the best one label 0 with its rows, then label 1. Others leave it open.",
        definition=True,
    )
    yield multiclass(
        "limit-over-labels",
        28,
        "A limit of 3 keeps the 3 best of all labels together.",
        APART,
        [[0.5, 0.875], [0.75, 0.375], [0.625, 0.25]],
        [0.125, 0.125],
        [(0, 1), (1, 0), (2, 0)],
        "0.875, 0.75, 0.625. Others count each label by itself.",
        most=3,
        definition=True,
    )
    yield multiclass(
        "limit-after-nms",
        28,
        "The limit counts what NMS leaves, not what goes into it.",
        [SQUARE, [0, 0, 10, 9], [0, 0, 10, 8], FAR],
        [[0.9], [0.8], [0.7], [0.6]],
        [0.5],
        [(0, 0), (3, 0)],
        "The second and the third go by the first; a cut to the 2 best before NMS would lose the fourth.",
        most=2,
    )
    yield multiclass(
        "limit-at-a-tie",
        28,
        "Where a tie stands at the limit, the lower row is returned.",
        APART,
        [[0.5], [0.5], [0.5]],
        [0.25],
        [(0, 0), (1, 0)],
        "Rows 0 and 1 of three equal scores. Others leave it open.",
        most=2,
        definition=True,
    )
