"""Cases of single operations on boxes: IoU, area, formats, clipping."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from tests.conformance.make.nms_drafts import SQUARE
from tests.conformance.make.oracles import Box, nearest, rational_iou, stepwise_iou
from tests.conformance.make.writing import Draft, as_boxes

NAN, INF = float("nan"), float("inf")


def iou(
    id: str,
    rule: int,
    title: str,
    one: Sequence[Box],
    other: Sequence[Box],
    why: str,
    *,
    stepwise: bool = False,
    **more: Any,
) -> Draft:
    """A case of IoU; where every step but the quotient is exact, the nearest float32 of the fraction."""
    found = [[stepwise_iou(a, b) for b in other] for a in one]
    if not stepwise:
        exact = [[nearest(rational_iou(a, b)) for b in other] for a in one]
        assert exact == [[nearest(value) for value in row] for row in found], exact
    expected = {"iou": [[nearest(value) for value in row] for row in found]}
    oracle = "float32, in the stated order" if stepwise else "rational"
    inputs = {"boxes1": as_boxes(one), "boxes2": as_boxes(other)}
    return Draft("boxes", f"iou-{id}", rule, title, "box_iou", inputs, expected, oracle, why, **more)


def by_hand(
    operation: str,
    id: str,
    rule: int,
    title: str,
    boxes: Any,
    expected: dict[str, Any],
    why: str,
    **more: Any,
) -> Draft:
    inputs = {"boxes": as_boxes(boxes)}
    return Draft("boxes", id, rule, title, operation, inputs, expected, "by hand", why, **more)


def drafts() -> Iterator[Draft]:
    yield from chain(_iou(), _iou_without_area(), _areas(), _formats(), _clips())


def _iou() -> Iterator[Draft]:
    yield iou(
        "third", 13, "Two dominoes that share one of three squares have IoU 1 / 3.",
        [[0, 0, 2, 1]], [[1, 0, 3, 1]], "1 / (2 + 2 - 1).",
    )  # fmt: skip
    yield iou(
        "no-pixel-is-added", 12, "The IoU of a unit square and its double is 1 / 2.",
        [[0, 0, 1, 1]], [[0, 0, 2, 1]],
        "1 / 2; others add 1, by the old VOC convention of whole pixels: 4 / 6.",
        definition=True,
    )  # fmt: skip
    yield iou(
        "with-itself", 18, "The IoU of a box with itself is 1.",
        [SQUARE, [-3, -2, 7, 0.5], [1000, 1000, 1001, 1003]],
        [SQUARE, [-3, -2, 7, 0.5], [1000, 1000, 1001, 1003]],
        "On the diagonal; the first two share 3.5 of 118.5.",
    )  # fmt: skip
    yield iou(
        "contained", 18, "The IoU with a box that contains it is the quotient of areas.",
        [SQUARE], [[2, 3, 4, 7], [0, 0, 10, 5], [9, 9, 10, 10]], "8, 50 and 1 of 100.",
    )  # fmt: skip
    yield iou(
        "touching", 17, "Boxes that touch at an edge or a corner have IoU 0.",
        [SQUARE], [[10, 0, 20, 10], [10, 10, 20, 20], [-5, 0, 0, 10], [0, -1, 10, 0]],
        "They share a line or a point.",
    )  # fmt: skip
    yield iou(
        "crossing", 13, "Two boxes that cross share the middle.",
        [[0, 4, 10, 6]], [[4, 0, 6, 10]], "4 / (20 + 20 - 4).",
    )  # fmt: skip
    yield iou(
        "apart", 17, "Boxes that are apart along one axis only have IoU 0.",
        [SQUARE], [[0, 20, 10, 30], [20, 0, 30, 10], [-30, -30, -20, -20]],
        "Two negative sides of an intersection would multiply to an area.",
    )  # fmt: skip
    yield iou(
        "rectangular", 13, "IoU of 2 boxes with 3 others is a matrix of 2 rows and 3 columns.",
        [SQUARE, [5, 5, 15, 15]], [SQUARE, [5, 5, 15, 15], [0, 5, 10, 15]], "25 / 175, 50 / 150, 50 / 150.",
    )  # fmt: skip
    yield iou(
        "negative-coordinates", 16, "IoU does not depend on where the origin lies.",
        [[-10, -10, 0, 0]], [[-10, -10, 0, -5], [-5, -5, 5, 5], [0, 0, 5, 5]],
        "50 / 100, 25 / 175, a corner.",
    )  # fmt: skip
    yield iou(
        "tiny", 16, "IoU has no unit: boxes of 2^-20 are as others.",
        [[0, 0, 2**-20, 2**-20]], [[0, 0, 2**-20, 2**-21]],
        "A small number added to the union would change it.",
    )  # fmt: skip
    yield iou(
        "rounded-areas", 13, "Areas and their sums beyond 2^24 are rounded to float32, as the steps say.",
        [[0, 0, 6079, 3122], [0, 0, 8386, 3266]], [[0, 0, 6079, 1561], [0, 0, 8386, 1633]],
        "The sum of both areas is odd, and beyond 2^24. Others, in float64, have 0.5.", stepwise=True,
        definition=True,
    )  # fmt: skip
    yield iou(
        "decimals", 13,
        "Corners that float32 holds only nearly are taken as it holds them, and each step is rounded.",
        [[0.1, 0.1, 0.7, 0.9]], [[0.2, 0.3, 0.8, 1.1], [0.1, 0.1, 0.7, 0.5]],
        "0.7 is 0.69999999. Others compute in float64: other last bits.", stepwise=True, definition=True,
    )  # fmt: skip
    inputs = {"boxes1": as_boxes([]), "boxes2": as_boxes([SQUARE, SQUARE])}
    yield Draft(
        "boxes", "iou-empty", 21, "IoU of no boxes with two is an array of no rows and two columns.",
        "box_iou",
        inputs, {"iou": as_boxes([], 2)}, "by hand", "The shape is (0, 2).",
    )  # fmt: skip


def _iou_without_area() -> Iterator[Draft]:
    yield iou(
        "without-area", 11, "A line and a point have IoU 0 with all, themselves included.",
        [[5, 0, 5, 10], [5, 5, 5, 5]], [SQUARE, [5, 0, 5, 10], [5, 5, 5, 5]],
        "0 / 100; 0 / 0 of two without area counts as 0, not as NaN.",
    )  # fmt: skip
    yield iou(
        "flipped", 11, "A box with flipped corners has IoU 0 with all.",
        [[10, 0, 0, 10], [10, 10, 0, 0]], [SQUARE, [10, 10, 0, 0]],
        "It has no area, though two negative sides multiply to 100. Others put the corners in order.",
        definition=True,
    )  # fmt: skip


def _areas() -> Iterator[Draft]:
    yield by_hand(
        "box_area", "area-no-pixel-is-added", 12, "The area of a unit square is 1.",
        [[0, 0, 1, 1], [0, 0, 0.5, 0.5], [-1, -2, 3, 5]], {"areas": [1.0, 0.25, 28.0]},
        "Sides 1 and 1, 0.5 and 0.5, 4 and 7; others add 1: 4, 2.25 and 40.", definition=True,
    )  # fmt: skip
    yield by_hand(
        "box_area", "area-without", 11, "A line, a point and flipped boxes have area 0.",
        [[5, 0, 5, 10], [5, 5, 5, 5], [10, 0, 0, 10], [10, 10, 0, 0]], {"areas": [0.0, 0.0, 0.0, 0.0]},
        "The last has two negative sides. Others return products of negative sides.", definition=True,
    )  # fmt: skip
    yield by_hand(
        "box_area", "area-empty", 21, "No boxes have no areas.", [], {"areas": []}, "The shape is (0,).",
    )  # fmt: skip


def _formats() -> Iterator[Draft]:
    corners = [[0.0, 0.0, 2.0, 4.0], [-3.0, 1.0, 4.0, 2.5], [5.0, 5.0, 5.0, 5.0]]
    forms = {
        "xyxy": corners,
        "xywh": [[0.0, 0.0, 2.0, 4.0], [-3.0, 1.0, 7.0, 1.5], [5.0, 5.0, 0.0, 0.0]],
        "cxcywh": [[1.0, 2.0, 2.0, 4.0], [0.5, 1.75, 7.0, 1.5], [5.0, 5.0, 0.0, 0.0]],
        "yxyx": [[0.0, 0.0, 4.0, 2.0], [1.0, -3.0, 2.5, 4.0], [5.0, 5.0, 5.0, 5.0]],
    }
    for source, target in (
        ("xyxy", "xywh"), ("xyxy", "cxcywh"), ("xyxy", "yxyx"), ("xywh", "xyxy"),
        ("cxcywh", "xyxy"), ("yxyx", "xyxy"), ("xywh", "cxcywh"), ("cxcywh", "xywh"),
    ):  # fmt: skip
        yield by_hand(
            "box_convert", f"convert-{source}-{target}", 19, f"Three boxes from {source} to {target}.",
            forms[source], {"boxes": forms[target]}, "Sides 2 x 4, 7 x 1.5, and a point.",
            parameters={"in_format": source, "out_format": target},
        )  # fmt: skip
    yield by_hand(
        "box_convert", "convert-rounded-once", 19, "A centre is computed exactly and rounded once.",
        [[16_777_214, 0, 3, 1]], {"boxes": [[16_777_216.0, 0.5, 3.0, 1.0]]},
        "16777215.5 rounds to even. Others round the corner 16777217 first, and find 16777215, of width 2.",
        parameters={"in_format": "xywh", "out_format": "cxcywh"}, definition=True,
    )  # fmt: skip


def _clips() -> Iterator[Draft]:
    for id, boxes, clipped, why in (
        ("outside", [[-1, -2, 5, 9], [1, 1, 2, 2]], [[0.0, 0.0, 3.0, 4.0], [1.0, 1.0, 2.0, 2.0]],
         "x to [0, 3], y to [0, 4]: size is [height, width]."),
        ("edge-is-inside", [[0, 0, 3, 4], [2.5, 3.5, 3.5, 4.5]], [[0.0, 0.0, 3.0, 4.0], [2.5, 3.5, 3.0, 4.0]],
         "The right edge of the last pixel is 3, not 2: nothing is subtracted."),
        ("wholly-outside", [[5, 1, 9, 2], [-9, -9, -5, -5]], [[3.0, 1.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0]],
         "What lies outside is left without area on the edge."),
        ("infinite", [[-INF, -INF, INF, INF]], [[0.0, 0.0, 3.0, 4.0]], "Infinity is beyond every edge."),
    ):  # fmt: skip
        yield by_hand(
            "clip", f"clip-{id}", 20, "Boxes are clipped to an image 3 wide and 4 high.", boxes,
            {"boxes": clipped},
            why, parameters={"size": [4, 3]},
        )  # fmt: skip
    yield by_hand(
        "clip", "clip-empty", 21, "No boxes are clipped to no boxes.", [], {"boxes": as_boxes([])},
        "The shape is (0, 4).", parameters={"size": [4, 3]},
    )  # fmt: skip
