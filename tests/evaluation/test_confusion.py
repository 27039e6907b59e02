"""Which labels are taken for which, beside supervision's confusion matrix."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from postproc.evaluation.collected import Collected
from postproc.evaluation.confusion import ConfusionMatrix
from postproc.evaluation.detection import evaluate_detections
from postproc.results import LabelTable, Recognitions
from tests.evaluation.scenes import Scene, all_of, detections_of, random_scene, truth_of, with_boxes_of

LABELS = 5
SINCE = "0.31"  # of supervision


def counts_of(scene: Scene, iou: float = 0.5, threshold: float = 0.5) -> np.ndarray:
    truth, low = truth_of(scene), detections_of(scene)
    own = low[low.scores > threshold]
    collected = Collected(Recognitions((own, low)), all_of(truth), (), (), ())
    return evaluate_detections(truth, collected, iou=iou).confusion_matrix.counts


@pytest.mark.parametrize("seed", range(6))
def test_confusion_matrix_is_that_of_supervision(seed: int) -> None:
    # Before, it did not look at labels first.
    peer = pytest.importorskip("supervision", minversion=SINCE).metrics.detection.ConfusionMatrix
    scene, rng = random_scene(seed, detections=12), np.random.default_rng(seed)
    # No two overlaps alike, of which it takes any, and no crowds, which it does not know.
    scene = replace(
        scene,
        boxes=scene.boxes + rng.uniform(0, 1, scene.boxes.shape),
        truths=scene.truths + rng.uniform(0, 0.5, scene.truths.shape),
        crowd=np.zeros(len(scene.truths), np.bool_),
        labels=np.where(
            rng.random(len(scene.labels)) < 0.5, rng.integers(0, 3, len(scene.labels)), scene.labels
        ),
    )
    scene = with_boxes_of(scene, detections_of(scene))
    expected = np.zeros((LABELS + 1, LABELS + 1), np.int64)
    for image in range(scene.count):
        rows, others = scene.images == image, scene.truth_images == image
        found = [scene.boxes[rows, :2], scene.boxes[rows, :2] + scene.boxes[rows, 2:]]
        truths = [scene.truths[others, :2], scene.truths[others, :2] + scene.truths[others, 2:]]
        expected += peer.evaluate_detection_batch(
            np.hstack([*found, scene.labels[rows, None], scene.scores[rows, None]]),
            np.hstack([*truths, scene.truth_labels[others, None]]),
            LABELS,
            conf_threshold=0.5001,
            iou_threshold=0.5,
        )
    found = counts_of(scene)
    np.testing.assert_array_equal(found, expected)
    assert found[:LABELS, :LABELS].sum() - np.trace(found[:LABELS, :LABELS]) > 0


def test_ignored_objects_and_what_finds_them_are_left_out() -> None:
    boxes = np.array([[0, 0, 50, 50], [100, 100, 50, 50], [300, 300, 20, 20]])
    scene = Scene.of_one_image(
        boxes, np.array([[0, 0, 50, 50], [100, 100, 50, 50], [200, 0, 9, 9]]), crowd=[False, True, False]
    )
    scene = replace(scene, truth_labels=np.array([1, 0, 2]))
    counts = counts_of(scene, threshold=0)
    expected = np.zeros((LABELS + 1, LABELS + 1), int)
    expected[1, 0] = expected[2, LABELS] = expected[LABELS, 0] = 1
    np.testing.assert_array_equal(counts, expected)


def test_a_right_detection_comes_before_one_that_is_more_alike() -> None:
    scene = Scene.of_one_image(np.array([[0, 0, 50, 50], [0, 0, 50, 40]]), np.array([[0, 0, 50, 50]]))
    counts = counts_of(replace(scene, labels=np.array([1, 0])), threshold=0)
    assert (counts[0, 0], counts[LABELS, 1], counts.sum()) == (1, 1, 2)


def test_what_is_equally_alike_is_of_its_own_label() -> None:
    square = [0, 0, 50, 50]
    scene = Scene.of_one_image(np.array([square]), np.array([square, square]))
    for labels, column in (([1, 0], 1), ([0, 1], 1)):
        counts = counts_of(replace(scene, truth_labels=np.array(labels)), threshold=0)
        assert (counts[0, 0], counts[column, LABELS], counts.sum()) == (1, 1, 2)


def test_confusions_are_told_most_often_first() -> None:
    counts = np.array([[5, 2, 0, 1], [3, 0, 4, 0], [0, 0, 9, 2], [7, 0, 0, 0]])
    matrix = ConfusionMatrix(counts, LabelTable(np.array([10, 20, 30]), ("a", "b", "c"), (0.5,) * 3))
    assert matrix.confused() == [(1, 2, 4), (1, 0, 3), (0, 1, 2)]
    document = matrix.to_dict()
    assert document[0] == {"object": 10, "detection": 10, "count": 5}
    assert {"object": None, "detection": 10, "count": 7} in document
    assert {"object": 30, "detection": None, "count": 2} in document
    assert sum(entry["count"] for entry in document) == counts.sum()
