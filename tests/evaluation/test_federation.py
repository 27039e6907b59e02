"""LVIS's numbers beside lvis-api's, bit for bit, and beside a slow reference of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from postproc.errors import TensorError
from postproc.evaluation.coco_curves import COCO_AREAS, COCO_RECALLS, COCO_THRESHOLDS
from postproc.evaluation.coco_metrics import CocoMetrics, coco_metrics
from postproc.evaluation.collected import Collected
from postproc.evaluation.detection import evaluate_detections
from postproc.evaluation.federation import Federation, federated
from postproc.evaluation.groups import FoundInstances, TrueInstances
from postproc.evaluation.matches import IGNORED, NOTHING, match
from postproc.evaluation.report import render_report
from postproc.results import Detections, Recognitions
from tests.evaluation.federated_sets import federated_set, slow_curve
from tests.evaluation.random_sets import LABELS
from tests.evaluation.scenes import Scene, all_of, detections_of, random_scene, truth_of


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # lvis-api and what it draws with
@pytest.mark.parametrize("seeds", [range(start, start + 20) for start in range(0, 100, 20)], ids=str)
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_numbers_of_random_sets_are_those_of_lvis_api(
    kind: str, seeds: range, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lvis", reason="lvis is not installed: the extra bench brings it")
    monkeypatch.setattr(np, "float", float, raising=False)  # a name that NumPy no longer has
    told: set[str] = set()
    for seed in seeds:
        case = federated_set(kind, seed)
        if (expected := case.by_lvis()) is None:
            continue
        curves = case.curves()
        for name in ("precision", "recall"):
            np.testing.assert_array_equal(
                getattr(curves, name)[..., 0], expected.eval[name], err_msg=f"{name}, seed {seed}"
            )
        numbers = {name: -1 if value is None else value for name, value in case.numbers().items()}
        assert numbers == {name: float(value) for name, value in expected.results.items()}
        told |= {name for name, value in numbers.items() if 0 < value < 1}
    assert len(told) >= 13


@pytest.mark.parametrize("seed", [1, 2, 4, 9, 21])
def test_curves_of_random_sets_equal_a_slow_reference(seed: int) -> None:
    case = federated_set("bbox", seed)
    curves = case.curves()
    assert np.unique(curves.precision).size > 5
    for label in range(LABELS):
        for row in (0, 5):
            for column, area in enumerate(COCO_AREAS.values()):
                precision, recall = slow_curve(case, label, COCO_THRESHOLDS[row], area, COCO_RECALLS)
                np.testing.assert_array_equal(curves.precision[row, :, label, column, 0], precision)
                assert curves.recall[row, label, column, 0] == recall


def federation(
    absent: list[list[bool]], not_exhaustive: list[list[bool]] | None = None, frequencies: str = "rcf"
) -> Federation:
    table = np.array(absent, np.bool_)
    return Federation(
        table,
        np.zeros_like(table) if not_exhaustive is None else np.array(not_exhaustive, np.bool_),
        tuple(frequencies),
    )


SQUARE = [0.0, 0.0, 50.0, 50.0]
AWAY = [200.0, 200.0, 50.0, 50.0]


def measured(scene: Scene, absent: list[int], not_exhaustive: list[int], **options: Any) -> CocoMetrics:
    """Measure one image that lacks some labels of five, and has others in part."""
    truth = truth_of(scene)
    rows = np.zeros((2, 1, 5), np.bool_)
    rows[0, 0, absent], rows[1, 0, not_exhaustive] = True, True
    batch = replace(all_of(truth), federation=Federation(rows[0], rows[1], ("r", "c", "f", "", "f")))
    return coco_metrics(truth, batch, detections_of(scene), **options)


@pytest.mark.parametrize(
    ("labels", "absent", "not_exhaustive", "expected"),
    [
        pytest.param([0, 0], [], [], 0.5, id="of a label that is there"),
        pytest.param([0, 0], [], [0], 1.0, id="of one that is there in part"),
        pytest.param([1, 0], [], [], 1.0, id="of one that nothing is known of"),
        pytest.param([1, 0], [1], [], 1.0, id="of one that is known to lack, which has no object anywhere"),
    ],
)
def test_a_detection_of_nothing_counts_where_its_label_is_known(
    labels: list[int], absent: list[int], not_exhaustive: list[int], expected: float
) -> None:
    scene = Scene.of_one_image(np.array([AWAY, SQUARE]), np.array([SQUARE]))
    scene = replace(scene, labels=np.array(labels))
    found = measured(scene, absent, not_exhaustive)
    assert found.numbers["AP"] == pytest.approx(expected)
    assert found.curves.recall[0, 0, 0, 0] == 1


def test_a_detection_of_a_label_that_an_image_lacks_is_false_and_of_one_it_is_silent_about_is_not() -> None:
    boxes = FoundInstances(np.array([0, 1]), np.zeros(2, np.int64), np.array([0.5, 0.9]), np.full(2, 2500.0))
    none = np.zeros(1, np.bool_)
    truth = TrueInstances(np.zeros(1, np.int64), np.zeros(1, np.int64), np.full(1, 2500.0), none, none)
    for lacks in (True, False):
        known = federation([[False], [lacks]], frequencies="r")
        assert known.judges(boxes, truth).tolist() == [True, lacks]


def test_of_an_image_the_best_are_looked_at_whatever_their_labels() -> None:
    scene = Scene.of_one_image(np.array([AWAY, AWAY, SQUARE]), np.array([SQUARE]))
    scene = replace(scene, labels=np.array([1, 2, 0]))
    assert measured(scene, [], []).numbers["AR@300"] == 1
    assert measured(scene, [], [], max_detections=3).numbers["AR@3"] == 1
    assert measured(scene, [], [], max_detections=2).numbers["AR@2"] == 0
    with pytest.raises(TensorError, match="max_detections: expected a whole number of 1 or more, got 0"):
        measured(scene, [], [], max_detections=0)


def test_metrics_with_a_federation_are_by_the_images_of_the_ground_truth() -> None:
    scene = random_scene(3)
    truth = truth_of(scene)
    truth = replace(truth, ids=-truth.ids)  # in another order than the images, some of which are not measured
    rng = np.random.default_rng(0)
    shape = (scene.count, 5)
    known = Federation(rng.random(shape) < 0.5, rng.random(shape) < 0.3, ("r", "c", "f", "", "f"))
    images = [5, 1, 6, 2]
    batch, found = truth.batch(images), of_images(detections_of(scene), images)
    together = coco_metrics(truth, replace(batch, federation=known.take(batch.images)), found)
    assert (together.scheme, together.limited) == ("LVIS", "an image")
    assert 0 < (together.numbers["AP"] or 0) < 1
    assert together.numbers["AP"] != coco_metrics(truth, batch, found).numbers["AP"]
    # The same without the others, in the order of their ids.
    images.sort(reverse=True)
    alone = truth_of(scene_of_images(scene, images))
    batch = replace(all_of(alone), federation=known.take(np.array(images)))
    again = coco_metrics(alone, batch, of_images(detections_of(scene), images))
    np.testing.assert_array_equal(again.curves.precision, together.curves.precision)


def of_images(detections: Detections, images: list[int]) -> Detections:
    return Detections.concatenate([detections[row : row + 1] for row in images])


def scene_of_images(scene: Scene, images: list[int]) -> Scene:
    """Leave out the objects of other images; these come first, in the order given."""
    rows = [row for image in images for row in np.flatnonzero(scene.truth_images == image)]
    numbers = {image: number for number, image in enumerate(images)}
    return replace(
        scene,
        count=len(images),
        truth_images=np.array([numbers[image] for image in scene.truth_images[rows]]),
        truth_labels=scene.truth_labels[rows],
        truths=scene.truths[rows],
        crowd=scene.crowd[rows],
    )


def test_matches_of_labels_that_nothing_is_known_of_are_ignored() -> None:
    truth = truth_of(Scene.of_one_image(np.array([AWAY]), np.array([SQUARE])))
    boxes, labels = np.array([SQUARE, AWAY, AWAY, AWAY, AWAY]), np.array([0, 0, 1, 2, 3])
    found = detections_of(replace(Scene.of_one_image(boxes, boxes[:0]), labels=labels))
    absent, not_exhaustive = np.zeros((1, 5), np.bool_), np.zeros((1, 5), np.bool_)
    absent[0, [1, 2]], not_exhaustive[0, 2] = True, True
    batch = replace(all_of(truth), federation=Federation(absent, not_exhaustive, ("",) * 5))
    assert match(found, batch).truth.tolist() == [0, NOTHING, NOTHING, IGNORED, IGNORED]
    assert match(found, all_of(truth)).truth.tolist() == [0, *[NOTHING] * 4]


def test_an_evaluation_by_a_federation_is_headed_by_lvis_and_says_what_its_limit_cuts() -> None:
    scene = random_scene(2)
    shape = (scene.count, 5)
    table = np.zeros(shape, np.bool_)
    truth = replace(truth_of(scene), federation=Federation(table, table, ("r", "r", "c", "f", "")))
    low = detections_of(scene)
    collected = Collected(Recognitions((low, low)), all_of(truth), (), (), ())
    evaluation = evaluate_detections(truth, collected)
    document = evaluation.to_dict()
    assert list(document["coco"]) == [
        "AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf",
        "AR@300", "ARs@300", "ARm@300", "ARl@300",
    ]  # fmt: skip
    assert document["coco"]["APf"] is None
    assert document["total"]["ignored"] > 0  # of labels that nothing is known of
    assert "LVIS's box AP and AR, 300 an image at most" in evaluation.to_text()
    assert "<h2>LVIS's numbers for boxes</h2>" in (page := render_report(evaluation, title=""))
    assert "<span>box AR@300</span>" in page
    assert evaluation.coco_limit().remarks() == []
    objects, found = np.bincount(scene.truth_images[~scene.crowd]), np.bincount(scene.images)
    limit = int(objects.max()) - 1
    beyond, short = evaluate_detections(truth, collected, max_detections=limit).coco_limit().remarks()[::-1]
    assert short.startswith(f"LVIS's limit of {limit} detections an image is below the objects in ")
    assert f"up to {limit + 1} in {objects.argmax()}.png, so that" in short
    assert f"an image cuts {np.maximum(found - limit, 0).sum()} of the version's own" in beyond


def test_numbers_by_frequency_are_means_of_their_labels() -> None:
    case = federated_set("bbox", 9)
    numbers, curves = case.numbers(), case.curves()
    for which in "rcf":
        rows = [row for row, of_label in enumerate(case.federation.frequencies) if of_label == which]
        values = curves.precision[:, :, rows, 0, 0]
        known = values[values > -1]
        assert numbers[f"AP{which}"] == (known.mean() if known.size else None)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (((2, 3), (2, 3), "rc"), r"absent: expected \(images, labels\), \(2, 2\) as there are 2 freq.*got"),
        (((2, 3), (1, 3), "rcf"), r"not_exhaustive: expected .*\(2, 3\).* got \(1, 3\)"),
        (((2, 2), (2, 2), "rx"), "frequencies: expected 'r', 'c', 'f' or '', got 'x'"),
    ],
)  # fmt: skip
def test_a_federation_of_other_shapes_is_an_error(columns: tuple[Any, Any, str], message: str) -> None:
    absent, not_exhaustive, frequencies = columns
    with pytest.raises(TensorError, match=message):
        Federation(np.zeros(absent, np.bool_), np.zeros(not_exhaustive, np.bool_), tuple(frequencies))


def test_instances_beyond_a_federation_are_an_error() -> None:
    case = federated_set("bbox", 1)
    found, truth = case.case.found, case.case.truth
    with pytest.raises(TensorError, match="images: expected rows below 1, as the federation has, got"):
        federated(found, truth, case.federation.take(np.arange(1)))
    few = Federation(*(np.zeros((len(case.case.ids), 1), np.bool_) for _ in range(2)), ("r",))
    with pytest.raises(TensorError, match="labels: expected rows below 1, as the federation has, got"):
        federated(found, truth, few)
