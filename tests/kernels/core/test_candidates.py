"""Keys of candidates: what they hold, how they rank, and how the best are kept and sorted."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from postproc.kernels.core import candidates
from tests.shares import examples

pytestmark = pytest.mark.needs_numba

Keys = NDArray[np.uint64]

EXAMPLES = examples(150)
EDGES = [float(np.float32(score)) for score in (1e-45, 1e-38, 0.5, 0.25, 1.0, 3e38)]
SCORES = st.floats(0, 2, width=32) | st.sampled_from(EDGES)  # as float32 holds them, of which two may not tie
ORDERS = st.integers(0, candidates.MAX_ORDER) | st.sampled_from([0, 1, 2**31, candidates.MAX_ORDER])
LIMITS = st.sampled_from([0.0, 0.25, 0.5, 1.0])


@numba.njit  # type: ignore[untyped-decorator]
def pack_all(scores: Any, orders: Any, thresholds: Any, discard: Any) -> Any:
    keys = np.empty(scores.shape[0], np.uint64)
    for index in range(scores.shape[0]):
        keys[index] = candidates.pack(scores[index], orders[index], thresholds[index], discard)
    return keys


@numba.njit  # type: ignore[untyped-decorator]
def unpack_all(keys: Any) -> Any:
    scores, below = np.empty(keys.shape[0], np.float32), np.empty(keys.shape[0], np.float32)
    orders, predicted = np.empty(keys.shape[0], np.int64), np.empty(keys.shape[0], np.bool_)
    for index in range(keys.shape[0]):
        scores[index] = candidates.score_of(keys[index])
        below[index] = candidates.score_below(keys[index])
        orders[index] = candidates.order_of(keys[index])
        predicted[index] = candidates.is_predicted(keys[index])
    return scores, orders, predicted, below


@numba.njit  # type: ignore[untyped-decorator]
def round_trip(scores: Any) -> Any:
    bits, back = np.empty(scores.shape[0], np.uint32), np.empty(scores.shape[0], np.float32)
    for index in range(scores.shape[0]):
        bits[index] = candidates.sortable(scores[index])
        back[index] = candidates.from_sortable(bits[index])
    return bits, back


@numba.njit  # type: ignore[untyped-decorator]
def kept_best(keys: Any, fewest: int, most: int) -> Any:
    result = keys.copy()
    kept, bound = candidates.keep_best(result, result.shape[0], fewest, most)
    return result[:kept], bound


@numba.njit  # type: ignore[untyped-decorator]
def sorted_descending(keys: Any, count: int, lowest_bit: int) -> Any:
    result = keys.copy()
    candidates.sort_descending(result, np.empty(count, np.uint64), count, lowest_bit)
    return result


def packed(rows: list[tuple[float, int, float]], discard: float) -> Keys:
    scores, orders, thresholds = (np.array(column) for column in zip(*rows, strict=True))
    keys: Keys = pack_all(
        scores.astype(np.float32), orders.astype(np.int64), thresholds.astype(np.float32), np.float32(discard)
    )
    return keys


@EXAMPLES
@given(
    rows=st.lists(st.tuples(SCORES, ORDERS, LIMITS), min_size=1, max_size=30, unique_by=lambda row: row[1]),
    discard=LIMITS | st.just(np.inf),
)
def test_keys_rank_by_predicted_then_score_then_order(
    rows: list[tuple[float, int, float]], discard: float
) -> None:
    rows = [row for row in rows if row[0] > min(row[2], discard)]
    assume(rows)
    keys = packed(rows, discard)
    assert len(set(keys.tolist())) == len(rows)
    ranking = sorted(range(len(rows)), key=lambda at: (rows[at][0] <= rows[at][2], -rows[at][0], rows[at][1]))
    assert_array_equal(np.argsort(keys)[::-1], ranking)


@EXAMPLES
@given(
    rows=st.lists(st.tuples(SCORES, ORDERS, LIMITS), min_size=1, max_size=30),
    discard=LIMITS | st.just(np.inf),
)
def test_keys_hold_score_order_and_whether_predicted(
    rows: list[tuple[float, int, float]], discard: float
) -> None:
    keys = packed(rows, discard)
    is_candidate = np.array([row[0] > min(row[2], discard) for row in rows])
    assert_array_equal(keys != candidates.NO_KEY, is_candidate)
    scores, orders, predicted, below = (column[is_candidate] for column in unpack_all(keys))
    expected = [row for row, one in zip(rows, is_candidate, strict=True) if one]
    assert_array_equal(scores, np.array([row[0] for row in expected], np.float32))
    assert_array_equal(orders, np.array([row[1] for row in expected], np.int64))
    assert_array_equal(predicted, np.array([row[0] > row[2] for row in expected], bool))
    assert_array_equal(below, np.nextafter(scores, np.float32(-1)))


@pytest.mark.parametrize("score", [np.nan, -np.nan, np.inf, -np.inf, -1.0, -1e-45, 0.0, -0.0], ids=str)
@pytest.mark.parametrize("discard", [0.0, np.inf])
def test_pack_score_that_is_no_candidate_has_no_key(score: float, discard: float) -> None:
    assert packed([(score, 5, 0.0)], discard)[0] == candidates.NO_KEY


def test_score_below_of_the_lowest_keys_is_zero() -> None:
    lowest = np.array([candidates.NO_KEY, candidates.LOWEST_KEY, 1 << 32], np.uint64)
    assert_array_equal(unpack_all(lowest)[3], np.zeros(3, np.float32))


def test_sortable_bits_order_as_numbers_and_come_back() -> None:
    bits = np.random.default_rng(1).integers(0, 2**32, 50_000, dtype=np.uint32)
    scores = np.concatenate(
        [bits.view(np.float32), np.array([0, -0.0, 1e-45, -1e-45, np.inf, -np.inf], np.float32)]
    )
    scores = scores[~np.isnan(scores)]
    found, back = round_trip(scores)
    assert_array_equal(back, scores)
    order = np.argsort(scores, kind="stable")
    assert (np.diff(found[order].astype(np.int64)) >= 0).all()
    assert_array_equal(np.diff(found[order].astype(np.int64)) > 0, np.diff(scores[order]) > 0)


def random_keys(rng: np.random.Generator, count: int, varying: str) -> Keys:
    """Distinct keys that differ in some of their bits only."""
    numbers = rng.permutation(count).astype(np.uint64)
    if varying == "low bits":
        return numbers + np.uint64(0xABCD << 40)
    if varying == "high bits":
        return numbers << np.uint64(64 - max(count, 2).bit_length())
    if varying == "top bit":
        top = rng.integers(0, 2, count, dtype=np.uint64) << np.uint64(63)
        return numbers | top
    return rng.integers(0, 2**64, count, dtype=np.uint64)


VARYING = ("all bits", "low bits", "high bits", "top bit")


@pytest.mark.parametrize("varying", VARYING)
@pytest.mark.parametrize("count", [1, 2, 30, 1000])
def test_keep_best_keeps_the_largest_in_their_order(count: int, varying: str) -> None:
    rng = np.random.default_rng(count)
    for _ in range(20):
        keys = random_keys(rng, count, varying)
        fewest = int(rng.integers(1, count + 1))
        most = int(rng.integers(fewest, count + 1))
        kept, bound = kept_best(keys, fewest, most)
        assert fewest <= len(kept) <= most
        smallest = np.sort(keys)[-len(kept)]
        assert_array_equal(kept, keys[keys >= smallest])
        assert bound <= smallest
        assert (keys[keys < smallest] < bound).all()


SIZES = [0, 1, 2, 3, 47, 48, 49, 50, 255, 256, 257, 2047, 2048, 2049, 5000]


@pytest.mark.parametrize("varying", VARYING)
@pytest.mark.parametrize("count", SIZES)
def test_sort_descending_any_size_sorts(count: int, varying: str) -> None:
    keys = random_keys(np.random.default_rng(count), count, varying)
    assert_array_equal(sorted_descending(keys, count, 0), np.sort(keys)[::-1], strict=True)


@pytest.mark.parametrize("distinct", [1, 2, 40, 10**6])
@pytest.mark.parametrize("count", SIZES)
def test_sort_descending_without_the_low_bits_keeps_ties_that_are_in_order(count: int, distinct: int) -> None:
    rng = np.random.default_rng(count)
    scores = rng.integers(0, 2**32, distinct, dtype=np.uint64)[rng.integers(0, distinct, count)]
    descending = np.sort(rng.choice(2**20, count, replace=False).astype(np.uint64))[::-1]
    keys = (scores << np.uint64(32)) | descending
    assert_array_equal(sorted_descending(keys, count, 32), np.sort(keys)[::-1], strict=True)


@pytest.mark.parametrize("count", [40, 300, 3000])
def test_sort_descending_sorts_the_first_keys_only(count: int) -> None:
    keys = np.random.default_rng(count).integers(0, 2**64, count + 10, dtype=np.uint64)
    found = sorted_descending(keys, count, 0)
    assert_array_equal(found[count:], keys[count:])
    assert_array_equal(found[:count], np.sort(keys[:count])[::-1])
