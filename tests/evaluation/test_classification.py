"""Labels of whole images: against plain sums, and scikit-learn where it has the same number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from postproc import PostProcessor
from postproc.evaluation.classification import ClassificationEvaluation, evaluate_classifications
from postproc.evaluation.collected import collect
from postproc.evaluation.ground_truth import GroundTruth

NAMES = ("a", "b", "c", "d", "e", "f", "never")
THRESHOLD = 0.4


def spec(is_exclusive: bool) -> dict[str, Any]:
    labels = [{"id": 10 + row, "name": name} for row, name in enumerate(NAMES)]
    return {"outputs": [{"labels": {"labels": labels, "exclusive": is_exclusive, "roi": "NONE"}}]}


VERSION = {
    "post_processings": [
        {"classification": {"output_tensor": "scores", "thresholds": [THRESHOLD] * len(NAMES)}}
    ]
}


def evaluated(
    scores: np.ndarray, written: np.ndarray, is_exclusive: bool = True, leave_out: int = 0
) -> ClassificationEvaluation:
    """Measure scores (I, L) by which labels are on the images (I, L); the last few are not predicted."""
    images, labels = np.nonzero(written)
    document = {
        "images": [{"id": row, "file_name": f"{row}.png"} for row in range(len(scores))],
        "categories": [{"id": 10 + row, "name": name} for row, name in enumerate(NAMES)],
        "annotations": [
            {"image_id": image, "category_id": 10 + label}
            for image, label in zip(images.tolist(), labels.tolist(), strict=True)
        ],
    }
    truth = GroundTruth.load(document, spec(is_exclusive))
    count = len(scores) - leave_out
    found = PostProcessor(spec(is_exclusive), VERSION)(
        {"scores": scores[:count]}, show_discarded=True, max_predictions=len(NAMES)
    )
    names = [f"{row}.png" for row in range(count)]
    return evaluate_classifications(truth, collect(truth, [(names, [(1, 1)] * count, found)]))


def random_case(seed: int, is_exclusive: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.random((60, len(NAMES))).astype(np.float32).round(2)
    written = np.zeros(scores.shape, np.bool_)
    for image in range(50):  # the others have no label
        written[image, rng.choice(6, 1 if is_exclusive else 2, replace=False)] = True
    return np.where(written & (rng.random(scores.shape) < 0.7), scores / 2 + 0.5, scores), written


def test_exclusive_labels_are_measured_by_their_ranks() -> None:
    scores, written = random_case(0, True)
    found = evaluated(scores, written)
    classes = written[:50].argmax(axis=1)
    distinct = scores[:50].astype(np.float64) - 1e-6 * np.arange(len(NAMES))  # of two alike the lower row
    for top, count in ((found.top1, 1), (found.top5, 5)):
        expected = metrics.top_k_accuracy_score(classes, distinct, k=count, labels=np.arange(len(NAMES)))
        assert 0.2 < expected < 1
        assert top == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("is_exclusive", [True, False])
def test_labels_are_counted_at_the_thresholds(is_exclusive: bool) -> None:
    scores, written = random_case(1, is_exclusive)
    found = evaluated(scores, written, is_exclusive)
    predicted = scores > np.float32(THRESHOLD)
    for label, part in enumerate(found.by_label()[:6]):
        right = int((predicted[:, label] & written[:, label]).sum())
        assert (part.true_positives, part.false_positives) == (right, int(predicted[:, label].sum()) - right)
        expected = metrics.precision_recall_fscore_support(
            written[:, label], predicted[:, label], average="binary"
        )[:3]
        shares = found.precision[label], found.recall[label], found.f1[label]
        assert shares == pytest.approx(expected, abs=1e-12)
        expected = metrics.average_precision_score(written[:, label], scores[:, label])
        assert found.average_precision[label] == expected
    assert found.mean_average_precision == pytest.approx(np.mean(found.average_precision[:6]), abs=1e-12)
    assert (found.top1 is None) == (not is_exclusive)


def test_labels_without_examples_have_no_recall_and_no_average_precision() -> None:
    scores, written = random_case(2, True)
    scores[:, 5] = 0.1
    found = evaluated(scores, written)
    never = NAMES.index("never")
    assert found.by_label()[never].wrong > 0
    assert (found.precision[never], found.recall[never], found.f1[never]) == (0, None, None)
    assert found.average_precision[never] is None
    assert (found.precision[5], found.recall[5], found.f1[5]) == (None, 0, 0)
    document = found.to_dict()
    assert document["labels"][never]["f1"] is None
    assert document["total"]["objects"] == 50


def test_images_without_prediction_have_nothing_right() -> None:
    written = np.zeros((4, len(NAMES)), np.bool_)
    written[:, 0] = True
    scores = np.zeros((4, len(NAMES)), np.float32)
    scores[:, 0] = 0.9
    assert evaluated(scores, written).top1 == 1
    found = evaluated(scores, written, leave_out=1)
    assert (found.top1, found.top5, found.recall[0]) == (0.75, 0.75, 0.75)
    assert found.to_dict()["images_without_prediction"] == 1


def test_images_without_labels_leave_nothing_to_measure() -> None:
    scores, written = random_case(3, True)
    found = evaluated(scores, np.zeros_like(written))
    assert (found.top1, found.top5, found.mean_average_precision) == (None, None, None)
    assert found.total().false_positives > 0


def test_curve_passes_through_precision_and_recall_at_the_threshold() -> None:
    found = evaluated(*random_case(4, False), is_exclusive=False)
    precision, recall = found.curve(2)
    part = found.by_label()[2]
    point = part.true_positives + part.false_positives - 1
    assert (precision[point], recall[point]) == (part.precision, part.recall)
