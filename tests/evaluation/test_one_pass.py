"""Where one pass at low thresholds tells what any higher ones find, and where it does not and is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from postproc import PostProcessor
from postproc.errors import SchemaError, TensorError
from postproc.evaluation.one_pass import PASS_PREDICTIONS, OnePass
from postproc.evaluation.pass_matches import gather
from postproc.schema import RecognitionSpec, RecognitionVersion
from tests.evaluation.noisy_boxes import boxes_and_truth, names_and_sizes, spec_of, truth_of, version_of

LABELS = 3


def found(tensors: Any, decision: dict[str, Any], thresholds: Any, discarded: bool = False) -> list[Any]:
    """Rows of (image, label, score, box) that are predicted, in order."""
    version = version_of(thresholds=list(thresholds), **decision)
    result = PostProcessor(spec_of(LABELS), version)(tensors, discarded, PASS_PREDICTIONS).outputs[0]
    images = np.repeat(np.arange(len(result)), np.diff(result.offsets))
    columns = (images.tolist(), result.labels.tolist(), result.scores.tolist(), result.boxes.tolist())
    return [row for row, is_kept in zip(zip(*columns, strict=True), result.predicted, strict=True) if is_kept]


def read_off(rows: list[Any], thresholds: Any) -> list[Any]:
    limits = np.asarray(thresholds, np.float32)
    return [row for row in rows if np.float32(row[2]) > limits[row[1]]]


def is_exact(decision: dict[str, Any], seed: int, discarded: bool) -> bool:
    tensors, _ = boxes_and_truth(seed, images=6, boxes=60, labels=LABELS)
    low = found(tensors, decision, [0.001] * LABELS)
    rng = np.random.default_rng(seed)
    cases = [np.round(rng.uniform(0.02, 0.9, LABELS), 2).tolist() for _ in range(4)]
    return all(read_off(low, case) == found(tensors, decision, case, discarded) for case in cases)


@pytest.mark.parametrize("discarded", [False, True], ids=["predicted only", "with discarded"])
@pytest.mark.parametrize(
    "decision",
    [
        pytest.param({"nms_threshold": 0.3}, id="hard"),
        pytest.param({"nms_threshold": 0.05}, id="hard, low"),
        pytest.param({"nms_threshold": 1}, id="no nms"),
        pytest.param({"nms_thresholds": [row / (LABELS - 1) for row in range(LABELS)]}, id="one nms a label"),
        pytest.param({"multi_label": False}, id="one label a box"),
    ],
)
def test_one_pass_tells_exactly_what_higher_thresholds_find(
    decision: dict[str, Any], discarded: bool
) -> None:
    assert all(is_exact(decision, seed, discarded) for seed in range(12))


@pytest.mark.parametrize(
    "decision",
    [
        pytest.param({"class_agnostic": True}, id="class_agnostic"),
        pytest.param({"nms_method": "weighted"}, id="weighted"),
    ],
)
def test_one_pass_would_be_wrong_where_it_is_refused(decision: dict[str, Any]) -> None:
    assert not all(is_exact(decision, seed, False) for seed in range(6))


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (
            {"class_agnostic": True},
            r"post_processings\[0\].detection.class_agnostic: thresholds cannot be calibrated: boxes of "
            "different labels suppress each other",
        ),
        (
            {"nms_method": "soft"},
            r"post_processings\[0\].detection.nms_method: thresholds cannot be calibrated: scores decay",
        ),
        ({"nms_method": "weighted"}, "a box is the mean of all those above the threshold"),
    ],
    ids=["class_agnostic", "soft", "weighted"],
)
def test_one_pass_that_is_not_exact_is_refused(decision: dict[str, Any], message: str) -> None:
    _, document = boxes_and_truth(0)
    spec = spec_of(LABELS)
    with pytest.raises(SchemaError, match=message):
        plan_of(document, spec, version_of(**decision))


def plan_of(document: dict[str, Any], spec: dict[str, Any], version: dict[str, Any], **more: Any) -> OnePass:
    loaded = RecognitionSpec.load(spec), RecognitionVersion.load(version)
    return OnePass.of(*loaded, {0: truth_of(document, spec)}, **more)


def test_gather_in_batches_of_any_order_equals_gathering_all() -> None:
    tensors, document = boxes_and_truth(4)
    plan = plan_of(document, spec_of(LABELS), version_of(), nms_grid=[0.5])
    result = PostProcessor(plan.spec, plan.version)(tensors, max_predictions=PASS_PREDICTIONS)
    names, sizes = names_and_sizes(len(result))
    whole = gather(plan, [(names, sizes, result)])
    parts = [(names[i : i + 7], sizes[i : i + 7], result[i : i + 7]) for i in (21, 0, 28, 7, 14)]
    for a, b in zip(whole.variants[0], gather(plan, parts).variants[0], strict=True):
        assert a.nms_threshold == b.nms_threshold
        for name in ("image", "label", "score", "is_true_positive", "offsets", "objects"):
            np.testing.assert_array_equal(getattr(a.ranked, name), getattr(b.ranked, name))
    assert [variant.nms_threshold for variant in whole.variants[0]] == [0.3, 0.5]


def test_gather_counts_what_was_not_predicted_as_missed_and_leaves_unknown_images_out() -> None:
    tensors, document = boxes_and_truth(4)
    plan = plan_of(document, spec_of(LABELS), version_of())
    result = PostProcessor(plan.spec, plan.version)(tensors, max_predictions=PASS_PREDICTIONS)
    names, sizes = names_and_sizes(len(result))
    names[3] = "another.png"
    every = gather(plan, [(names, sizes, result)])
    some = gather(plan, [(names, sizes, result)], only_predicted=True)
    assert (every.missing, every.unknown) == ((("3.png",),), (("another.png",),))
    assert some.missing == ((),)
    full, part = every.variants[0][0].ranked, some.variants[0][0].ranked
    assert (full.images, part.images) == (30, 29)
    in_3 = sum(item["image_id"] == 4 for item in document["annotations"])
    assert in_3 > 0
    assert len(full.objects) == len(document["annotations"]) == len(part.objects) + in_3
    with pytest.raises(SchemaError, match=r"two predictions are of the image '0\.png'"):
        gather(plan, [(names, sizes, result)] * 2)
    with pytest.raises(SchemaError, match="none of its images"):
        gather(plan, [(["x"] * 30, sizes, result)])


def test_gather_of_an_image_that_a_limit_cut_is_an_error() -> None:
    tensors, document = boxes_and_truth(4)
    plan = plan_of(document, spec_of(LABELS), version_of())
    result = PostProcessor(plan.spec, plan.version)(tensors, max_predictions=20)
    with pytest.raises(TensorError, match=r"0\.png: 20 predictions, and more were cut off"):
        gather(plan, [(*names_and_sizes(len(result)), result)])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"nms_grid": [1.5]}, "nms_grid: expected numbers from 0 to 1, got 1.5"),
        ({"lowest": -0.1}, "lowest: expected numbers from 0 to 1, got -0.1"),
    ],
)
def test_one_pass_out_of_range_is_an_error(more: dict[str, Any], message: str) -> None:
    _, document = boxes_and_truth(0)
    with pytest.raises(SchemaError, match=message):
        plan_of(document, spec_of(LABELS), version_of(), **more)
