"""Cross-validation and resampling, against doing both with plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from postproc.evaluation.matches import Matches
from postproc.evaluation.ranked_matches import RankedMatches
from postproc.evaluation.threshold_choice import Objective, Variant, choose
from postproc.evaluation.validation import cross_validate

LABELS, IMAGES, DRAWS, FOLDS, REPEATS, SEED = 3, 25, 12, 4, 2, 7
OLD, FLOORS = np.array([0.5, 0.8, 0.1]), np.full(LABELS, 0.01)


def variants() -> list[Variant]:
    """Two that are about as good, so that folds differ in which they choose."""
    rng = np.random.default_rng(2)
    objects = np.stack([np.sort(rng.integers(0, IMAGES, 90)), rng.integers(0, LABELS, 90)], axis=1)
    found = []
    for nms_threshold in (0.3, 0.6):
        image, label = np.sort(rng.integers(0, IMAGES, 200)), rng.integers(0, LABELS, 200)
        score = (rng.integers(1, 40, 200) / 40).astype(np.float32)
        truth = np.where(rng.random(200) < 0.5 * score, 0, -1)
        found.append(
            Variant(
                nms_threshold, RankedMatches.of(Matches(image, label, score, truth, objects, IMAGES), LABELS)
            )
        )
    return found


def counts_of(ranked: RankedMatches, kept: Any, images: Any) -> Any:
    """Objects, right and wrong of each label in a list of images, which may repeat."""
    counts = np.zeros((3, LABELS))
    for image in images:
        here = ranked.image == image
        for label in range(LABELS):
            of_label = here & kept & (ranked.label == label)
            counts[0, label] += (ranked.objects == [image, label]).all(axis=1).sum()
            counts[1, label] += (of_label & ranked.is_true_positive).sum()
            counts[2, label] += (of_label & ~ranked.is_true_positive).sum()
    return counts


def f1(counts: Any) -> Any:
    objects, right, wrong = counts
    return 2 * right / (objects + right + wrong)


def test_cross_validate_equals_plain_loops() -> None:
    both, everyone = variants(), np.ones(LABELS, np.bool_)
    validation = cross_validate(
        both, OLD, FLOORS, everyone, Objective(), folds=FOLDS, repeats=REPEATS, draws=DRAWS, seed=SEED
    )
    rng = np.random.default_rng(SEED)
    drawn = [np.arange(IMAGES), *(rng.integers(0, IMAGES, IMAGES) for _ in range(DRAWS))]
    own = both[0].ranked
    before = np.array([f1(counts_of(own, own.above(OLD), images)) for images in drawn])
    after = []
    votes = {0.3: 0, 0.6: 0}
    for _ in range(REPEATS):
        fold_of = rng.permutation(np.arange(IMAGES) % FOLDS).astype(np.int16)
        counts = np.zeros((len(drawn), 3, LABELS))
        for fold in range(FOLDS):
            choice = choose(both, OLD, FLOORS, everyone, Objective(), fold_of, fold)
            ranked = both[choice.variant].ranked
            votes[float(both[choice.variant].nms_threshold or 0)] += 1
            for index, images in enumerate(drawn):
                held_out = images[fold_of[images] == fold]
                counts[index] += counts_of(ranked, ranked.above(choice.thresholds), held_out)
        after.append([f1(part) for part in counts])
    new = np.mean(after, axis=0)
    assert min(votes.values()) > 0
    assert validation.nms_thresholds == votes
    for label, gain in enumerate(validation.labels):
        assert gain is not None
        gains = (new - before)[1:, label]
        numbers = [before[0, label], new[0, label], gains.std(), *np.percentile(gains, [2.5, 97.5])]
        assert [gain.before, gain.after, gain.spread, gain.low, gain.high] == pytest.approx(numbers)
    macro = validation.measures["macro_f1"]
    assert macro.after == pytest.approx(new[0].mean())
    assert macro.spread == pytest.approx((new - before)[1:].mean(axis=1).std())
