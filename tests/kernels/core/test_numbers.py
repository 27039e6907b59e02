"""Raw numbers and limits among them: every number of every form."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from numba.core import config
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from postproc.kernels._jit import kernel
from postproc.kernels.core import numbers
from postproc.kernels.core.bits import BLOCK, above
from postproc.kernels.core.scan import next_hits
from tests.kernels.core.forms import FORMS, HALVES, INTEGERS, NARROW, every_number, in_form
from tests.kernels.from_python import from_python

pytestmark = pytest.mark.needs_numba

Floats = NDArray[np.float32]

INF = np.float32(np.inf)
# Scales and zero points of networks, and some whose products leave the normal range of float32.
QUANTISATIONS = [
    (1 / 255, 0), (0.00390625, -128), (0.0472, 17), (3.0, 127), (1e-45, 3), (3e38, 5), (1e-38, -100),
    (7e33, 0),
]  # fmt: skip


@numba.njit  # type: ignore[untyped-decorator]
def all_numbers(values: Any) -> Any:
    return np.array([numbers.number(values, index) for index in range(numbers.raw(values).shape[0])])


@numba.njit  # type: ignore[untyped-decorator]
def all_limits(values: Any, limits: Any) -> Any:
    return numbers.raw_limits(values, limits)


@numba.njit  # type: ignore[untyped-decorator]
def all_passing(values: Any, limit: Any) -> Any:
    found = np.empty(numbers.raw(values).shape[0], np.bool_)
    raw_limit = numbers.raw_limits(values, np.full(1, limit, np.float32))[0]
    for index in range(found.shape[0]):
        found[index] = numbers.passes(values, index, raw_limit)
    return found


def all_of(form: str) -> list[tuple[Any, Floats]]:
    """Every number of a form; of integers with every quantisation."""
    if form in HALVES:
        return [every_number(form)]
    return [every_number(form, *one) for one in QUANTISATIONS if is_in_range(form, one[1])]


def is_in_range(form: str, zero_point: int) -> bool:
    extent = np.iinfo(INTEGERS[form])
    return bool(extent.min <= zero_point <= extent.max)


@pytest.mark.parametrize("form", NARROW)
def test_number_is_that_of_numpy_by_its_bits(form: str) -> None:
    for values, expected in all_of(form):
        found = all_numbers(values)
        assert found.dtype == np.float32
        nan = np.isnan(expected)
        assert_array_equal(np.isnan(found), nan)
        assert_array_equal(found.view(np.uint32)[~nan], expected.view(np.uint32)[~nan])


@pytest.mark.parametrize("form", NARROW)
def test_raw_limit_beside_every_number_lets_pass_just_what_exceeds_it(form: str) -> None:
    """The lowest that passes, of all numbers in their order; of integers the highest, if none does."""
    for values, expected in all_of(form):
        ordered = np.sort(expected[~np.isnan(expected)])  # -0 and 0 are equal, and neither exceeds the other
        near = np.unique(ordered)
        with np.errstate(all="ignore"):
            limits = [near, np.nextafter(near, INF), np.nextafter(near, -INF)]
        limits = np.concatenate([*limits, np.float32([-INF, -0.0, 1e-45, -1e-45, 3e38, -3e38])])
        lowest = np.searchsorted(ordered, limits, side="right")
        if form in HALVES:
            lowest -= int((ordered < 0).sum()) + 1  # and -0
        else:
            extent = np.iinfo(INTEGERS[form])
            lowest = np.minimum(lowest + extent.min, extent.max)
            lowest -= (int(extent.min) + int(extent.max) + 1) // 2  # the raw ones are signed
        assert_array_equal(all_limits(values, limits).astype(np.int64), lowest)


@pytest.mark.parametrize("form", NARROW)
@pytest.mark.parametrize(
    "limit", [0.25, 0.0, -0.0, -0.25, -3.5, 1e-7, -1e-7, 1e-45, 65504.0, -65504.0, INF, -INF]
)
def test_passes_holds_for_what_exceeds_the_limit_and_at_most_for_nan_and_the_highest(
    form: str, limit: float
) -> None:
    for values, expected in all_of(form):
        found = all_passing(values, np.float32(limit))
        exceeds = expected > np.float32(limit)
        assert found[exceeds].all()
        extra = np.flatnonzero(found & ~exceeds)
        allowed = np.isnan(expected)
        if form in INTEGERS:
            allowed[-1] = True
        assert allowed[extra].all(), expected[extra]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("period", [1, 5, 64, 85, 700])
def test_next_hits_are_all_that_pass(form: str, period: int) -> None:
    """Around lengths of blocks and strides, from any position to any end."""
    rng = np.random.default_rng(period)
    for size in (0, 1, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513, 575, 576, 577, 1100, 2100):
        drawn = rng.uniform(-0.5, 0.5, size)
        drawn[rng.random(size) < rng.choice([0.02, 0.3])] = 1.0
        values, expected = in_form(form, drawn, zero_point=0)
        limits = rng.choice(np.float32([0.5, 0.75, -0.25]), period)
        start = int(rng.integers(0, size + 1))
        stop = int(rng.integers(start, size + 1))
        places = np.arange(start, stop)
        assert_array_equal(
            hits_of(values, start, stop, limits, start),
            places[expected[start:stop] > limits[places % period]],
        )


@numba.njit  # type: ignore[untyped-decorator]
def _hits(values: Any, start: Any, stop: Any, limits: Any) -> Any:
    period = limits.shape[0]
    raw = numbers.raw_limits(values, limits)
    repeated = numbers.highest_limits(values, period + numbers.stride_of(values))
    for index in range(repeated.shape[0]):
        repeated[index] = raw[index % period]
    found = [(np.uint64(0), 0)]
    position = start
    while position < stop:
        hits, position = next_hits(values, position, stop, repeated, period)
        found.append((hits, position))
        position += BLOCK
    return found


def hits_of(values: Any, start: int, stop: int, limits: Floats, first: int) -> list[int]:
    """Places of all hits from `start` to `stop`, whose limits repeat from place 0 on."""
    found = _hits(values, start, stop, limits)
    return [position + bit for hits, position in found for bit in range(BLOCK) if int(hits) >> bit & 1]


@pytest.mark.parametrize("form", FORMS)
def test_above_is_a_bit_for_each_number_that_passes(form: str) -> None:
    rng = np.random.default_rng(1)
    values, expected = in_form(form, rng.uniform(-1, 1, 200))
    limits = rng.uniform(-1, 1, 100).astype(np.float32)
    raw = all_limits(values, limits)
    bits = from_python(above)(values, 77, raw, 13)
    flags = expected[77 : 77 + BLOCK] > limits[13 : 13 + BLOCK]
    assert 0 < flags.sum() < BLOCK
    assert_array_equal([int(bits) >> bit & 1 for bit in range(BLOCK)], flags)


@kernel
def read(values: Any, index: int) -> Any:
    return numbers.number(values, index)


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="NUMBA_DISABLE_JIT: nothing is compiled")
@pytest.mark.parametrize(
    "values",
    [
        np.zeros(3, np.int8),
        np.zeros(3, np.int16),
        (np.zeros(3, np.int8),),
        (np.zeros(3, np.int8), np.float32(0.5), 0),
        (np.zeros(3, np.int8), 0.5, 0, 0),
        (np.zeros(3, np.uint8), np.float32(0.5), 0, 0),
        (np.zeros(3, np.float32), np.float32(0.5), 0, 0),
        (np.zeros(3, np.int32), np.float32(0.5), 0, 0),
        np.zeros(3, np.float64),
        np.zeros(3, np.float16),
    ],
    ids=lambda values: f"{type(values).__name__}",
)
def test_kernel_given_numbers_without_what_they_mean_does_not_compile(values: Any) -> None:
    with pytest.raises(numba.TypingError):
        read(values, 0)


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="NUMBA_DISABLE_JIT: nothing is compiled")
@pytest.mark.parametrize("form", NARROW)
def test_kernel_takes_memory_that_can_and_cannot_be_written_as_one(form: str) -> None:
    values, expected = in_form(form, [0.25, 0.5])
    assert read(values, 1) == expected[1]
    compiled = list(read.signatures)
    values[0].setflags(write=False)
    assert read(values, 0) == expected[0]
    assert read.signatures == compiled
