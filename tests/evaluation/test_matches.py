"""Detections matched to a ground truth, and parts joined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from postproc.errors import TensorError
from postproc.evaluation.matches import Matches, match
from tests.evaluation.scenes import Scene, all_of, detections_of, random_scene, truth_of


def columns(matches: Matches) -> dict[str, Any]:
    names = ("image", "label", "score", "truth", "objects")
    return {name: getattr(matches, name).tolist() for name in names} | {"images": matches.images}


def test_match_names_objects_misses_and_crowds() -> None:
    square = [0, 0, 100, 100]
    scene = Scene.of_one_image(
        np.array([square, square, [300, 300, 20, 20]]),
        np.array([square, [290, 290, 100, 100]]),
        crowd=[False, True],
    )
    found = match(detections_of(scene), all_of(truth_of(scene)))
    assert found.truth.tolist() == [0, -1, -2]
    assert (found.objects.tolist(), found.images) == ([[0, 0]], 1)
    assert found.score.dtype == np.float32
    assert found.objects_by_label(5).tolist() == [1, 0, 0, 0, 0]


@pytest.mark.parametrize("size", [1, 3])
def test_concatenate_of_parts_in_any_order_equals_the_whole(size: int) -> None:
    scene = random_scene(3)
    truth, found = truth_of(scene), detections_of(scene)
    whole = match(found, all_of(truth))
    assert {-2, -1} < set(whole.truth.tolist())
    starts = np.random.default_rng(0).permutation(np.arange(0, scene.count, size))
    parts = [
        match(found[start : start + size], truth.batch(range(start, min(start + size, scene.count))))
        for start in starts.tolist()
    ]
    assert columns(Matches.concatenate(parts)) == columns(whole)


def test_match_takes_a_higher_share_where_asked() -> None:
    scene = Scene.of_one_image(np.array([[0, 0, 100, 60]]), np.array([[0, 0, 100, 100]]))
    found, truth = detections_of(scene), all_of(truth_of(scene))
    assert match(found, truth, 0.5).truth.tolist() == [0]
    assert match(found, truth, 0.7).truth.tolist() == [-1]


def test_match_of_what_does_not_fit_is_an_error() -> None:
    scene = random_scene(0)
    found, truth = detections_of(scene), truth_of(scene)
    with pytest.raises(TensorError, match="detections of 8 images, but the ground truth of 2"):
        match(found, truth.batch([0, 1]))
    with pytest.raises(TensorError, match="iou: expected a number above 0 and at most 1, got 0"):
        match(found, all_of(truth), 0)
    found.predicted[3] = False
    with pytest.raises(TensorError, match="predicted ones only"):
        match(found, all_of(truth))
    with pytest.raises(TensorError, match="one part at least"):
        Matches.concatenate([])
