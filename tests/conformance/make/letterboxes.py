"""Cases of images placed in a network's input, and of the way back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from tests.conformance.make.oracles import Box
from tests.conformance.make.writing import Draft, as_boxes

Size = Sequence[int]


def placed(
    id: str,
    rule: int,
    title: str,
    method: str,
    input_size: Size,
    image_size: Size,
    resized: Size,
    offset: Size,
    why: str,
    align: str | None = None,
    **more: Any,
) -> Draft:
    parameters = _parameters(method, input_size, image_size, align)
    expected = {"resized_size": list(resized), "offset": [float(side) for side in offset]}
    return Draft("letterbox", id, rule, title, "letterbox", {}, expected, "by hand", why, parameters, **more)


def back(
    id: str,
    rule: int,
    title: str,
    method: str,
    input_size: Size,
    image_size: Size,
    boxes: Sequence[Box],
    expected: Sequence[Box],
    why: str,
    align: str | None = None,
    **more: Any,
) -> Draft:
    parameters = _parameters(method, input_size, image_size, align)
    answer = {"boxes": [[float(side) for side in box] for box in expected]}
    inputs = {"boxes": as_boxes(boxes)}
    return Draft(
        "letterbox", f"back-{id}", rule, title, "unletterbox", inputs, answer, "by hand", why, parameters,
        tolerance=1e-3, **more,
    )  # fmt: skip


def _parameters(method: str, input_size: Size, image_size: Size, align: str | None) -> dict[str, Any]:
    sizes = {"method": method, "input_size": list(input_size), "image_size": list(image_size)}
    return sizes if align is None else {**sizes, "align": align}


def drafts() -> Iterator[Draft]:
    yield from chain(_letterbox(), _other_ways(), _back())


def _letterbox() -> Iterator[Draft]:
    yield placed(
        "letterbox-landscape", 33, "An image of 720 x 1280 fills the width of 640 x 640.",
        "letterbox", [640, 640], [720, 1280], [360, 640], [0, 140],
        "Scale 0.5; 640 - 360 = 280 rows, half above.",
    )  # fmt: skip
    yield placed(
        "letterbox-portrait", 33, "An image of 1280 x 720 fills the height of 640 x 640.",
        "letterbox", [640, 640], [1280, 720], [640, 360], [140, 0],
        "Sizes are [height, width], offsets [x, y].",
    )  # fmt: skip
    yield placed(
        "letterbox-same-size", 33, "An image of the input's size stays where it is.",
        "letterbox", [480, 640], [480, 640], [480, 640], [0, 0], "Scale 1, no padding.",
    )  # fmt: skip
    yield placed(
        "letterbox-scales-up", 33, "A small image is enlarged.",
        "letterbox", [640, 640], [100, 50], [640, 320], [160, 0], "Scale 6.4.",
    )  # fmt: skip
    yield placed(
        "letterbox-wide-input", 33, "In a wide input the smaller of both scales counts.",
        "letterbox", [384, 640], [1080, 1920], [360, 640], [0, 12], "min(384 / 1080, 640 / 1920) = 1 / 3.",
    )  # fmt: skip
    yield placed(
        "letterbox-odd-padding-below", 35, "Of 213 rows of padding 106 lie above and 107 below.",
        "letterbox", [640, 640], [427, 640], [427, 640], [0, 106], "213 / 2 = 106.5, rounded down.",
    )  # fmt: skip
    yield placed(
        "letterbox-odd-padding-right", 35, "Of 213 columns of padding 106 lie left and 107 right.",
        "letterbox", [640, 640], [640, 427], [640, 427], [106, 0], "213 / 2 = 106.5, rounded down.",
    )  # fmt: skip
    yield placed(
        "letterbox-half-to-even-down", 33, "A side of 12.5 becomes 12.",
        "letterbox", [32, 32], [64, 25], [32, 12], [10, 0],
        "Halves to even, as Python rounds. Others take 13.",
        definition=True,
    )  # fmt: skip
    yield placed(
        "letterbox-half-to-even-up", 33, "A side of 13.5 becomes 14.",
        "letterbox", [32, 32], [64, 27], [32, 14], [9, 0], "Halves to even. Others cut to 13.",
        definition=True,
    )  # fmt: skip
    yield placed(
        "letterbox-no-less-than-a-pixel", 33, "A side that would round to 0 keeps one pixel.",
        "letterbox", [32, 32], [1000, 1], [32, 1], [15, 0], "1 * 0.032 rounds to 0. Others fail there.",
        definition=True,
    )  # fmt: skip
    yield placed(
        "letterbox-top-left", 36, "Aligned to the top left, all padding lies below and to the right.",
        "letterbox", [640, 640], [427, 640], [427, 640], [0, 0], "As of RTMDet and YOLOX.",
        "top_left",
    )  # fmt: skip


def _other_ways() -> Iterator[Draft]:
    yield placed(
        "fill-half-up", 34, "A side of 12.5 becomes 13.",
        "fill", [32, 32], [64, 25], [32, 13], [9, 0],
        "Halves up; 19 columns of padding, 9 of them left. Others take 12.",
        definition=True,
    )  # fmt: skip
    yield placed(
        "fill-exact-half", 34, "A side that is a half in exact arithmetic is rounded up.",
        "fill", [35, 35], [70, 67], [35, 34], [0, 0],
        "67 * 35 / 70 = 33.5; one column of padding, right. Others round 33.5 as computed, or cut it.",
        definition=True,
    )  # fmt: skip
    yield placed(
        "fill-below-half", 34, "A side below a half is rounded down.",
        "fill", [5, 5], [3, 7], [2, 5], [0, 1], "3 * 5 / 7 = 2.14; 3 rows of padding, 1 of them above.",
    )  # fmt: skip
    yield placed(
        "squash-loses-the-aspect", 36, "Squashed, both sides are the input's.",
        "squash", [300, 200], [480, 640], [300, 200], [0, 0], "Scales 200 / 640 along x, 300 / 480 along y.",
    )  # fmt: skip
    yield placed(
        "crop-keeps-the-centre", 36, "Cropped, the smaller side fits and the centre is kept.",
        "crop", [200, 200], [400, 800], [200, 400], [-100, 0],
        "Scale 0.5; 200 columns are cut, half of them left.",
    )  # fmt: skip
    yield placed(
        "crop-odd-rest", 36, "Of 75 columns that are cut 38 lie left.",
        "crop", [224, 224], [480, 640], [224, 299], [-38, 0],
        "640 * 224 / 480 = 298.67, 299; (224 - 299) / 2 = -37.5, rounded down. Others cut 37.",
        definition=True,
    )  # fmt: skip


def _back() -> Iterator[Draft]:
    yield back(
        "from-letterbox", 37, "Boxes of the input come back to pixels of the image.",
        "letterbox", [640, 640], [720, 1280],
        [[0, 140, 640, 500], [100, 240, 200, 340]], [[0, 0, 1280, 720], [200, 200, 400, 400]],
        "(x - 0) / 0.5, (y - 140) / 0.5.",
    )  # fmt: skip
    yield back(
        "clipped-to-the-image", 37, "What reaches into the padding is clipped to the image.",
        "letterbox", [640, 640], [720, 1280],
        [[-10, 100, 700, 600], [600, 130, 660, 160]], [[0, 0, 1280, 720], [1200, 0, 1280, 40]],
        "y from 140 to 500 is the image; clipped to the input only, the first would reach to -80.",
    )  # fmt: skip
    yield back(
        "odd-padding", 37, "An odd row of padding lies below, on the way back too.",
        "letterbox", [640, 640], [427, 640],
        [[10, 106, 20, 533], [10, 206, 20, 306]], [[10, 0, 20, 427], [10, 100, 20, 200]],
        "y - 106; with 106.5 boxes would lie half a pixel too high.",
    )  # fmt: skip
    yield back(
        "scale-of-each-axis", 37, "Where rounding changed the aspect, each axis has its scale.",
        "letterbox", [32, 32], [64, 25],
        [[10, 0, 22, 32], [16, 8, 19, 16]], [[0, 0, 25, 64], [12.5, 16, 18.75, 32]],
        "25 columns became 12: 0.48, not 0.5. Others take one scale for both, and miss the right edge by "
        "one.",
        definition=True,
    )  # fmt: skip
    yield back(
        "from-top-left", 37, "With all padding below and to the right nothing is subtracted.",
        "letterbox", [640, 640], [320, 640], [[10, 20, 30, 40]], [[10, 20, 30, 40]], "Offset 0, scale 1.",
        "top_left",
    )  # fmt: skip
    yield back(
        "from-squash", 37, "Squashed sides come back with a scale each.",
        "squash", [300, 200], [600, 800], [[0, 0, 200, 300], [50, 30, 100, 60]],
        [[0, 0, 800, 600], [200, 60, 400, 120]],
        "x / 0.25, y / 0.5.",
    )  # fmt: skip
    yield back(
        "from-crop", 37, "Cropped columns are added again.",
        "crop", [200, 200], [400, 800], [[0, 0, 200, 200], [50, 50, 100, 150]],
        [[200, 0, 600, 400], [300, 100, 400, 300]], "(x + 100) / 0.5, y / 0.5.",
    )  # fmt: skip
    yield back(
        "from-scaled-up", 37, "Boxes of an enlarged image shrink.",
        "letterbox", [640, 640], [100, 50], [[160, 0, 480, 640], [320, 64, 384, 128]],
        [[0, 0, 50, 100], [25, 10, 35, 20]], "(x - 160) / 6.4, y / 6.4.",
    )  # fmt: skip
