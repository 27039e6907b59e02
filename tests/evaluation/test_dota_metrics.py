"""DOTA's average precision beside a slow reference of `voc_eval` of DOTA's development kit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from postproc.errors import TensorError
from postproc.evaluation.dota_metrics import DotaMetrics, dota_metrics, voc_metrics
from postproc.evaluation.groups import FoundInstances, TrueInstances
from postproc.evaluation.measured_detections import MeasuredDetections, corners_of, rectangles_of
from postproc.evaluation.shapes import Shapes
from postproc.evaluation.similarity import of_quadrilaterals
from tests.evaluation.scenes import (
    IMAGE_SIDE,
    Scene,
    all_of,
    detections_of,
    random_scene,
    truth_of,
    with_boxes_of,
)
from tests.reference.polygons import polygon_iou

Array = NDArray[Any]
LABELS = 4
THRESHOLDS = (0.5, 0.75, 0.3)


@dataclass(frozen=True, eq=False)
class OrientedSet:
    """Detections and objects in any order; corners (N, 4, 2)."""

    images: int
    found: FoundInstances
    truth: TrueInstances
    corners: Array
    truths: Array

    def metrics(self, **options: Any) -> DotaMetrics:
        return voc_metrics(
            self.found,
            self.truth,
            of_quadrilaterals(self.corners, self.truths),
            images=self.images,
            labels=LABELS,
            **options,
        )


def random_set(seed: int) -> OrientedSet:
    """Make quadrilaterals that are nearly rectangles, with difficult ones, ties of scores, equal objects and
    detections, labels without objects (3) or detections (2), and images without either."""
    rng = np.random.default_rng(seed)
    images, objects, count = rng.integers((1, 1, 0), (6, 30, 120)).tolist()
    sides = [rng.uniform(20, 380, (objects, 2)), rng.uniform(30, 90, (objects, 2))]
    truths = corners_of(np.hstack([*sides, rng.uniform(-4, 4, (objects, 1))]))
    truths += rng.uniform(-2, 2, truths.shape)
    truths[: objects // 6] = truths[objects // 6 : objects // 6 * 2]
    truth_images, truth_labels = rng.integers(0, max(images - 1, 1), objects), rng.integers(0, 3, objects)
    source = rng.integers(0, objects, count)
    noise = rng.choice([0, 1, 4, 12], (count, 1, 1)) * rng.uniform(-1, 1, (count, 4, 2))
    found_images, labels = truth_images[source], truth_labels[source]
    is_away = rng.random(count) < 0.15
    found_images[is_away], labels[is_away] = rng.integers(0, images, is_away.sum()), 3
    labels[labels == 2] = rng.choice([0, 1, 3], (labels == 2).sum())
    difficult = rng.random(objects) < 0.25
    zeros = np.zeros
    return OrientedSet(
        images,
        FoundInstances(found_images, labels, rng.integers(1, 20, count) / 20, zeros(count)),
        TrueInstances(truth_images, truth_labels, zeros(objects), zeros(objects, np.bool_), difficult),
        truths[source] + noise,
        truths,
    )


def voc_eval(case: OrientedSet, label: int, threshold: float) -> tuple[Array, Array]:
    """Recall and precision as the kit's `voc_eval` has them, by a stable sort, one by one."""
    found, truth = case.found, case.truth
    taken = np.zeros(len(truth), np.bool_)
    rows = [row for row in np.argsort(-found.scores, kind="stable") if found.labels[row] == label]
    tp, fp = np.zeros(len(rows)), np.zeros(len(rows))
    for d, row in enumerate(rows):
        objects = np.flatnonzero((truth.images == found.images[row]) & (truth.labels == label))
        corners = case.corners[row].tolist()
        overlaps = [polygon_iou(case.truths[other].tolist(), corners) for other in objects]
        if overlaps and max(overlaps) > threshold:
            best = objects[int(np.argmax(overlaps))]
            if not truth.ignored[best]:
                if not taken[best]:
                    tp[d] = 1.0
                    taken[best] = True
                else:
                    fp[d] = 1.0
        else:
            fp[d] = 1.0
    npos = int((~truth.ignored[truth.labels == label]).sum())
    fp, tp = np.cumsum(fp), np.cumsum(tp)
    return tp / npos, tp / np.maximum(tp + fp, np.finfo(np.float64).eps)


def voc_ap(rec: Array, prec: Array, use_07_metric: bool) -> float:
    """The kit's `voc_ap`."""
    if use_07_metric:
        ap = 0.0
        for t in np.arange(0.0, 1.1, 0.1):
            ap = ap + (0 if np.sum(rec >= t) == 0 else np.max(prec[rec >= t])) / 11.0
        return float(ap)
    mrec, mpre = np.concatenate(([0.0], rec, [1.0])), np.concatenate(([0.0], prec, [0.0]))
    for i in range(mpre.size - 1, 0, -1):
        mpre[i - 1] = np.maximum(mpre[i - 1], mpre[i])
    i = np.where(mrec[1:] != mrec[:-1])[0]
    return float(np.sum((mrec[i + 1] - mrec[i]) * mpre[i + 1]))


@pytest.mark.parametrize("seeds", [range(start, start + 15) for start in range(0, 45, 15)], ids=str)
def test_average_precision_of_random_sets_is_that_of_the_kit(seeds: range) -> None:
    between = 0
    for seed in seeds:
        case = random_set(seed)
        found = case.metrics(thresholds=THRESHOLDS)
        for row, threshold in enumerate(THRESHOLDS):
            for label in range(LABELS):
                values = [found.average_precision[row, label], found.average_precision_area[row, label]]
                if not (~case.truth.ignored[case.truth.labels == label]).any():
                    assert np.isnan(values).all()
                    continue
                curve = voc_eval(case, label, threshold)
                assert values == [voc_ap(*curve, True), voc_ap(*curve, False)], (seed, threshold, label)
                between += 0.05 < values[0] < 0.95
    assert between > 30


def box(x: float, width: float = 10.0) -> Array:
    return np.array([[x, 0.0], [x + width, 0.0], [x + width, 10.0], [x, 10.0]])


BOX, AWAY = box(0), box(40)


def one_image(corners: list[Array], truths: list[Array], difficult: list[bool]) -> OrientedSet:
    zeros = np.zeros
    count, objects = len(corners), len(truths)
    return OrientedSet(
        1,
        FoundInstances(zeros(count, int), zeros(count, int), np.linspace(1, 0.1, count), zeros(count)),
        TrueInstances(
            zeros(objects, int),
            zeros(objects, int),
            zeros(objects),
            zeros(objects, np.bool_),
            np.array(difficult),
        ),
        np.array(corners),
        np.array(truths),
    )


@pytest.mark.parametrize(
    ("corners", "truths", "difficult", "expected"),
    [
        pytest.param([BOX, BOX], [BOX], [False], 1.0, id="the second of an object is false"),
        pytest.param(
            [BOX, box(1)], [BOX, box(3)], [False, False], 6 / 11,
            id="whose best is taken is false, though it overlaps another enough",
        ),
        pytest.param([AWAY, BOX], [BOX], [False], 0.5, id="a false one before"),
        pytest.param([BOX, AWAY], [BOX, AWAY], [True, False], 1.0, id="a difficult one"),
        pytest.param([box(0, 5)], [BOX], [False], 0.0, id="the threshold itself is not enough"),
        pytest.param([BOX], [BOX, BOX], [True, False], 0.0, id="of two alike the first"),
        pytest.param(
            [box(20 * row) for row in range(3)], [box(20 * row) for row in range(10)], [False] * 10, 3 / 11,
            id="3 of 10 do not reach 3 * 0.1",
        ),
    ],
)  # fmt: skip
def test_average_precision_of_one_image(
    corners: list[Array], truths: list[Array], difficult: list[bool], expected: float
) -> None:
    found = one_image(corners, truths, difficult).metrics()
    assert found.average_precision[0, 0] == pytest.approx(expected)
    assert found.numbers["mAP50"] == pytest.approx(expected)
    assert np.isnan(found.average_precision[0, 1:]).all()


def test_numbers_are_named_by_their_thresholds() -> None:
    case = random_set(2)
    found = case.metrics(thresholds=(0.5, 0.55, 0.75))
    assert list(found.numbers) == [f"mAP{value}{kind}" for value in (50, 55, 75) for kind in ("", "_area")]
    assert found.numbers["mAP55_area"] == np.nanmean(found.average_precision_area[1])
    nothing = one_image([BOX], [BOX], [True]).metrics()
    assert nothing.numbers == {"mAP50": None, "mAP50_area": None}


def test_what_has_no_image_or_label_is_left_out() -> None:
    case = random_set(2)
    expected = case.metrics(thresholds=THRESHOLDS)
    found, truth = case.found, case.truth
    more = [
        FoundInstances(
            *(np.append(getattr(found, name), values) for name, values in
              (("images", [-1, 0]), ("labels", [0, -1]), ("scores", [1, 1]), ("areas", [0, 0])))
        ),
        TrueInstances(
            *(np.append(getattr(truth, name), values) for name, values in
              (("images", [0]), ("labels", [-1]), ("areas", [0]), ("crowd", [False]), ("ignored", [False])))
        ),
    ]  # fmt: skip
    corners = np.concatenate([case.corners, case.truths[:1], case.truths[:1]])
    other = replace(
        case, found=more[0], truth=more[1], corners=corners, truths=np.append(case.truths, [BOX], axis=0)
    ).metrics(thresholds=THRESHOLDS)
    np.testing.assert_array_equal(other.average_precision, expected.average_precision)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thresholds": ()}, "thresholds: expected numbers above 0 and at most 1"),
        ({"thresholds": (50,)}, "thresholds: expected numbers above 0 and at most 1, got .50"),
    ],
)
def test_thresholds_out_of_range_are_an_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TensorError, match=message):
        one_image([BOX], [BOX], [False]).metrics(**options)


def upright(boxes: Array) -> Array:
    return np.stack(
        [boxes[:, :2] + boxes[:, 2:] * np.array(corner) for corner in ((0, 0), (1, 0), (1, 1), (0, 1))],
        axis=1,
    )


def test_metrics_of_detections_are_those_of_their_rectangles_or_upright_boxes() -> None:
    scene = random_scene(4, images=4)
    scene.truths[1] += 30  # of objects that are alike, rounding would tell the first
    truth, found = truth_of(scene), detections_of(scene)
    scene = with_boxes_of(scene, found)
    measured = MeasuredDetections.of(found, (IMAGE_SIDE, IMAGE_SIDE))
    upright_ones = dota_metrics(truth, all_of(truth), measured, thresholds=THRESHOLDS)
    np.testing.assert_array_equal(
        upright_ones.average_precision, of_scene(scene, upright(scene.boxes), upright(scene.truths))
    )
    angle = 0.6
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners, truths = upright(scene.boxes) @ turn, upright(scene.truths) @ turn
    truths[::2] = np.roll(truths[::2], 1, axis=1)  # whichever corner is the first
    truth = replace(truth, shapes=Shapes.of(len(truths), rectangles=rectangles_of(truths)))
    turned = MeasuredDetections.from_detections(
        found, masks=measured.masks, keypoints=measured.keypoints, rectangles=rectangles_of(corners)
    )
    both = dota_metrics(truth, all_of(truth), turned, thresholds=THRESHOLDS)
    np.testing.assert_allclose(both.average_precision, upright_ones.average_precision)
    assert 0.05 < (both.numbers["mAP50"] or 0) < 0.95


def of_scene(scene: Scene, corners: Array, truths: Array) -> Array:
    none = np.zeros(len(truths))
    return voc_metrics(
        FoundInstances(scene.images, scene.labels, scene.scores, np.zeros(len(corners))),
        TrueInstances(scene.truth_images, scene.truth_labels, none, scene.crowd, none.astype(bool)),
        of_quadrilaterals(corners, truths),
        images=scene.count,
        labels=5,
        thresholds=THRESHOLDS,
    ).average_precision
