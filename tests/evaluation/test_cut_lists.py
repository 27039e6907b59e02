"""Lists of detections that were cut are told from those that end by themselves."""

from __future__ import annotations

import numpy as np
import pytest

from postproc.evaluation.cut_lists import CutLists


def counts_of(kind: str, rng: np.random.Generator) -> np.ndarray:
    if kind == "poisson":
        return rng.poisson(30, 500)
    if kind == "few":
        return rng.poisson(1, 500)
    if kind == "wide":
        return rng.geometric(0.02, 500)
    return np.minimum(rng.geometric(0.01, 500), int(kind))


def lists(counts: np.ndarray, rng: np.random.Generator, floor: float = 0.0) -> CutLists:
    images = np.repeat(np.arange(len(counts)), counts)
    return CutLists.of(images, floor + (1 - floor) * rng.beta(1, 9, len(images)))


@pytest.mark.parametrize("kind", ["poisson", "few", "wide"])
def test_lists_that_end_by_themselves_are_not_cut(kind: str) -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        assert lists(counts_of(kind, rng), rng).top is None


@pytest.mark.parametrize("top", [100, 300, 137])
def test_lists_of_the_best_so_many_are_cut(top: int) -> None:
    rng = np.random.default_rng(top)
    counts = counts_of(str(top), rng)
    found = lists(counts, rng)
    assert (found.top, found.full) == (top, (counts == top).sum())
    assert found.bound is not None
    assert f"exactly {top} detections" in found.notes("a.json")[0]


def test_bound_is_the_highest_of_the_lowest_scores_of_full_images() -> None:
    images = np.repeat(np.arange(3), [100, 100, 4])
    scores = np.linspace(0.9, 0.01, 204)
    assert CutLists.of(images, scores).bound == scores[99]


@pytest.mark.parametrize(("floor", "said"), [(0.0, False), (0.001, False), (0.05, True), (0.25, True)])
def test_lowest_score_above_a_thousandth_is_said(floor: float, said: bool) -> None:
    rng = np.random.default_rng(1)
    notes = lists(counts_of("poisson", rng), rng, floor).notes("a.json")
    assert any(f"no detection of a.json scores below {floor:g}"[:44] in note for note in notes) == said


def test_no_detections_are_not_cut() -> None:
    assert CutLists.of(np.empty(0, np.int64), np.empty(0)) == CutLists()
