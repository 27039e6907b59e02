"""Sigmoid, softmax and the limit on logits, against float64."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from postproc.kernels.core import activation as act
from tests import reference
from tests.kernels.from_python import from_python
from tests.shares import examples

pytestmark = pytest.mark.needs_numba

Floats = NDArray[np.float32]

activate, largest, logit_limit = map(from_python, (act.activate, act.largest, act.logit_limit))

INF, NAN = np.float32(np.inf), np.float32(np.nan)
TINY = np.finfo(np.float32).smallest_subnormal
BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))  # 1 - 2**-24
EXTREME_LIMITS = [TINY, 1e-44, 1e-38, 1.2e-38, 1e-30, 1e-7, 0.025, 0.5, 0.999, 1 - 2**-20, BELOW_ONE]


@numba.njit  # type: ignore[untyped-decorator]
def softmax_of(rows: Any) -> Any:
    result = np.empty_like(rows)
    width = rows.shape[1]
    logits, probabilities = act.new_row(width), act.new_row(width)
    for row in range(rows.shape[0]):
        logits[:width] = rows[row]
        act.softmax(logits, width, probabilities)
        result[row] = probabilities[:width]
    return result


@numba.njit  # type: ignore[untyped-decorator]
def sigmoids_of(logits: Any) -> Any:
    result = np.empty_like(logits)
    for index in range(logits.shape[0]):
        result[index] = act.sigmoid(logits[index])
    return result


@numba.njit  # type: ignore[untyped-decorator]
def limits_of(scores: Any) -> Any:
    result = np.empty_like(scores)
    for index in range(scores.shape[0]):
        result[index] = act.logit_limit(scores[index])
    return result


def floats(*values: Any) -> Floats:
    return np.array(values, np.float32)


def random_floats(count: int, seed: int) -> Floats:
    """Numbers of every exponent and both signs."""
    bits = np.random.default_rng(seed).integers(0, 2**32, count, dtype=np.uint32)
    values: Floats = bits.view(np.float32)
    return values[np.isfinite(values)]


def test_sigmoid_equals_float64_rounded_once() -> None:
    logits = np.concatenate(
        [np.random.default_rng(1).normal(0, 20, 100_000), [0, 89, -89, 104, -104, 1e30, -1e30]]
    )
    logits = np.concatenate([logits.astype(np.float32), floats(np.inf, -np.inf, np.nan)])
    assert_array_equal(sigmoids_of(logits), reference.sigmoid(logits), strict=True)


def test_activate_applies_the_sigmoid_only_where_told_to() -> None:
    value = np.float32(0.25)
    assert activate(value, act.SIGMOID) == reference.sigmoid(value)
    assert activate(value, act.NONE) == activate(value, act.SOFTMAX) == value


def assert_conservative(scores: Floats) -> None:
    """No logit at or below the limit of a score has a sigmoid above the score."""
    limits = limits_of(scores)
    for logits in (limits, np.nextafter(limits, -INF), limits - np.abs(limits) / 8):
        assert (sigmoids_of(logits.astype(np.float32)) <= scores).all()


@examples(300)
@given(score=st.floats(0, 1, width=32, exclude_min=True, exclude_max=True))
def test_logit_limit_any_score_is_conservative(score: float) -> None:
    assert_conservative(floats(score))


def test_logit_limit_many_scores_are_conservative() -> None:
    scores = np.abs(random_floats(400_000, seed=2))
    uniform = np.random.default_rng(3).random(200_000, np.float32)
    near_one = np.float32(1) - np.arange(1, 2000, dtype=np.float32) * np.float32(2**-24)
    for some in (
        scores[(scores > 0) & (scores < 1)],
        uniform[uniform > 0],
        near_one,
        floats(*EXTREME_LIMITS),
    ):
        assert_conservative(some)


def test_logit_limit_passes_little_that_is_not_above_it() -> None:
    scores = np.random.default_rng(4).uniform(1e-6, 1 - 1e-6, 100_000).astype(np.float32)
    exact = np.log(scores.astype(np.float64) / (1 - scores.astype(np.float64)))
    assert (exact - limits_of(scores) < 3e-5 * (1 + np.abs(exact))).all()


@pytest.mark.parametrize(
    ("score", "limit"), [(0.0, -INF), (-0.0, -INF), (-1.0, -INF), (1.0, INF), (2.0, INF), (np.inf, INF)]
)
def test_logit_limit_outside_of_the_open_interval_is_infinite(score: float, limit: float) -> None:
    """Any finite logit has a sigmoid above 0 or none above 1; what rounds to 0 is sorted out later."""
    assert logit_limit(np.float32(score)) == limit


def ulps_apart(actual: Floats, expected: NDArray[np.float64]) -> NDArray[np.float64]:
    spacing = np.spacing(np.maximum(expected, 1e-38).astype(np.float32)).astype(np.float64)
    return np.abs(actual.astype(np.float64) - expected) / spacing


@pytest.mark.parametrize("scale", [0.01, 1, 10, 40, 1e4])
@pytest.mark.parametrize("width", [1, 2, 3, 7, 16, 21, 91, 1001])
def test_softmax_random_rows_are_within_3_ulp(width: int, scale: float) -> None:
    count = 2000 if width < 100 else 100
    rows = np.random.default_rng(width).normal(0, scale, (count, width)).astype(np.float32)
    actual = softmax_of(rows)
    shifted = rows.astype(np.float64) - rows.max(axis=1, keepdims=True).astype(np.float64)
    expected = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    counted = shifted > -86  # beyond, a probability of 4e-38 or less may be 0
    assert ulps_apart(actual, expected)[counted].max() <= 3
    assert actual[~counted].max(initial=0) < 1e-37
    assert (actual <= 1).all()


@examples(200)
@given(
    row=st.lists(
        st.floats(-80, 80, width=32) | st.sampled_from([-np.inf, 0.0, -0.0]), min_size=1, max_size=40
    ),
    offset=st.sampled_from([0.0, 1e4, -1e4, 3e38, -3e38]),
)
def test_softmax_drawn_rows_are_within_3_ulp(row: list[float], offset: float) -> None:
    with np.errstate(over="ignore"):
        logits = floats(*row) + np.float32(offset)
    expected = reference.softmax(logits).astype(np.float64)
    actual = softmax_of(logits[np.newaxis])[0]
    if not np.isfinite(logits.max()):
        assert np.isnan(actual).all()
        return
    assert (ulps_apart(actual, expected)[expected > 1e-37] <= 3).all()
    assert (actual[logits == -INF] == 0).all()


@pytest.mark.parametrize("bad", [NAN, -NAN, INF], ids=["nan", "negative nan", "inf"])
@pytest.mark.parametrize("width", [1, 2, 8, 33])
def test_softmax_row_with_nan_or_inf_is_nan_throughout(width: int, bad: np.float32) -> None:
    rows = np.zeros((width + 1, width), np.float32)
    rows[np.arange(width), np.arange(width)] = bad  # at every place, and a last row without
    found = softmax_of(rows)
    assert np.isnan(found[:width]).all()
    assert_array_equal(found[width], np.full(width, np.float32(1) / np.float32(width)))


def test_softmax_of_masks_only_is_nan() -> None:
    assert np.isnan(softmax_of(np.full((1, 5), -INF))).all()


def test_softmax_masks_get_no_probability() -> None:
    assert_array_equal(softmax_of(floats([-np.inf, 2, -np.inf, 2])), floats([0, 0.5, 0, 0.5]))


@examples(200)
@given(values=st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=70))
def test_largest_equals_the_maximum(values: list[float]) -> None:
    assert largest(floats(*values)) == max(values)


def test_largest_of_numbers_of_every_exponent() -> None:
    values = random_floats(6400, seed=5)[:6000].reshape(-1, 12)
    assert [largest(row) for row in values] == values.max(axis=1).tolist()
