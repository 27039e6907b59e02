"""Cases of plain NMS: scores and corners that are no numbers, boxes without area, units and origins."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from tests.conformance.make.nms_drafts import APART, FAR, SQUARE, nms
from tests.conformance.make.writing import Draft

NAN, INF = float("nan"), float("inf")


def drafts() -> Iterator[Draft]:
    yield from chain(_no_numbers(), _no_area(), _coordinates())


def _no_numbers() -> Iterator[Draft]:
    yield nms(
        "score-nan",
        8,
        "A box whose score is NaN is left out and removes nothing.",
        [SQUARE, SQUARE, FAR],
        [NAN, 0.5, 0.4],
        0.5,
        "NaN is no score. Others sort it first, and let the first box remove the second.",
        kept=[1, 2],
        definition=True,
    )
    yield nms(
        "score-nan-between",
        8,
        "A NaN among the scores leaves the order of the others as it is.",
        [*APART, FAR],
        [0.25, NAN, 0.75, 0.5],
        0.5,
        "0.75, 0.5, 0.25. Others return NaN as well; comparisons with it are false, which breaks many a "
        "sort.",
        kept=[2, 3, 0],
        definition=True,
    )
    yield nms(
        "all-scores-nan",
        8,
        "Where every score is NaN nothing is kept.",
        APART,
        [NAN, NAN, NAN],
        0.5,
        "None of them is a score. Others return all.",
        kept=[],
        definition=True,
    )
    yield nms(
        "score-infinite",
        9,
        "In plain NMS an infinite score is the highest, minus infinity the lowest.",
        APART,
        [-INF, 0.5, INF],
        0.5,
        "The order of IEEE 754. Others drop what is not finite.",
        kept=[2, 1, 0],
        definition=True,
    )
    yield nms(
        "corner-nan",
        10,
        "A box with a corner that is NaN overlaps nothing.",
        [[0, 0, NAN, 10], SQUARE],
        [0.9, 0.8],
        0.5,
        "Its area is none, its IoU 0; nothing is above the threshold. Others refuse it or drop it.",
        kept=[0, 1],
        definition=True,
    )
    yield nms(
        "corner-infinite",
        10,
        "A box without end overlaps nothing by more than a threshold.",
        [[0, 0, INF, INF], SQUARE, [0, 0, INF, INF]],
        [0.9, 0.8, 0.7],
        0.5,
        "100 / infinity is 0, infinity / infinity no number. Others refuse it or drop it.",
        kept=[0, 1, 2],
        definition=True,
    )
    yield nms(
        "areas-beyond-float32",
        10,
        "Boxes whose areas overflow float32 do not remove each other.",
        [[0, 0, 1e30, 1e30], [0, 0, 1e30, 1e30]],
        [0.9, 0.8],
        0.5,
        "1e60 is infinity in float32, infinity / infinity no number. Others in float64 remove the second.",
        kept=[0, 1],
        definition=True,
    )


def _no_area() -> Iterator[Draft]:
    for id, box, what in (
        ("width-zero", [5, 0, 5, 10], "of width 0"),
        ("height-zero", [0, 5, 10, 5], "of height 0"),
        ("point", [5, 5, 5, 5], "that are a point"),
    ):
        yield nms(
            f"{id}-overlaps-nothing",
            11,
            f"Boxes {what} neither go by a box around them nor by their equals.",
            [SQUARE, box, box],
            [0.9, 0.8, 0.7],
            0.0,
            "They share no area: IoU 0, and 0 / 0 of two of them is 0 as well.",
            kept=[0, 1, 2],
        )
    yield nms(
        "without-area-removes-nothing",
        11,
        "A box without area that scores best removes nothing.",
        [[5, 0, 5, 10], SQUARE],
        [0.9, 0.8],
        0.0,
        "It shares no area.",
        kept=[0, 1],
    )
    for id, box in (("x", [10, 0, 0, 10]), ("both", [10, 10, 0, 0])):
        yield nms(
            f"flipped-{id}-has-no-area",
            11,
            "A box whose corners are flipped has no area.",
            [box, SQUARE, box],
            [0.9, 0.8, 0.7],
            0.3,
            "xmax < xmin. Two negative sides would multiply to an area; others put the corners in order.",
            kept=[0, 1, 2],
            definition=True,
        )


def _coordinates() -> Iterator[Draft]:
    yield nms(
        "no-pixel-is-added",
        12,
        "Coordinates are continuous: an IoU of a half of small boxes is a half.",
        [[0, 0, 2, 1], [0, 0, 1, 1]],
        [0.9, 0.8],
        0.6,
        "1 / 2. Others add 1 to each side, by the old VOC convention of whole pixels: 4 / 6.",
        definition=True,
    )
    yield nms(
        "touching-boxes-share-nothing",
        12,
        "Two boxes of one unit that touch share nothing.",
        [[0, 0, 1, 1], [1, 0, 2, 1]],
        [0.9, 0.8],
        0.3,
        "IoU 0. Others add 1 to each side, by the old VOC convention of whole pixels: 2 / 6.",
        definition=True,
    )
    yield nms(
        "normalized-coordinates",
        12,
        "Boxes in [0, 1] are boxes as others: four quarters of an image share nothing.",
        [[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]],
        [0.9, 0.8, 0.7, 0.6],
        0.3,
        "IoU 0. With + 1 for each side all would overlap.",
    )
    boxes = [[0, 0, 10, 10], [0, 0, 10, 6], [0, 5, 10, 15], [20, 20, 30, 30]]
    for id, shift in (("negative", -100), ("across-the-origin", -5)):
        yield nms(
            f"coordinates-{id}",
            16,
            "Boxes left of and above the origin are suppressed as others.",
            [[side + shift for side in box] for box in boxes],
            [0.9, 0.8, 0.7, 0.6],
            0.5,
            f"The boxes [0, 0, 10, 10], [0, 0, 10, 6] (0.6), [0, 5, 10, 15] (1/3) and one apart, by {shift}.",
        )
    yield nms(
        "tiny-boxes",
        16,
        "Boxes of a hundred-thousandth of a unit are suppressed as others.",
        [[side / 2**20 for side in box] for box in boxes],
        [0.9, 0.8, 0.7, 0.6],
        0.5,
        "IoU has no unit: 0.6 and 1 / 3 again. A small number added to the union would change it.",
    )
    yield nms(
        "far-from-the-origin",
        16,
        "Boxes a million units from the origin are suppressed as others.",
        [[side + 1_000_000 for side in box] for box in boxes],
        [0.9, 0.8, 0.7, 0.6],
        0.5,
        "Sides are whole numbers that float32 holds up to 2^24.",
    )
