"""COCO's numbers against pycocotools on the same detections."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from postproc.evaluation.coco_metrics import CocoMetrics, coco_metrics, coco_numbers
from tests.evaluation.scenes import (
    Scene,
    all_of,
    coco_evaluation,
    detections_of,
    random_scene,
    truth_of,
    with_boxes_of,
)


def measured(scene: Scene) -> CocoMetrics:
    truth = truth_of(scene)
    return coco_metrics(truth, all_of(truth), detections_of(scene))


def by_pycocotools(scene: Scene) -> Any:
    evaluation = coco_evaluation(with_boxes_of(scene, detections_of(scene)))
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def without_none(values: Any) -> list[float]:
    return [-1.0 if value is None or np.isnan(value) else value for value in values]


@pytest.mark.parametrize(
    "scene",
    [
        *(pytest.param(random_scene(seed), id=f"random {seed}") for seed in range(6)),
        pytest.param(random_scene(6, labels=1), id="one label"),
        pytest.param(random_scene(7, images=3, detections=300, labels=1), id="more than 100 an image"),
        pytest.param(random_scene(8, images=40, detections=12, labels=5), id="many images"),
    ],
)  # fmt: skip
def test_coco_metrics_equal_those_of_pycocotools(scene: Scene) -> None:
    found, expected = measured(scene), by_pycocotools(scene)
    assert len(coco_numbers()) == len(expected.stats) == 12
    assert 0.05 < expected.stats[0] < 0.95
    np.testing.assert_array_equal(without_none(found.numbers.values()), expected.stats)
    for name in ("precision", "recall", "scores"):
        ours = getattr(found.curves, name)[..., : len(expected.params.catIds), :, :]
        np.testing.assert_array_equal(ours, expected.eval[name])
    for label in range(5):
        precision = expected.eval["precision"][:, :, label, 0, 2]
        values = [precision[precision > -1].mean() if (precision > -1).any() else -1]
        values += [precision[0].mean()]
        ours = (found.average_precision[label], found.average_precision_50[label])
        assert without_none(ours) == values


def test_coco_metrics_without_detections_are_zero_and_without_objects_none() -> None:
    nothing, square = np.empty((0, 4)), np.array([[0.0, 0.0, 50.0, 50.0]])
    missed = measured(Scene.of_one_image(nothing, square)).numbers
    assert (missed["AP"], missed["AR100"], missed["AP_medium"], missed["AP_small"]) == (0, 0, 0, None)
    unwanted = measured(Scene.of_one_image(square, nothing))
    assert set(unwanted.numbers.values()) == {None}
    assert np.isnan(unwanted.average_precision).all()
    perfect = measured(Scene.of_one_image(square, square)).numbers
    # pycocotools adds a little to what it divides by.
    assert (perfect["AP"], perfect["AR1"], perfect["AP_large"]) == (1 / (1 + np.spacing(1)), 1, None)
