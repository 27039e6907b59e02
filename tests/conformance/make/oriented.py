"""Cases of oriented boxes: exact IoU, probiou, and NMS by them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from tests.conformance.make.oracles import greedy
from tests.conformance.make.rectangles import (
    HALF_TURN,
    PYTHAGORAS,
    QUARTER,
    Rectangle,
    probiou,
    rectangle_iou,
)
from tests.conformance.make.writing import Draft, as_boxes

Row = Sequence[float]


def exact(
    id: str,
    rule: int,
    title: str,
    one: Sequence[Rectangle],
    other: Sequence[Rectangle],
    why: str,
    tolerance: float = 1e-5,
    **more: Any,
) -> Draft:
    """A case of exact IoU of rectangles with rational corners; angles are the float32 nearest.

    The tolerance lets a library compute in float32.
    """
    found = [[float(rectangle_iou(a, b)) for b in other] for a in one]
    rows = [rectangle.row for rectangle in one], [rectangle.row for rectangle in other]
    return index(f"oriented-iou-{id}", rule, title, "exact", rows, found, "rational", why, tolerance, **more)


def index(
    id: str,
    rule: int,
    title: str,
    kind: str,
    rows: tuple[Sequence[Row], Sequence[Row]],
    found: Sequence[Sequence[float]],
    oracle: str,
    why: str,
    tolerance: float,
    **more: Any,
) -> Draft:
    inputs = {"boxes1": as_boxes(rows[0], 5), "boxes2": as_boxes(rows[1], 5)}
    expected = {"iou": found}
    return Draft(
        "oriented", id, rule, title, "oriented_iou", inputs, expected, oracle, why, {"index": kind},
        tolerance=tolerance, **more,
    )  # fmt: skip


def nms(
    id: str,
    rule: int,
    title: str,
    boxes: Sequence[Rectangle],
    scores: Sequence[float],
    threshold: float,
    why: str,
    *,
    labels: Sequence[int] | None = None,
    kind: str = "exact",
    kept: list[int] | None = None,
    **more: Any,
) -> Draft:
    """A case of NMS, by rational IoU or probiou in float64 away from the threshold, unless by hand."""
    labels = [0] * len(boxes) if labels is None else labels
    oracle = "by hand" if kept is not None else "rational" if kind == "exact" else "float64"
    if kept is None:
        kept = greedy(boxes, scores, threshold, labels, rectangle_iou if kind == "exact" else _probiou)
    inputs = {
        "boxes": as_boxes([box.row for box in boxes], 5),
        "scores": np.array(scores, np.float32),
        "labels": np.array(labels, np.int64),
    }
    parameters = {"iou_threshold": threshold, "index": kind}
    return Draft(
        "oriented", f"oriented-nms-{id}", rule, title, "oriented_nms", inputs, {"kept": kept}, oracle, why,
        parameters, **more,
    )  # fmt: skip


def drafts() -> Iterator[Draft]:
    yield from chain(_exact(), _angles(), _degenerate(), _probious(), _nms())


def _probiou(a: Rectangle, b: Rectangle) -> float:
    return probiou(a.row, b.row)


def _exact() -> Iterator[Draft]:
    square = Rectangle(0, 0, 2, 2)
    yield exact(
        "upright", 42, "Without angles it is the IoU of upright boxes.",
        [Rectangle(1, 1, 2, 2), Rectangle(5, 5, 10, 10)], [Rectangle(2, 1, 2, 2), Rectangle(5, 2.5, 10, 5)],
        "Corners are centre -/+ half a side.",
    )  # fmt: skip
    yield exact(
        "crossing", 42, "Two dominoes that cross at a right angle share a square.",
        [Rectangle(0, 0, 2, 1)], [Rectangle(0, 0, 2, 1, QUARTER)], "1 / (2 + 2 - 1).",
    )  # fmt: skip
    yield exact(
        "contained", 42, "The IoU with a turned box inside is the quotient of areas.",
        [Rectangle(0, 0, 10, 10)], [Rectangle(1, -1, 4, 2, PYTHAGORAS)], "8 / 100, whatever the angle.",
    )  # fmt: skip
    octagon = 4 * (2 * math.sqrt(2) - 2)
    yield index(
        "oriented-iou-octagon", 42, "A square and the same square turned by an eighth share an octagon.",
        "exact",
        ([square.row], [[0, 0, 2, 2, math.pi / 4]]), [[octagon / (8 - octagon)]], "by hand",
        "The octagon has area 8 (sqrt(2) - 1): IoU sqrt(2) / 2.", 1e-5,
    )  # fmt: skip
    yield exact(
        "turned-crossing", 42,
        "Two long boxes that cross at the angle of a 3-4-5 triangle share a parallelogram.",
        [Rectangle(0, 0, 10, 1)], [Rectangle(0, 0, 10, 1, PYTHAGORAS)],
        "1 * 1 / (4 / 5) = 1.25; 1.25 / 18.75.",
    )  # fmt: skip
    yield exact(
        "corner-cut", 42, "A turned square cuts off a corner.",
        [Rectangle(0, 0, 4, 4)], [Rectangle(3, 3, 5, 5, PYTHAGORAS)], "A polygon of rational corners.",
    )  # fmt: skip
    yield exact(
        "touching-edge", 17, "Turned boxes that touch along an edge have IoU 0.",
        [Rectangle(0, 0, 10, 10, PYTHAGORAS)], [Rectangle(6, 8, 10, 10, PYTHAGORAS)],
        "Centres are 10 apart along the angle.",
    )  # fmt: skip
    yield exact(
        "touching-corner", 17, "A corner that touches an edge or a corner shares no area.",
        [Rectangle(0, 0, 10, 10)], [Rectangle(8.5, 0, 5, 5, PYTHAGORAS), Rectangle(10, 10, 10, 10)],
        "The turned square reaches 3.5 to each side, to x = 5; the upright one to the corner (5, 5).",
    )  # fmt: skip
    yield exact(
        "upright-boxes-overlap", 42, "Parallel diagonal boxes whose upright boxes overlap share nothing.",
        [Rectangle(0, 0, 20, 2, PYTHAGORAS)], [Rectangle(8, 0, 20, 2, PYTHAGORAS)],
        "Across the angle the centres are 8 * 4 / 5 apart, the boxes 2 wide.",
    )  # fmt: skip
    yield exact(
        "with-itself", 18, "The IoU of a turned box with itself is 1.",
        [Rectangle(50, 60, 10, 4, PYTHAGORAS)], [Rectangle(50, 60, 10, 4, PYTHAGORAS)],
        "All corners and edges coincide.",
    )  # fmt: skip
    yield exact(
        "far-from-the-origin", 16, "IoU does not depend on where the origin lies.",
        [Rectangle(4000, -3000, 10, 4, PYTHAGORAS)], [Rectangle(4003, -2996, 10, 4, PYTHAGORAS)],
        "Shifted by 5 along the angle: 20 / 60. float32 holds corners there within 1.2e-4.", 1e-4,
    )  # fmt: skip
    yield exact(
        "matrix", 42, "IoU of 2 boxes with 3 others is a matrix of 2 rows and 3 columns.",
        [Rectangle(0, 0, 4, 2), Rectangle(1, 0, 4, 2, QUARTER)],
        [Rectangle(0, 0, 4, 2), Rectangle(0, 0, 2, 4), Rectangle(20, 20, 4, 2)],
        "8 / 8, 4 / 12, and 0; then 4 / 12 twice, and 0.",
    )  # fmt: skip


def _angles() -> Iterator[Draft]:
    long, end = Rectangle(0, 0, 12, 2, PYTHAGORAS), 0.5
    yield exact(
        "angle-turns-x-towards-y", 44, "A positive angle turns the width from +x to +y.",
        [long], [Rectangle(3, 4, end, end), Rectangle(3, -4, end, end)],
        "(3, 4) is 5 along the width, inside; (3, -4) is not. Others count against the clock.",
        definition=True,
    )  # fmt: skip
    yield exact(
        "half-turn", 45, "A box turned by half a turn is the same box.",
        [Rectangle(1, 2, 6, 2)], [Rectangle(1, 2, 6, 2, HALF_TURN)], "IoU 1.",
    )  # fmt: skip
    yield exact(
        "sides-exchanged", 45, "A quarter turn with width and height exchanged is the same box.",
        [Rectangle(1, 2, 6, 2)], [Rectangle(1, 2, 2, 6, QUARTER)], "IoU 1.",
    )  # fmt: skip
    yield exact(
        "square-quarter-turn", 45, "A square turned by a quarter is the same square.",
        [Rectangle(1, 2, 6, 6)], [Rectangle(1, 2, 6, 6, QUARTER)], "IoU 1.",
    )  # fmt: skip
    full = 2 * math.pi
    yield index(
        "oriented-iou-full-turns", 45, "Full turns, and negative angles, are no others.", "exact",
        ([[0, 0, 6, 2, 0.25]], [[0, 0, 6, 2, 0.25 + full], [0, 0, 6, 2, 0.25 - full]]), [[1.0, 1.0]],
        "by hand",
        "IoU 1. float32 holds these angles within 2.4e-7.", 1e-5,
    )  # fmt: skip


def _degenerate() -> Iterator[Draft]:
    yield exact(
        "without-area", 43, "Boxes of width or height 0 have IoU 0 with all, themselves included.",
        [Rectangle(0, 0, 4, 0), Rectangle(0, 0, 0, 4, PYTHAGORAS), Rectangle(0, 0, 0, 0)],
        [Rectangle(0, 0, 4, 4), Rectangle(0, 0, 4, 0)], "They share no area.",
    )  # fmt: skip
    inputs = {"boxes1": as_boxes([], 5), "boxes2": as_boxes([Rectangle(0, 0, 4, 4).row], 5)}
    yield Draft(
        "oriented", "oriented-iou-empty", 21, "IoU of no boxes with one is an array of no rows.",
        "oriented_iou",
        inputs, {"iou": as_boxes([], 1)}, "by hand", "The shape is (0, 1).", {"index": "exact"},
    )  # fmt: skip
    yield exact(
        "thin", 42, "Two needles that cross share a little.",
        [Rectangle(0, 0, 100, 0.125)], [Rectangle(0, 0, 100, 0.125, QUARTER)], "1 / 64 of 25 - 1 / 64.",
    )  # fmt: skip


def _probious() -> Iterator[Draft]:
    for id, title, one, other, why, tolerance in (
        ("shifted", "Boxes shifted along the width.", [0, 0, 6, 2, 0], [3, 0, 6, 2, 0],
         "B = 9 / 3 / 8 = 0.375: 1 - sqrt(1 - exp(-0.375)).", 1e-5),
        ("of-two-sizes", "Boxes about one centre, one twice as large.", [0, 0, 4, 2, 0], [0, 0, 8, 4, 0],
         "B = log(2.5^2 / 4) / 2.", 1e-5),
        ("crossing", "Boxes that cross at a right angle.", [0, 0, 6, 2, 0], [0, 0, 6, 2, math.pi / 2],
         "B = log((5 / 3)^2 / 1) / 2: variances 3 and 1 / 3, mean 5 / 3.", 1e-5),
        ("turned", "Boxes turned and shifted.", [10, 20, 8, 3, 0.3], [11, 21, 7, 4, -0.2],
         "The formula in float64.", 1e-5),
        ("apart", "Boxes far apart.", [0, 0, 4, 2, 0], [50, 50, 4, 2, 1],
         "exp(-B) is 0; the IoU would be 0 as well.", 1e-5),
        ("with-itself", "A box with itself.", [10, 20, 8, 3, 0.3], [10, 20, 8, 3, 0.3],
         "1; those who add 1e-7 in the root, as ultralytics, get 0.9997.", 1e-3),
        ("touching", "Boxes that touch: unlike IoU it is not 0.", [0, 0, 2, 2, 0], [2, 0, 2, 2, 0],
         "B = 4 * 3 / 8 = 1.5.", 1e-5),
    ):  # fmt: skip
        yield index(
            f"probiou-{id}", 47, f"probiou. {title}", "probiou", ([one], [other]),
            [[probiou(*as_boxes([one, other], 5).tolist())]], "float64", why, tolerance,
        )  # fmt: skip


def _nms() -> Iterator[Draft]:
    turned = Rectangle(50, 50, 20, 4, PYTHAGORAS)
    yield nms(
        "goes", 46, "A turned box that is nearly another one goes.",
        [turned, Rectangle(50.6, 50.8, 20, 4, PYTHAGORAS)], [0.9, 0.8], 0.5, "Shifted by 1 of 20: 19 / 21.",
    )  # fmt: skip
    yield nms(
        "crossing-stays", 46, "Of boxes that cross at one centre both stay.",
        [Rectangle(50, 50, 20, 4), Rectangle(50, 50, 20, 4, QUARTER)], [0.9, 0.8], 0.3,
        "16 / 144.",
    )  # fmt: skip
    yield nms(
        "parallel-diagonals-stay", 46, "Parallel diagonal boxes whose upright boxes overlap stay.",
        [turned, Rectangle(54, 50, 20, 4, PYTHAGORAS), Rectangle(58, 50, 20, 4, PYTHAGORAS)], [0.9, 0.8, 0.7],
        0.3, "Neighbours are 3.2 apart across boxes 4 wide, and 2.4 along: 14.08 / 145.92.",
    )  # fmt: skip
    yield nms(
        "labels-do-not-meet", 15, "Turned boxes of two labels do not remove each other.",
        [turned, turned, turned], [0.9, 0.8, 0.7], 0.5, "The third goes by the first.", labels=[0, 1, 0],
    )  # fmt: skip
    yield nms(
        "at-threshold-stays", 4, "A turned box whose IoU is exactly the threshold stays.",
        [Rectangle(50, 50, 16, 4), Rectangle(50, 49, 16, 2)], [0.9, 0.8], 0.5,
        "32 / 64 is not greater than 0.5.",
        kept=[0, 1],
    )  # fmt: skip
    yield nms(
        "same-box-other-numbers", 45, "A box given with exchanged sides and a quarter turn more goes.",
        [Rectangle(50, 50, 20, 4), Rectangle(50, 50, 4, 20, QUARTER)], [0.9, 0.8], 0.9, "It is the same box.",
    )  # fmt: skip
    yield nms(
        "suppressed-suppresses-none", 5, "A turned box that was removed removes no other.",
        [turned, Rectangle(53, 54, 20, 4, PYTHAGORAS), Rectangle(56, 58, 20, 4, PYTHAGORAS)], [0.9, 0.8, 0.7],
        0.5,
        "Each is shifted by 5 of 20: 15 / 25 with the next, 10 / 30 with the next but one. Fast NMS, as of "
        "ultralytics, keeps the first only.",
    )  # fmt: skip
    yield nms(
        "by-probiou", 47, "By probiou a box shifted along its width goes where its IoU would let it stay.",
        [Rectangle(50, 50, 20, 4), Rectangle(60, 50, 20, 4)], [0.9, 0.8], 0.4,
        "IoU 1 / 3, probiou 0.44.", kind="probiou",
    )  # fmt: skip
    yield nms(
        "by-exact-iou", 42, "By IoU the same box stays.",
        [Rectangle(50, 50, 20, 4), Rectangle(60, 50, 20, 4)], [0.9, 0.8], 0.4, "IoU 1 / 3.",
    )  # fmt: skip
