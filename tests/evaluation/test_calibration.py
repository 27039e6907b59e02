"""Thresholds from a made-up network, put back into its version; and what they gain on other images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from postproc import PostProcessor
from postproc.errors import SchemaError
from postproc.evaluation.calibration import Calibration, Settings, choose_thresholds, with_thresholds
from postproc.evaluation.matches import NOTHING, match
from postproc.evaluation.one_pass import PASS_PREDICTIONS, OnePass
from postproc.evaluation.pass_matches import gather
from postproc.evaluation.threshold_choice import Objective
from postproc.schema import RecognitionSpec, RecognitionVersion
from tests.evaluation.noisy_boxes import boxes_and_truth, names_and_sizes, spec_of, truth_of, version_of
from tests.evaluation.scenes import all_of

LABELS = 3
OBJECTIVES = [Objective(), Objective("precision", 0.8), Objective("false_positives", 0.2)]


def calibrated(
    tensors: Any, document: Any, spec: Any, version: Any, settings: Settings | None = None, **more: Any
) -> Calibration:
    loaded = RecognitionSpec.load(spec), RecognitionVersion.load(version)
    plan = OnePass.of(*loaded, {0: truth_of(document, spec)}, **more)
    result = PostProcessor(plan.spec, plan.version)(tensors, max_predictions=PASS_PREDICTIONS)
    [calibration] = choose_thresholds(
        plan.outputs, gather(plan, [(*names_and_sizes(len(result)), result)]), settings
    )
    return calibration


def counted_anew(tensors: Any, document: Any, spec: Any, version: Any) -> list[tuple[int, int]]:
    """What is right and wrong of each label by the version itself."""
    result: Any = PostProcessor(spec, version)(tensors, max_predictions=PASS_PREDICTIONS).outputs[0]
    found = match(result, all_of(truth_of(document, spec)))
    return [
        (
            int((found.truth[found.label == label] >= 0).sum()),
            int((found.truth[found.label == label] == NOTHING).sum()),
        )
        for label in range(LABELS)
    ]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.kind)
@pytest.mark.parametrize("grid", [[], [0.1, 0.5, 0.7]], ids=["own nms", "grid"])
def test_calibrated_version_finds_exactly_what_was_chosen(objective: Objective, grid: list[float]) -> None:
    tensors, document = boxes_and_truth(1)
    spec, version = spec_of(LABELS), version_of(thresholds=[0.8] * LABELS)
    result = calibrated(tensors, document, spec, version, Settings(objective, 5, draws=20), nms_grid=grid)
    assert all(label.kept is None for label in result.labels)
    new = with_thresholds(version, [result])
    for when, described in (("before", version), ("after", new)):
        counts = [getattr(label, when) for label in result.labels]
        expected = counted_anew(tensors, document, spec, described)
        assert [(found.true_positives, found.false_positives) for found in counts] == expected
    assert sum(label.after.true_positives for label in result.labels) > sum(
        label.before.true_positives for label in result.labels
    )
    for label in result.labels:
        assert label.after.true_positives >= label.before.true_positives
        if objective.kind == "precision":
            assert (label.after.precision or 0) >= 0.8
        if objective.kind == "false_positives":
            assert label.after.false_positives / result.images <= 0.2


def test_calibration_of_a_version_with_nms_thresholds_keeps_them_and_refuses_a_grid() -> None:
    tensors, document = boxes_and_truth(1)
    each = [row / LABELS for row in range(LABELS)]
    spec, version = spec_of(LABELS), version_of(thresholds=0.8, nms_thresholds=each)
    result = calibrated(tensors, document, spec, version, Settings(min_examples=1, draws=20))
    assert result.to_dict()["nms_threshold"] == {"old": None, "new": None}
    detection = with_thresholds(version, [result])["post_processings"][0]["detection"]
    assert detection["thresholds"] == [label.new for label in result.labels] != [0.8] * LABELS
    assert (detection["nms_thresholds"], "nms_threshold" in detection) == (each, False)
    with pytest.raises(
        SchemaError,
        match=r"^nms_grid: .*, while post_processings\[0\].detection.nms_thresholds has one",
    ):
        calibrated(tensors, document, spec, version, nms_grid=[0.5])


def test_calibration_of_nms_takes_the_value_whose_f1_is_highest() -> None:
    tensors, document = boxes_and_truth(1)
    spec, version = spec_of(LABELS), version_of(thresholds=[0.8] * LABELS, nms_threshold=0.95)
    one_by_one = {}
    for value in (0.95, 0.1, 0.4):
        own = version_of(thresholds=[0.8] * LABELS, nms_threshold=value)
        result = calibrated(tensors, document, spec, own, Settings(min_examples=1, folds=0))
        one_by_one[value] = np.mean([label.after.f1 or 0 for label in result.labels])
    result = calibrated(
        tensors, document, spec, version, Settings(min_examples=1, draws=20), nms_grid=[0.1, 0.4]
    )
    best = max(one_by_one, key=lambda value: one_by_one[value])
    assert (result.old_nms, result.new_nms) == (0.95, best)
    assert best != 0.95
    assert result.validation is not None
    votes = result.validation.nms_thresholds
    assert (list(votes), sum(votes.values())) == ([0.95, 0.1, 0.4], 25)
    assert with_thresholds(version, [result])["post_processings"][0]["detection"]["nms_threshold"] == best


def test_labels_without_a_choice_keep_their_threshold_and_say_why() -> None:
    tensors, document = boxes_and_truth(2, labels=4)
    for item in document["annotations"]:
        item["category_id"] = {1: 1, 2: 1, 3: 3, 4: 3}[item["category_id"]]
    where = [item for item in document["annotations"] if item["category_id"] == 3]
    tensors["out"][:, 4 + 2] = 0  # nothing is found of the third label
    where[0]["category_id"] = 2  # and there is one example of the second
    result = calibrated(tensors, document, spec_of(4), version_of(thresholds=[0.5, 0.6, 0.7, 0.9]))
    assert [label.kept for label in result.labels] == [
        None,
        "1 example, fewer than 10",
        "nothing right is found at any threshold",
        "0 examples, fewer than 10",
    ]
    assert [label.new for label in result.labels[1:]] == [0.6, 0.7, 0.9]
    assert result.labels[0].new != 0.5
    assert result.labels[3].validated is None


def test_a_precision_that_is_not_reached_keeps_the_threshold() -> None:
    tensors, document = boxes_and_truth(3)
    tensors["out"][:, 4, 39] = 1.0  # on every image a box that is wrong, the surest of its label
    tensors["out"][:, :4, 39] = [[62, 62, 2, 2]]
    settings = Settings(Objective("precision", 0.99), 5, draws=20)
    first = calibrated(tensors, document, spec_of(LABELS), version_of(), settings).labels[0]
    assert first.kept is not None
    assert first.kept.startswith("a precision of 0.99 is not reached: 0.")
    assert (first.old, first.new) == (0.8, 0.8)
    budget = Settings(Objective("false_positives", 0.5), 5, draws=20)
    first = calibrated(tensors, document, spec_of(LABELS), version_of(), budget).labels[0]
    assert first.kept == "0.5 false positives an image are exceeded before anything right is found"


def test_validation_tells_a_gain_from_luck() -> None:
    tensors, document = boxes_and_truth(5, images=60)
    spec = spec_of(LABELS)
    clear = calibrated(tensors, document, spec, version_of(thresholds=[0.95] * LABELS))
    assert clear.validation is not None
    gain = clear.validation.measures["macro_f1"]
    assert gain.low > 0
    assert not gain.may_be_luck
    assert gain.spread > 0
    # From the best thresholds there is nothing to gain, in sample as little as elsewhere.
    again = calibrated(tensors, document, spec, with_thresholds(version_of(), [clear]))
    assert [label.after.f1 for label in again.labels] == [label.before.f1 for label in again.labels]
    assert again.validation is not None
    assert again.validation.measures["macro_f1"].gain <= 0
    assert again.validation.measures["macro_f1"].may_be_luck


def test_validation_of_scores_without_meaning_is_lower_than_in_sample() -> None:
    tensors, document = boxes_and_truth(6, images=24)
    rng = np.random.default_rng(0)
    tensors["out"][:, 4:] = rng.permutation(tensors["out"][:, 4:].ravel()).reshape(24, LABELS, -1)
    result = calibrated(tensors, document, spec_of(LABELS), version_of(), Settings(min_examples=1))
    for label in result.labels:
        assert label.validated is not None
        assert label.validated.after < (label.after.f1 or 0)


def test_validation_is_the_same_again_and_differs_with_the_seed() -> None:
    tensors, document = boxes_and_truth(7)
    spec, version = spec_of(LABELS), version_of()
    first, second, other = (
        calibrated(tensors, document, spec, version, Settings(draws=20, seed=seed)).to_dict()
        for seed in (0, 0, 1)
    )
    assert first == second
    assert first["validation"] != other["validation"]
    assert first["labels"][0]["new_threshold"] == other["labels"][0]["new_threshold"]


def test_with_thresholds_changes_nothing_else() -> None:
    tensors, document = boxes_and_truth(1)
    version = {"x_owner": {"kept": [1, None]}, "task_id": 7, **version_of(discard_threshold=0.1)}
    result = calibrated(tensors, document, spec_of(LABELS), version, Settings(folds=0))
    assert (result.validation, result.not_validated) == (None, "it was not asked for")
    new = with_thresholds(version, [result])
    thresholds = new["post_processings"][0]["detection"].pop("thresholds")
    assert thresholds == [label.new for label in result.labels]
    assert new == version
    assert list(new) == list(version)


@pytest.mark.parametrize("exclusive", [False, True], ids=["tagging", "exclusive"])
def test_calibration_of_labels_of_whole_images(exclusive: bool) -> None:
    rng = np.random.default_rng(0)
    has = rng.random((80, LABELS)) < 0.4
    scores = np.where(has, rng.beta(4, 3, has.shape), rng.beta(2, 6, has.shape)).astype(np.float32)
    pairs = np.argwhere(has)
    document = {
        "images": [{"id": row, "file_name": f"{row}.png"} for row in range(len(has))],
        "categories": [{"id": row + 1, "name": f"label {row}"} for row in range(LABELS)],
        "annotations": [
            {"id": row, "image_id": int(image), "category_id": int(label) + 1}
            for row, (image, label) in enumerate(pairs)
        ],
    }
    spec = spec_of(LABELS, "NONE", exclusive)
    version = {"post_processings": [{"classification": {"output_tensor": "scores"}}]}
    result = calibrated({"scores": scores}, document, spec, version)
    new = with_thresholds(version, [result])
    found = PostProcessor(spec, new)({"scores": scores}).outputs[0]
    predicted = np.zeros_like(has)
    predicted[np.repeat(np.arange(len(has)), np.diff(found.offsets)), found.labels] = True
    for label, item in enumerate(result.labels):
        right = (predicted & has)[:, label].sum()
        assert (item.after.true_positives, item.after.false_positives) == (
            right,
            predicted[:, label].sum() - right,
        )
        sweep = [
            2 * (kept & has[:, label]).sum() / (kept.sum() + has[:, label].sum())
            for kept in (scores[:, label] > t for t in scores[:, label])
        ]
        assert item.after.f1 == pytest.approx(max(sweep), abs=1e-12)
    assert result.old_nms is None
    with pytest.raises(SchemaError, match="labels of whole images have no nms_threshold"):
        calibrated({"scores": scores}, document, spec, version, nms_grid=[0.5])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_examples": 0}, "min_examples: expected 1 or more, got 0"),
        ({"folds": 1}, "folds: expected 2 or more, or 0 for none, got 1"),
        ({"repeats": 0}, "repeats: expected 1 or more, got 0"),
        ({"draws": 2}, "draws: expected 10 or more, got 2"),
    ],
)
def test_settings_out_of_range_are_errors(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        Settings(**settings)
