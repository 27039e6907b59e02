"""Precision, recall and F1 of detections, and their curves."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest

from postproc.evaluation.collected import Collected
from postproc.evaluation.counts import ConfusionCounts
from postproc.evaluation.detection import DetectionEvaluation, evaluate_detections
from postproc.results import Recognitions
from tests.evaluation.scenes import Scene, all_of, coco_evaluation, detections_of, random_scene, truth_of

THRESHOLD = 0.5


def evaluated(scene: Scene, iou: float = 0.5) -> DetectionEvaluation:
    truth, low = truth_of(scene), detections_of(scene)
    own = low[low.scores > THRESHOLD]
    return evaluate_detections(truth, Collected(Recognitions((own, low)), all_of(truth), (), (), ()), iou=iou)


@pytest.mark.parametrize("seed", range(4))
def test_counts_by_label_equal_those_of_pycocotools(seed: int) -> None:
    scene = random_scene(seed)
    evaluation = coco_evaluation(scene)
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.evaluate()
    expected = np.zeros((5, 4), int)
    for part in filter(None, evaluation.evalImgs):
        high = np.array(part["dtScores"]) > THRESHOLD
        ignored, taken = part["dtIgnore"][0][high], part["dtMatches"][0][high] > 0
        objects = np.sum(np.array(part["gtIgnore"]) == 0)
        counts = [objects, (taken & ~ignored).sum(), (~taken).sum(), ignored.sum()]
        expected[part["category_id"] - 1] += np.array(counts, int)
    found = evaluated(scene)
    assert [list(astuple(part)) for part in found.by_label()] == expected.tolist()
    assert found.total() == ConfusionCounts(*expected.sum(axis=0).tolist())
    assert found.total().ignored > 0


def test_shares_follow_from_the_counts() -> None:
    found = ConfusionCounts(objects=10, true_positives=6, false_positives=2)
    assert (found.false_negatives, found.precision, found.recall) == (4, 0.75, 0.6)
    assert found.f1 == pytest.approx(2 * 0.75 * 0.6 / (0.75 + 0.6), abs=1e-12)


@pytest.mark.parametrize(
    ("found", "shares"),
    [
        (ConfusionCounts(0, 0, 0), (None, None, None)),
        (ConfusionCounts(0, 0, 3), (0, None, None)),
        (ConfusionCounts(3, 0, 0), (None, 0, 0)),
        (ConfusionCounts(3, 0, 2), (0, 0, 0)),
    ],
    ids=["nothing", "no objects", "no detections", "nothing right"],
)
def test_shares_of_nothing_are_none(found: ConfusionCounts, shares: tuple[float | None, ...]) -> None:
    assert (found.precision, found.recall, found.f1) == shares


def test_curve_passes_through_precision_and_recall_at_the_threshold() -> None:
    scene = random_scene(2)
    found = evaluated(scene)
    for label, part in enumerate(found.by_label()[:3]):
        precision, recall = found.curve(label)
        point = part.true_positives + part.false_positives - 1
        assert point > 5
        assert (precision[point], recall[point]) == (part.precision, part.recall)
        assert (np.diff(recall) >= 0).all()


def test_a_higher_jaccard_index_leaves_fewer_right() -> None:
    scene = random_scene(1)
    assert evaluated(scene, 0.8).total().true_positives < evaluated(scene, 0.5).total().true_positives
    assert evaluated(scene, 0.8).coco.numbers == evaluated(scene, 0.5).coco.numbers


def test_boxes_that_hardly_meet_are_remarked_on() -> None:
    scene = random_scene(0)
    truth, low = truth_of(scene), detections_of(scene)
    for boxes, is_said in ((low.boxes, False), (low.boxes * np.float32(0.2), True)):
        moved = replace(low, boxes=boxes)
        own = moved[moved.scores > THRESHOLD]
        evaluation = evaluate_detections(
            truth, Collected(Recognitions((own, moved)), all_of(truth), (), (), ())
        )
        said = [remark for remark in evaluation.remarks() if remark.startswith("AP50 is 0.0")]
        assert bool(said) == is_said, evaluation.coco.numbers


def test_document_has_all_labels_and_none_for_what_cannot_be_measured() -> None:
    scene = random_scene(0)
    truth = truth_of(scene)
    labels = replace(scene, labels=np.minimum(scene.labels, 1))
    low = detections_of(labels)
    collected = Collected(Recognitions((low, low)), all_of(truth), ("a", "b"), (), ())
    document = evaluate_detections(truth, collected).to_dict()
    assert (document["task"], document["images"], document["images_without_prediction"]) == (
        "detection",
        8,
        2,
    )
    assert [label["name"] for label in document["labels"]] == ["0", "1", "2", "3", "4"]
    assert document["labels"][2]["precision"] is None
    assert document["labels"][2]["recall"] == document["labels"][2]["AP"] == 0
    assert [document["labels"][4][name] for name in ("precision", "recall", "f1", "AP", "AP50")] == [None] * 5
