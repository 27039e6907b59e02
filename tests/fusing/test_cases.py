"""Random cases of every kind, in graphs written in every way, beside the kernels."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.fusing.checking import check
from tests.kinds import KINDS


@pytest.mark.parametrize("kind", ["classification", *KINDS, "several"])
def test_certified_images_are_those_of_the_kernels(kind: str) -> None:
    results: Counter[str] = Counter()
    for seed in range(1000, 1025):
        outcome = check(kind, seed)
        assert outcome.result != "wrong", f"{kind}:{seed}: {outcome.detail}"
        results[outcome.result] += 1
    assert results["exact"] + results["close"] >= 4, results
    assert results["near"] <= 2, results
