"""Cuts and thresholds, against counting anew for every threshold there is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from postproc.errors import SchemaError
from postproc.evaluation.matches import IGNORED, NOTHING, Matches
from postproc.evaluation.ranked_matches import RankedMatches
from postproc.evaluation.threshold_choice import Objective, Variant, between, choose

LABELS = 4
OBJECTIVES = [Objective(), Objective("precision", 0.6), Objective("false_positives", 0.5)]


def random_matches(seed: int, images: int = 12, rows: int = 150) -> Matches:
    rng = np.random.default_rng(seed)
    image = np.sort(rng.integers(0, images, rows))
    score = (rng.integers(1, 30, rows) / 30).astype(np.float32)
    truth = np.where(rng.random(rows) < score, 0, NOTHING)
    truth[rng.random(rows) < 0.05] = IGNORED
    label = rng.integers(0, LABELS, rows)
    objects = np.stack([image, label], axis=1)[(truth >= 0) | (rng.random(rows) < 0.1)]
    return Matches(image, label, score, truth, objects, images)


def value_at(matches: Matches, label: int, threshold: float, objective: Objective, images: int) -> float:
    kept = (matches.label == label) & (matches.score > np.float32(threshold))
    right, wrong = int((matches.truth[kept] >= 0).sum()), int((matches.truth[kept] == NOTHING).sum())
    objects = int((matches.objects[:, 1] == label).sum())
    if objective.kind == "f1":
        return 2 * right / (objects + right + wrong)
    if objective.kind == "precision":
        return float(right) if right and right / (right + wrong) >= objective.wanted else 0.0
    return float(right) if wrong / images <= objective.wanted else 0.0


def part_of(matches: Matches, images: Any) -> Matches:
    rows = np.isin(matches.image, images)
    columns = (getattr(matches, name)[rows] for name in ("image", "label", "score", "truth"))
    return Matches(*columns, matches.objects[np.isin(matches.objects[:, 0], images)], len(images))


def chosen(matches: Matches, objective: Objective, images: Any = None, **more: Any) -> Any:
    ranked = RankedMatches.of(matches, LABELS, images)
    return choose(
        [Variant(0.3, ranked)], np.full(LABELS, 0.9), np.full(LABELS, 0.01), np.ones(LABELS, bool),
        objective, **more,
    )  # fmt: skip


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.kind)
@pytest.mark.parametrize("seed", range(8))
def test_choose_is_as_good_as_the_best_of_all_thresholds(seed: int, objective: Objective) -> None:
    matches = random_matches(seed)
    choice = chosen(matches, objective)
    candidates = np.concatenate([[0.01], np.unique(matches.score).astype(float)])
    for label in range(LABELS):
        values = [value_at(matches, label, t, objective, matches.images) for t in candidates]
        assert choice.values[label] == max(values)
        if max(values) > 0:
            at = value_at(matches, label, choice.thresholds[label], objective, matches.images)
            assert at == max(values)
            # Of equal ones the highest: it keeps least that is wrong.
            best = candidates[np.flatnonzero(np.array(values) == max(values))[-1]]
            scores = matches.score[(matches.label == label) & (matches.truth != IGNORED)]
            expected = scores > np.float32(best)
            np.testing.assert_array_equal(scores > np.float32(choice.thresholds[label]), expected)
        else:
            assert choice.thresholds[label] == 0.9


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.kind)
def test_choose_without_a_fold_equals_choosing_from_the_other_images(objective: Objective) -> None:
    matches = random_matches(3)
    folds = np.random.default_rng(0).permutation(np.arange(matches.images) % 3).astype(np.int16)
    for fold in range(3):
        without = chosen(matches, objective, folds=folds, left_out=fold)
        others = np.flatnonzero(folds != fold)
        rest = chosen(part_of(matches, others), objective, others)
        np.testing.assert_array_equal(without.values, rest.values)
        np.testing.assert_array_equal(without.thresholds, rest.thresholds)


def test_choose_of_variants_takes_the_best_and_of_equal_ones_the_first() -> None:
    bad, good = (RankedMatches.of(random_matches(seed), LABELS) for seed in (1, 2))
    old, floors, everyone = np.full(LABELS, 0.5), np.full(LABELS, 0.01), np.ones(LABELS, bool)
    means = [
        choose([Variant(0.3, part)], old, floors, everyone, Objective()).values.mean() for part in (bad, good)
    ]
    assert means[0] != means[1]
    better = int(np.argmax(means))
    pair = [Variant(0.3, bad), Variant(0.5, good)]
    # Objects are the first variant's, which those of the same images share.
    assert choose([pair[0], pair[0]], old, floors, everyone, Objective()).variant == 0
    assert choose([pair[1 - better], pair[better]], old, floors, everyone, Objective()).variant == 1


def test_choose_scores_above_1_are_not_cut_apart() -> None:
    scores = np.array([3.0, 2.0, 0.5], np.float32)
    matches = Matches(
        np.zeros(3, np.int64), np.zeros(3, np.int64), scores, np.array([0, -1, -1]), np.array([[0, 0]]), 1
    )
    variants = [Variant(None, RankedMatches.of(matches, 1))]
    choice = choose(variants, np.array([0.2]), np.array([0.0]), np.ones(1, bool), Objective())
    assert (scores > np.float32(choice.thresholds[0])).tolist() == [True, True, False]
    assert choice.values[0] == pytest.approx(2 / 3)


UP = np.float32(np.nextafter(np.float32(0.3), np.float32(1)))


@pytest.mark.parametrize(
    ("below", "kept", "expected"),
    [
        pytest.param(0.2, 0.8, 0.5, id="wide"),
        pytest.param(0.34, 0.42, 0.38, id="the middle in two digits"),
        pytest.param(0.301, 0.304, 0.302, id="in three"),
        pytest.param(0.3, UP, 0.3, id="adjacent"),
        pytest.param(0.9, 7.0, 0.95, id="above 1"),
        pytest.param(1.0, 7.0, 1.0, id="from 1 on"),
        pytest.param(0.0, 1e-30, 0.0, id="next to nothing"),
    ],
)
def test_between_keeps_the_upper_score_only(below: float, kept: float, expected: float) -> None:
    low, high = np.float32(below), np.float32(kept)
    threshold = between(low, high)
    assert threshold == pytest.approx(expected, abs=1e-9)
    assert high > np.float32(threshold) >= low
    assert 0 <= threshold <= 1


def test_between_of_any_two_neighbours_separates_them() -> None:
    rng = np.random.default_rng(0)
    for low in rng.random(300).astype(np.float32):
        high = np.nextafter(low, np.float32(2))
        assert high > np.float32(between(low, high)) >= low


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("precision", 0.0), "precision: expected a number above 0 and at most 1, got 0.0"),
        (("precision", 1.5), "at most 1, got 1.5"),
        (("false_positives", -1.0), "expected 0 or more, got -1.0"),
        (("recall", 1.0), "expected one of f1, precision, false_positives, got 'recall'"),
    ],
)
def test_objective_out_of_range_is_an_error(arguments: tuple[Any, float], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        Objective(*arguments)
