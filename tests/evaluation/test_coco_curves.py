"""Precision, recall and scores of random sets beside pycocotools', bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from postproc.errors import TensorError
from postproc.evaluation import coco_curves as module
from postproc.evaluation.coco_curves import COCO_AREAS, CocoCurves, coco_curves
from postproc.evaluation.groups import FoundInstances, TrueInstances
from postproc.evaluation.similarity import of_boxes, of_keypoints, of_rectangles
from tests.evaluation.random_sets import KINDS, LABELS, RandomSet, random_set

AREAS = {"segm": COCO_AREAS, "bbox": COCO_AREAS,
         "keypoints": {name: COCO_AREAS[name] for name in ("all", "medium", "large")}}  # fmt: skip


def measured(case: RandomSet) -> CocoCurves:
    return coco_curves(
        case.found,
        case.truth,
        case.similarity(),
        images=len(case.ids),
        labels=LABELS,
        thresholds=case.thresholds,
        areas=AREAS[case.kind],
        limits=case.limits,
    )


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools
@pytest.mark.parametrize("seeds", [range(start, start + 20) for start in range(0, 120, 20)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_curves_of_random_sets_are_those_of_pycocotools(kind: str, seeds: range) -> None:
    reached = 0
    for seed in seeds if kind == "bbox" else seeds[::2]:
        case = random_set(kind, seed)
        found, expected = measured(case), case.by_pycocotools(np.random.default_rng(seed)).eval
        for name in ("precision", "recall", "scores"):
            np.testing.assert_array_equal(
                getattr(found, name), expected[name], err_msg=f"{name}, seed {seed}"
            )
        reached += np.unique(found.precision).size > 10
    assert reached > len(seeds) // 4


def test_curves_of_oriented_boxes_do_not_change_when_all_are_turned() -> None:
    case = random_set("bbox", 3)
    centres = [boxes[:, :2] + boxes[:, 2:] / 2 for boxes in (case.boxes, case.truth_boxes)]
    noise = np.random.default_rng(0).normal(1, 1e-3, case.boxes.shape[0])  # no index lies on a threshold
    sides = [case.boxes[:, 2:] * noise[:, None], case.truth_boxes[:, 2:]]
    found = FoundInstances(case.found.images, case.found.labels, case.found.scores, sides[0].prod(axis=1))
    truth = case.truth
    none = np.zeros(len(truth), np.bool_)
    truth = TrueInstances(truth.images, truth.labels, truth.areas, none, none)
    options = {"images": len(case.ids), "labels": LABELS}
    upright = [np.hstack([centre - side / 2, side]) for centre, side in zip(centres, sides, strict=True)]
    expected = coco_curves(found, truth, of_boxes(*upright, none), **options)
    assert 0.2 < (expected.number("precision", 0.5, "all", 100) or 0) < 0.95
    for angle in (0.0, 0.7, np.pi / 2, -2.0):
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        turned = [
            np.hstack([centre @ turn, side, np.full((len(side), 1), angle)]).astype(np.float32)
            for centre, side in zip(centres, sides, strict=True)
        ]
        curves = coco_curves(found, truth, of_rectangles(*turned), **options)
        np.testing.assert_array_equal(curves.precision, expected.precision)
        np.testing.assert_array_equal(curves.recall, expected.recall)


def test_curves_in_threads_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    case = random_set("bbox", 10)
    expected, kernel = measured(case), module.precision_recall
    first: set[int] = set()

    def noted(*arguments: Any) -> Any:
        first.add(int(arguments[3][0]))
        return kernel(*arguments)

    monkeypatch.setattr(module, "_LEAST_OF_A_THREAD", 10)
    monkeypatch.setattr(module, "precision_recall", noted)
    monkeypatch.setattr(module.os, "cpu_count", lambda: 3)
    found = measured(case)
    assert len(first) > 1
    for name in ("precision", "recall", "scores"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_curves_name_their_numbers() -> None:
    case = random_set("bbox", 1)
    curves = measured(case)
    values = curves.precision[5, :, :, 2, -1]
    assert curves.number("precision", 0.75, "medium", 100) == values[values > -1].mean()
    assert curves.number("recall", None, "all", 1) == curves.recall[:, :3, 0, 0].mean()
    assert np.isnan(curves.by_label()[3])
    np.testing.assert_array_equal(
        curves.by_label(0.5)[:3], [curves.precision[0, :, i, 0, 2].mean() for i in range(3)]
    )
    with pytest.raises(TensorError, match=r"threshold: expected one of \[0.5, .*, got 0.3"):
        curves.number("precision", 0.3, "all", 100)


def test_curves_without_anything_are_of_no_object() -> None:
    nothing, floats, no = np.empty(0, np.int64), np.empty(0), np.empty(0, np.bool_)
    found, truth = (
        FoundInstances(nothing, nothing, floats, floats),
        TrueInstances(nothing, nothing, floats, no, no),
    )
    boxes = of_boxes(np.empty((0, 4)), np.empty((0, 4)), no)
    for images, labels in ((0, 0), (3, 2)):
        curves = coco_curves(found, truth, boxes, images=images, labels=labels)
        assert curves.precision.shape == (10, 101, labels, 4, 3)
        assert (curves.precision == -1).all()
        assert curves.number("recall", None, "all", 1) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": 1}, "images: expected rows below 1, the number of images, got 2"),
        ({"labels": 1}, "labels: expected rows below 1, the number of labels, got 1"),
        ({"thresholds": np.array([0.5, 1.5])}, "thresholds: expected numbers above 0 and at most 1, got .*1"),
        ({"thresholds": np.array([np.nan])}, "thresholds: expected numbers above 0"),
        ({"limits": [10, 1]}, r"limits: expected ascending numbers of 1 or more, got \[10, 1\]"),
        ({"scores": [0.5, np.nan]}, "scores: expected numbers, got NaN in row 1"),
        ({"scores": [0.5]}, "instances: expected as many of all columns, got 2 images, 2 labels, 1 scores"),
    ],
)  # fmt: skip
def test_curves_of_what_does_not_fit_are_an_error(options: dict[str, Any], message: str) -> None:
    options = {"images": 3, "labels": 2, "scores": [0.5, 0.4], **options}
    none, boxes = np.zeros(2, np.bool_), np.ones((2, 4))
    images, labels = np.array([0, 2]), np.array([0, 1])
    with pytest.raises(TensorError, match=message):
        coco_curves(
            FoundInstances(images, labels, np.array(options.pop("scores")), np.ones(2)),
            TrueInstances(images, labels, np.ones(2), none, none),
            of_boxes(boxes, boxes, none),
            **options,
        )


def test_keypoints_of_another_number_than_sigmas_are_an_error() -> None:
    points, truths, boxes = np.zeros((2, 5, 2)), np.zeros((1, 5, 3)), np.zeros((1, 4))
    with pytest.raises(
        TensorError, match=r"points: expected \(number, 17, 2\), one point for each of 17 sigmas"
    ):
        of_keypoints(points, truths, boxes, np.ones(1))
    of_keypoints(points, truths, boxes, np.ones(1), sigmas=[0.1] * 5)
