"""Thresholds of 10,000 images x 80 labels x 300 detections, beside a loop that counts anew for each of 100.

python -m benchmarks.probes.calibration
"""

from __future__ import annotations

import time

import numpy as np

from postproc.evaluation.matches import NOTHING, Matches
from postproc.evaluation.ranked_matches import RankedMatches
from postproc.evaluation.threshold_choice import Objective, Variant, choose
from postproc.evaluation.validation import cross_validate

IMAGES, LABELS, EACH, OBJECTS = 10_000, 80, 300, 70_000


def made_up(images: int) -> Matches:
    """Make matches of which one in fifty is right, and scores higher."""
    rng = np.random.default_rng(0)
    rows = images * EACH
    image, label = np.repeat(np.arange(images), EACH), rng.integers(0, LABELS, rows)
    hit = rng.random(rows) < 0.02
    score = np.clip(np.where(hit, rng.beta(4, 2, rows), rng.beta(0.5, 8, rows)), 0.0011, 1)
    order = np.lexsort([-score, image])
    objects = OBJECTS * images // IMAGES
    pairs = np.stack([np.sort(rng.integers(0, images, objects)), rng.integers(0, LABELS, objects)], axis=1)
    truth = np.where(hit, 0, NOTHING)
    return Matches(image, label[order], score[order].astype(np.float32), truth[order], pairs, images)


def loop(matches: Matches, objects: np.ndarray) -> np.ndarray:
    """Best F1 of each label at 100 thresholds, all labels counted at once with NumPy."""
    best = np.zeros(LABELS)
    right = matches.truth >= 0
    for threshold in np.linspace(0.005, 0.995, 100):
        kept = matches.score > np.float32(threshold)
        hits = np.bincount(matches.label[kept & right], minlength=LABELS)
        misses = np.bincount(matches.label[kept & ~right], minlength=LABELS)
        best = np.maximum(best, 2 * hits / (objects + hits + misses))
    return best


def main() -> None:
    """Time each once, after kernels are compiled."""
    arguments = (np.full(LABELS, 0.5), np.full(LABELS, 0.001), np.ones(LABELS, np.bool_), Objective())
    few = [Variant(0.3, RankedMatches.of(made_up(10), LABELS))]
    cross_validate(few, *arguments, repeats=1, draws=10)
    matches = made_up(IMAGES)
    times = [time.perf_counter()]
    ranked = RankedMatches.of(matches, LABELS)
    times.append(time.perf_counter())
    choice = choose([Variant(0.3, ranked)], *arguments)
    times.append(time.perf_counter())
    cross_validate([Variant(0.3, ranked)], *arguments)
    times.append(time.perf_counter())
    looped = loop(matches, ranked.objects_by_label())
    times.append(time.perf_counter())
    assert (choice.values >= looped).all()
    thresholds = sum(len(np.unique(part)) for part in np.split(ranked.score, ranked.offsets[1:-1]))
    sort, pick, validate, naive = np.diff(times)
    ratio = naive / 100 / ((sort + pick) / thresholds)
    print(  # noqa: T201
        f"{len(matches):,} rows, {thresholds:,} thresholds: sorted in {sort:.2f} s, chosen from in "
        f"{pick:.3f} s; 25 folds and 500 resamplings in {validate:.2f} s; a loop over 100 thresholds in "
        f"{naive:.2f} s: there a threshold costs {ratio:,.0f} times as much, sorting included"
    )


if __name__ == "__main__":
    main()
