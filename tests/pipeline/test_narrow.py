"""Tensors in half precision and of quantised integers: every result is that of the float32 they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from postproc import PostProcessor
from tests import reference
from tests.comparison import assert_rows_equal
from tests.pipelines import assert_same
from tests.random_cases.builder import ALL
from tests.random_cases.narrow import SORTS, Narrow, narrow
from tests.strategies import near_tie, random_case

SEEDS = 16
METHODS = ("hard", "hard", "soft", "weighted")


def made(kind: str, sort: str, seed: int) -> Narrow:
    """Return a random case, of many rows now and then."""
    rng = np.random.default_rng([ALL.index(kind), SORTS.index(sort), seed])
    method = METHODS[seed % len(METHODS)]
    if method == "soft" and not takes_soft(kind):
        method = "hard"
    if kind == "classification":
        method = "hard"
    rows = 60 if seed % 8 == 7 else None
    return narrow(random_case(kind, int(rng.integers(2**32)), rows, method), rng, sort)


def takes_soft(kind: str) -> bool:
    from tests.kinds import KINDS

    return kind in KINDS and KINDS[kind].takes_soft_nms


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("kind", ALL)
def test_narrow_tensors_of_any_kind_give_what_their_float32_does(kind: str, sort: str) -> None:
    compared = 0
    for seed in range(SEEDS):
        drawn = made(kind, sort, seed)
        case = drawn.case
        expected = PostProcessor(case.spec, case.version)(case.tensors, **case.options)
        actual = PostProcessor(case.spec, drawn.version, num_threads=2)(drawn.tensors, **case.options)
        assert_same(actual, expected)
        if seed % 3 == 0 and not near_tie(case):
            rows = reference.run(case.spec, case.version, case.tensors, **case.options)
            assert_rows_equal(actual, rows, case.version, case.options)
            compared += sum(len(image) for images in rows for image in images)
    assert compared
