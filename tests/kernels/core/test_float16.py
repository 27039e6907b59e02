"""Half precision to float32: every number there is."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from postproc.kernels.core.float16 import bfloat16_to_float32, float16_to_float32

EVERY_BITS = np.arange(2**16, dtype=np.uint16)


@pytest.mark.parametrize(
    ("convert", "dtype"),
    [(float16_to_float32, np.float16), (bfloat16_to_float32, ml_dtypes.bfloat16)],
    ids=["float16", "bfloat16"],
)
def test_conversion_of_every_number_equals_that_of_numpy(convert: Any, dtype: Any) -> None:
    expected = EVERY_BITS.view(dtype).astype(np.float32)
    actual = convert(EVERY_BITS)
    assert actual.dtype == np.float32
    nan = np.isnan(expected)
    assert nan.sum() > 0
    assert_array_equal(np.isnan(actual), nan)
    # By their bits, which tell -0 from 0.
    assert_array_equal(actual.view(np.uint32)[~nan], expected.view(np.uint32)[~nan])


@pytest.mark.parametrize("convert", [float16_to_float32, bfloat16_to_float32], ids=["float16", "bfloat16"])
def test_conversion_of_nothing_is_empty(convert: Any) -> None:
    assert convert(EVERY_BITS[:0]).shape == (0,)
