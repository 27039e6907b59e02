"""Cases of COCO's run lengths of masks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.conformance.make.writing import Draft


def counts_of(mask: NDArray[np.uint8]) -> list[int]:
    """Lengths of runs down the columns, zeros first."""
    pixels = [int(mask[row, column]) for column in range(mask.shape[1]) for row in range(mask.shape[0])]
    runs = [(value, len(list(run))) for value, run in groupby(pixels)]
    return [0] * (runs[0][0] == 1) + [length for _, length in runs]


def text_of(counts: list[int]) -> str:
    """The compressed text: differences in signed digits of 5 bits, as rule 49 says."""
    letters = ""
    for place, count in enumerate(counts):
        number = count - counts[place - 2] if place > 2 else count
        while True:
            digit, number = number & 31, number >> 5
            is_last = number == (-1 if digit & 16 else 0)
            letters += chr(48 + digit + (0 if is_last else 32))
            if is_last:
                break
    return letters


def rle(id: str, rule: int, title: str, mask: Any, why: str) -> Draft:
    array = np.array(mask, np.uint8)
    counts = counts_of(array)
    expected = {"counts": counts, "string": text_of(counts)}
    return Draft("masks", f"rle-{id}", rule, title, "rle", {"mask": array}, expected, "by hand", why)


def drafts() -> Iterator[Draft]:
    yield rle("empty", 50, "A mask without a pixel is one run of zeros.", np.zeros((3, 4)), "12 zeros.")
    yield rle("full", 50, "A full mask is a run of no zeros and one of all.", np.ones((3, 4)), "0 and 12.")
    yield rle("one-pixel-image", 50, "A mask of one pixel that is set.", [[1]], "0 zeros, 1 one.")
    yield rle(
        "down-the-columns", 48, "A column is one run, for runs go down the columns.",
        [[0, 1, 0], [0, 1, 0]], "2 zeros, 2 ones, 2 zeros; along rows it would be 1, 1, 2, 1, 1.",
    )  # fmt: skip
    yield rle(
        "row", 48, "A row is a run for each column.",
        [[1, 1, 1], [0, 0, 0]], "0 zeros, then 1, 1, 1, 1, 1, 1.",
    )  # fmt: skip
    yield rle(
        "first-pixel", 48, "Where the first pixel is set it begins with 0.", [[1, 0], [0, 0]], "0, 1, 3."
    )
    yield rle("last-pixel", 48, "Where the last pixel is set no zeros follow.", [[0, 0], [0, 1]], "3, 1.")
    yield rle(
        "off-diagonal", 48, "The second row's first pixel comes before the first row's second.",
        [[0, 0], [1, 0]], "1, 1, 2.",
    )  # fmt: skip
    board = np.indices((4, 4)).sum(axis=0) % 2
    yield rle(
        "checkerboard", 48, "A checkerboard has runs of one and of two.", board,
        "Each column begins as the one before ends.",
    )  # fmt: skip
    ring = np.ones((5, 5), np.uint8)
    ring[1:4, 1:4] = 0
    yield rle("ring", 48, "A ring has its hole's zeros between its ones.", ring, "0, 6, 3, 2, 3, 2, 3, 6.")
    block = np.zeros((40, 40), np.uint8)
    block[5:25, 10:30] = 1
    yield rle(
        "two-digits", 49, "Runs beyond 15 take a second digit, and differences of 0 the letter 0.",
        block,
        "405 zeros, then 20 ones and 20 zeros in turns; each but the first three is written as a difference.",
    )  # fmt: skip
    triangle = np.tri(20, 20, dtype=np.uint8)
    yield rle(
        "negative-differences", 49, "Where runs become shorter differences are negative.",
        triangle, "Ones 20, 19, 18, ..., zeros 1, 2, 3, ...",
    )  # fmt: skip
    for length, digits in ((15, "one"), (16, "two, for bit 16 of the last is the sign"), (512, "three")):
        column = np.zeros((length + 1, 1), np.uint8)
        column[length] = 1
        why = f"{length} zeros, whose digits are {digits}, and 1 one."
        yield rle(f"run-of-{length}", 49, f"A run of {length}.", column, why)
    steps = np.zeros((64, 3), np.uint8)
    steps[0, 0], steps[:, 1], steps[63, 2] = 1, 1, 1
    yield rle(
        "large-differences", 49, "Differences of either sign that take two digits.",
        steps, "0, 1, 63, 64, 63, 1: 63 beside 1, and 1 beside 64.",
    )  # fmt: skip
