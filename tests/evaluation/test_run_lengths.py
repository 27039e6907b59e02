"""Masks of any form as compressed run lengths, and what is refused before pycocotools reads it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as tools

from postproc.errors import SchemaError
from postproc.evaluation.run_lengths import areas_of, as_run_lengths

HEIGHT, WIDTH = 12, 20
SIZE = [HEIGHT, WIDTH]
PIXELS = HEIGHT * WIDTH


def encoded(mask: Any) -> dict[str, Any]:
    return as_run_lengths([mask], np.array([SIZE]), lambda row: f"number {row}")[0]


def text_of(mask: Any) -> str:
    counts = tools.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    return str(counts.decode())


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools
def test_forms_of_the_same_mask_are_one() -> None:
    rng = np.random.default_rng(0)
    for mask in (
        rng.random(SIZE) < 0.4,
        np.zeros(SIZE, bool),
        np.ones(SIZE, bool),
        np.eye(HEIGHT, WIDTH) > 0,
    ):
        edges = np.flatnonzero(np.diff(mask.reshape(-1, order="F").astype(int), prepend=0))
        runs = np.diff([0, *edges, PIXELS]).tolist()
        text = text_of(mask)
        for counts in (runs, text, text.encode()):
            made = encoded({"size": SIZE, "counts": counts})
            np.testing.assert_array_equal(tools.decode(made), mask)
            assert areas_of([made]).tolist() == [mask.sum()]
    assert areas_of([]).tolist() == []
    assert areas_of([made] * 300).tolist() == [mask.sum()] * 300
    assert areas_of([encoded(None)]).tolist() == [0]


def test_polygons_are_drawn_as_pycocotools_draws_them() -> None:
    polygons = [[1, 1, 9.5, 2, 6, 11], [12, 3, 30, 3, 30, 25]]  # one reaches out of the image
    expected = tools.merge(tools.frPyObjects(polygons, HEIGHT, WIDTH))
    assert encoded(polygons) == expected


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ([[1, 2, 3, 4]], "polygon 0: expected x and y of three corners or more, got 4 numbers"),
        ([[0, 0, 5, 0, 5, 5], [0] * 7], "polygon 1: expected x and y of three .*, got 7 numbers"),
        ([0, 0, 5, 0, 5, 5], r"each a list \[x, y, x, y, ...\], got a list whose entry 0 is 0"),
        ([[0, 0, 5, "a", 5, 5]], "polygon 0: expected finite numbers, got"),
        ([[0, 0, 5, float("nan"), 5, 5]], r"polygon 0: expected finite numbers, got \[0, 0, 5, NaN"),
        ([[0, 0, 5, 10**400, 5, 5]], "polygon 0: expected finite numbers"),
        ([[0, 0, 5, [1], 5, 5]], "polygon 0: expected finite numbers"),
        ([[0, 0, 5, 1e9, 5, 5]], "polygon 0: reaches to 1e.09, far beyond its image of 20 x 12"),
        ([], "expected polygons, got an empty list"),
        ("abc", 'expected polygons or RLE, got "abc"'),
        ({"counts": "0"}, r"expected RLE with a size \[height, width\], got null"),
        ({"size": [12, 20.0], "counts": "0"}, r"expected RLE with a size"),
        ({"size": [20, 12], "counts": "0"}, "mask is 20 high and 12 wide, and its image 12 and 20"),
        ({"size": SIZE}, "lengths of runs that sum up to 240 pixels, got null"),
        ({"size": SIZE, "counts": [100, 100]}, "got 2 that sum up otherwise"),
        ({"size": SIZE, "counts": [300, -60]}, "got 2 that sum up otherwise"),
        ({"size": SIZE, "counts": ""}, "run lengths of 12 x 20 = 240 pixels, got runs of 0"),
        ({"size": SIZE, "counts": "hello world"}, "compressed run lengths .*, got what is no such text"),
        ({"size": SIZE, "counts": "0o"}, "compressed run lengths .*, got what is no such text"),
        ({"size": SIZE, "counts": "oooooooooooooooo"}, "compressed run lengths .*, got what is no such text"),
        ({"size": SIZE, "counts": "ü"}, "compressed run lengths .*, got what is no such text"),
    ],
)  # fmt: skip
def test_broken_masks_are_named(mask: Any, message: str) -> None:
    with pytest.raises(SchemaError, match=rf"number 1: segmentation.*{message}"):
        as_run_lengths([None, mask], np.array([SIZE] * 2), lambda row: f"number {row}")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools
def test_any_text_is_refused_unless_it_is_of_all_pixels() -> None:
    rng = np.random.default_rng(1)
    text = text_of(rng.random(SIZE) < 0.5)
    refused = 0
    for _ in range(300):
        letters = list(text)
        for place in rng.integers(0, len(letters), rng.integers(1, 4)):
            letters[place] = chr(rng.integers(33, 127))
        changed = "".join(letters[: rng.integers(1, len(letters) + 1)])
        try:
            made = encoded({"size": SIZE, "counts": changed})
        except SchemaError:
            refused += 1
        else:
            assert tools.decode(made).shape == tuple(SIZE)
    assert refused > 200
