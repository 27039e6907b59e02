"""Predictions put beside the ground truth: order, images without one or the other, and the documents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from postproc.errors import SchemaError
from postproc.evaluation.collected import collect
from postproc.evaluation.ground_truth import GroundTruth
from postproc.results import Recognitions
from tests.evaluation.scenes import IMAGE_SIDE, detections_of, random_scene, spec_of, truth_of

SIZE = (IMAGE_SIDE, IMAGE_SIDE)


def predictions(rows: list[int], batch: int = 2, size: Any = SIZE) -> Any:
    """Give what is predicted of images of a scene, in batches."""
    found = Recognitions((detections_of(random_scene(0)),))
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        recognitions = Recognitions.concatenate([found[row] for row in part])
        yield [f"pages/{row}.png" for row in part], [size] * len(part), recognitions


@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4, 5, 6, 7], [7, 2, 0, 1, 3, 6, 5, 4]])
def test_collect_puts_images_in_the_order_of_the_ground_truth(rows: list[int]) -> None:
    scene = random_scene(0)
    collected = collect(truth_of(scene), predictions(rows))
    (found,) = collected.recognitions.outputs
    expected = detections_of(scene)
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    assert (collected.missing, collected.unknown, collected.misshapen) == ((), (), ())


def test_collect_counts_images_without_prediction_and_leaves_out_unknown_ones() -> None:
    truth = truth_of(random_scene(0))
    found = Recognitions((detections_of(random_scene(0)),))
    more = [(["x.png"], [SIZE], found[0])]
    collected = collect(truth, [*predictions([4, 2]), *more])
    assert len(collected.truth) == len(collected.recognitions) == 8
    assert collected.missing == ("0.png", "1.png", "3.png", "5.png", "6.png", "7.png")
    assert collected.unknown == ("x.png",)
    assert np.flatnonzero(np.diff(collected.recognitions.outputs[0].offsets)).tolist() == [2, 4]


def test_collect_of_predicted_images_only_leaves_the_others_out() -> None:
    collected = collect(truth_of(random_scene(0)), predictions([4, 2]), only_predicted=True)
    assert collected.truth.images.tolist() == [2, 4]
    assert len(collected.recognitions) == 2
    assert collected.missing == ()


def test_collect_names_images_of_other_proportions() -> None:
    truth = truth_of(random_scene(0))
    assert collect(truth, predictions([1, 2], size=(801, 799))).misshapen == ()
    collected = collect(truth, [*predictions([1]), *predictions([2], size=(300, 400))])
    assert collected.misshapen == ("2.png (400 x 400, predicted as 400 x 300)",)


@pytest.mark.parametrize("size", [(300, 400), (400, 300), (200, 100)], ids=["wider", "taller", "both"])
@pytest.mark.parametrize("written", [(400, 400), (100, 200)])
def test_collect_names_images_that_are_wider_or_taller_than_their_ground_truth(
    size: tuple[int, int], written: tuple[int, int]
) -> None:
    document = random_scene(0).truth_document()
    document["annotations"] = []
    for image in document["images"]:
        image["height"], image["width"] = written
    truth = GroundTruth.load(document, spec_of())
    (height, width), (written_height, written_width) = size, written
    assert collect(truth, predictions([2], size=size)).misshapen == (
        f"2.png ({written_width} x {written_height}, predicted as {width} x {height})",
    )
    assert collect(truth, predictions([2], size=(3 * written_height, 3 * written_width))).misshapen == ()


def test_collect_of_no_known_image_or_one_twice_is_an_error() -> None:
    truth = truth_of(random_scene(0))
    with pytest.raises(
        SchemaError, match=r"none of its images, such as '0\.png', .* of which there are none"
    ):
        collect(truth, [])
    found = Recognitions((detections_of(random_scene(0)),))
    with pytest.raises(SchemaError, match=r"such as 'x\.png'; images are matched by their file names"):
        collect(truth, [(["x.png"], [SIZE], found[0])])
    with pytest.raises(SchemaError, match=r"two predictions are of the image '3\.png'"):
        collect(truth, predictions([3, 2, 3]))
