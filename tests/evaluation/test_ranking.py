"""Resampled numbers are those of the images repeated as often as they are drawn."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from postproc.evaluation.coco_curves import COCO_RECALLS, CocoCurves, coco_curves
from postproc.evaluation.groups import FoundInstances, TrueInstances
from postproc.evaluation.ranking import resample
from postproc.evaluation.similarity import of_boxes
from tests.evaluation.random_sets import LABELS, Array, RandomSet, random_set


def curves_of(case: RandomSet) -> CocoCurves:
    similarity = of_boxes(case.boxes, case.truth_boxes, case.truth.crowd)
    return coco_curves(case.found, case.truth, similarity, images=len(case.ids), labels=LABELS,
                       thresholds=case.thresholds, limits=case.limits)  # fmt: skip


def repeated(case: RandomSet, weights: Array) -> RandomSet:
    """Write each image as often as it is drawn, each copy an image of its own."""
    firsts = np.concatenate([[0], np.cumsum(weights)]).astype(np.int64)

    def copies(images: Array) -> tuple[Array, Array]:
        rows = np.flatnonzero(images >= 0)
        counts = weights[images[rows]].astype(np.int64)
        each = np.repeat(rows, counts)
        number = np.arange(len(each)) - np.repeat(np.cumsum(counts) - counts, counts)
        return each, firsts[images[each]] + number

    rows, found_images = copies(case.found.images)
    truth_rows, truth_images = copies(case.truth.images)
    found = FoundInstances(
        found_images, case.found.labels[rows], case.found.scores[rows], case.found.areas[rows]
    )
    truth = TrueInstances(truth_images, *(
        getattr(case.truth, name)[truth_rows] for name in ("labels", "areas", "crowd", "ignored")
    ))  # fmt: skip
    return replace(case, ids=np.arange(firsts[-1]), found=found, truth=truth, boxes=case.boxes[rows],
                   truth_boxes=case.truth_boxes[truth_rows])  # fmt: skip


def without_ties_within_images(case: RandomSet) -> RandomSet:
    """Keep ties between images: of equal scores on one image, copies of which come first is anybody's."""
    scores = case.found.scores.astype(np.float64)
    for image in np.unique(case.found.images):
        rows = np.flatnonzero(case.found.images == image)
        scores[rows] = np.random.default_rng(int(image) + 1).permutation(len(rows)) / 40
    found = replace(case.found, scores=scores.astype(np.float32))
    return replace(case, found=found)


@pytest.mark.parametrize("seed", range(12))
def test_resampled_numbers_are_those_of_the_images_repeated(seed: int) -> None:
    case = without_ties_within_images(random_set("bbox", seed))
    rng = np.random.default_rng(seed)
    images = len(case.ids)
    drawn = [np.bincount(rng.integers(0, images, images), minlength=images) for _ in range(6)]
    weights = np.array([*drawn, np.ones(images), np.arange(images) == 0], np.uint16)
    curves = curves_of(case)
    last = len(curves.limits) - 1
    turns = [(area, last) for area in range(4)] + [(0, limit) for limit in range(last)]
    found = resample(curves.ranking, COCO_RECALLS, weights, turns)
    for draw, counts in enumerate(weights):
        expected = curves_of(repeated(case, counts))
        for area, limit in turns:
            of_area = curves.areas[area], curves.limits[limit]
            for index, threshold in enumerate(curves.thresholds):
                measured = [found.recall[area, limit][draw, index]]
                right = [expected.number("recall", threshold, *of_area)]
                if limit == last:
                    measured.append(found.precision[area, limit][draw, index])
                    right.append(expected.number("precision", threshold, *of_area))
                np.testing.assert_allclose(measured, np.array(right, float), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(found.by_label[draw], expected.by_label(), rtol=1e-12, atol=1e-15)


def test_resampled_numbers_do_not_hang_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    case = random_set("bbox", 1)
    ranking = curves_of(case).ranking
    weights = np.random.default_rng(0).integers(0, 3, (40, len(case.ids))).astype(np.uint16)
    found = []
    for processors in (1, 3):
        monkeypatch.setattr(os, "cpu_count", lambda processors=processors: processors)
        found.append(resample(ranking, COCO_RECALLS, weights, [(0, 2), (1, 2)]))
    np.testing.assert_array_equal(found[0].by_label, found[1].by_label)
    for turn in ((0, 2), (1, 2)):
        np.testing.assert_array_equal(found[0].precision[turn], found[1].precision[turn])
