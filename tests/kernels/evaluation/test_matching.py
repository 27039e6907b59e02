"""Boxes matched greedily against a slow reference of its own and against pycocotools, index for index."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from postproc.evaluation.groups import Groups, Instances
from postproc.kernels.evaluation.matching import match_greedily
from postproc.kernels.evaluation.pairs import box_pairs
from tests.evaluation.scenes import Scene, coco_evaluation, random_scene

Box = list[float]


def run(scene: Scene, thresholds: list[float]) -> NDArray[np.int64]:
    found, truth = Instances(scene.images, scene.labels), Instances(scene.truth_images, scene.truth_labels)
    groups = Groups.of(found, truth, scene.count)
    crowd = scene.crowd[groups.truths]
    starts, truths, overlaps = box_pairs(
        scene.boxes[groups.rows], groups.offsets, scene.truths[groups.truths], crowd, groups.truth_starts,
        groups.truth_stops, min(thresholds),
    )  # fmt: skip
    matched = match_greedily(starts, truths, overlaps, crowd, crowd, np.array(thresholds))
    result = np.empty_like(matched)
    result[:, groups.rows] = np.append(groups.truths, -1)[matched]
    return result


def overlap(box: Box, truth: Box, is_crowd: bool) -> float:
    sides = [
        max(0.0, min(box[axis] + box[axis + 2], truth[axis] + truth[axis + 2]) - max(box[axis], truth[axis]))
        for axis in (0, 1)
    ]
    shared = sides[0] * sides[1]
    if shared == 0:
        return 0.0
    area = box[2] * box[3]
    return shared / (area if is_crowd else area + truth[2] * truth[3] - shared)


def slow_matches(scene: Scene, threshold: float) -> list[int]:
    matched = []
    free = set(np.flatnonzero(~scene.crowd).tolist())
    for box, label, image in zip(scene.boxes.tolist(), scene.labels, scene.images, strict=True):
        same = [
            row
            for row in range(len(scene.truths))
            if scene.truth_labels[row] == label and scene.truth_images[row] == image
        ]
        found = [(overlap(box, scene.truths[row].tolist(), False), row) for row in same if row in free]
        crowds = [(overlap(box, scene.truths[row].tolist(), True), row) for row in same if scene.crowd[row]]
        best = max([pair for pair in found if pair[0] >= threshold], default=None)
        if best is None:
            best = max([pair for pair in crowds if pair[0] >= threshold], default=None)
        else:
            free.remove(best[1])
        matched.append(-1 if best is None else best[1])
    return matched


@pytest.mark.parametrize("seed", range(20))
def test_matching_of_random_scenes_equals_a_slow_reference(seed: int) -> None:
    scene = random_scene(seed)
    thresholds = [0.1, 0.5, 0.75, 0.95]
    found = run(scene, thresholds)
    assert (found >= 0).any()
    np.testing.assert_array_equal(found, [slow_matches(scene, threshold) for threshold in thresholds])


@pytest.mark.parametrize("seed", range(20))
def test_matching_of_random_scenes_equals_pycocotools(seed: int) -> None:
    scene = random_scene(seed)
    evaluation = coco_evaluation(scene)
    evaluation.evaluate()
    found = run(scene, evaluation.params.iouThrs.tolist())
    expected = np.full(found.shape, -1)
    for part in evaluation.evalImgs:
        if part is not None and part["aRng"] == [0, 1e10]:
            rows = np.array(part["dtIds"], int) - 1
            expected[:, rows] = part["dtMatches"].astype(int) - 1
    np.testing.assert_array_equal(found, expected)


def scene(boxes: list[Box], truths: list[Box], **columns: Any) -> Scene:
    return Scene.of_one_image(np.array(boxes), np.array(truths), **columns)


SQUARE: Box = [0, 0, 10, 10]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        pytest.param(scene([SQUARE, SQUARE], [SQUARE]), [0, -1], id="an object is taken once"),
        pytest.param(scene([SQUARE], [SQUARE], truth_labels=[1]), [-1], id="of its own label only"),
        pytest.param(scene([SQUARE], [[0, 0, 10, 5]]), [0], id="the threshold itself is enough"),
        pytest.param(scene([SQUARE], [SQUARE, SQUARE]), [1], id="the later of two alike"),
        pytest.param(scene([SQUARE], [[0, 0, 10, 8], [0, 0, 10, 9]]), [1], id="the one it overlaps most"),
        pytest.param(
            scene([[0, 0, 2, 2], [4, 4, 2, 2]], [SQUARE], crowd=[True]), [0, 0], id="a crowd is taken often"
        ),
        pytest.param(
            scene([SQUARE], [SQUARE, [0, 0, 10, 6]], crowd=[True, False]), [1], id="an object before a crowd"
        ),
        pytest.param(scene([[5, 5, 0, 0]], [SQUARE], crowd=[True]), [-1], id="no area in a crowd"),
        pytest.param(scene([[5, 5, 0, 0]], [[5, 5, 0, 0]]), [-1], id="no area"),
    ],
)  # fmt: skip
def test_matching_of_one_image(case: Scene, expected: list[int]) -> None:
    assert run(case, [0.5])[0].tolist() == expected


def test_matching_at_a_threshold_of_one_takes_an_equal_box() -> None:
    assert run(scene([[0.1, 0.2, 0.3, 0.7]], [[0.1, 0.2, 0.3, 0.7]]), [1.0])[0].tolist() == [0]


def test_matching_without_detections_or_objects_is_empty() -> None:
    nothing = np.empty((0, 4))
    assert run(Scene.of_one_image(nothing, np.array([SQUARE])), [0.5, 0.7]).shape == (2, 0)
    assert run(Scene.of_one_image(np.array([SQUARE]), nothing), [0.5]).tolist() == [[-1]]


def test_pairs_of_many_that_overlap_are_all_there() -> None:
    case = scene([SQUARE] * 40, [SQUARE] * 30, crowd=[False, True] * 15)
    starts, truths, overlaps = box_pairs(
        case.boxes, np.array([0, 40]), case.truths, case.crowd, np.array([0]), np.array([30]), 0.5
    )
    assert starts.tolist() == [30 * row for row in range(41)]
    assert truths.tolist() == [*range(30)] * 40
    assert set(overlaps) == {1.0}
