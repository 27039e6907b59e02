"""Ground truths in other units than COCO's are refused by name; odd boxes that every data set has are not."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from postproc import PostProcessor
from postproc.errors import SchemaError
from postproc.evaluation.collected import collect
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.one_pass import PASS_PREDICTIONS, OnePass
from postproc.evaluation.pass_matches import gather
from postproc.schema import RecognitionSpec, RecognitionVersion
from tests.evaluation.noisy_boxes import SIDE, boxes_and_truth, names_and_sizes, spec_of, version_of

WIDTH, HEIGHT = 640, 360
Boxes = NDArray[np.float64]


def corners(seed: int, count: int = 200, largest: float = 0.5) -> Boxes:
    """Make boxes x1, y1, x2, y2 in whole pixels, anywhere in the image."""
    rng = np.random.default_rng(seed)
    sides = np.maximum(rng.random((count, 2)) * largest * (WIDTH, HEIGHT), 2)
    first = rng.random((count, 2)) * ((WIDTH, HEIGHT) - sides)
    return np.round(np.hstack([first, first + sides]))


def sizes_of(boxes: Boxes) -> Boxes:
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])


def document(boxes: Boxes, width: int | None = WIDTH, height: int | None = HEIGHT) -> dict[str, Any]:
    return {
        "images": [{"id": 4, "file_name": "a.jpg", "width": width, "height": height}],
        "categories": [{"id": 1, "name": "label 0"}],
        "annotations": [{"image_id": 4, "category_id": 1, "bbox": box} for box in boxes.tolist()],
    }


def load(boxes: Any, **size: Any) -> GroundTruth:
    return GroundTruth.load(document(np.asarray(boxes, np.float64).reshape(-1, 4), **size), spec_of(1))


@pytest.mark.parametrize("count", [1, 5, 200])
@pytest.mark.parametrize("size", [{}, {"width": None, "height": None}], ids=["sizes said", "no sizes"])
def test_boxes_in_fractions_are_an_error(count: int, size: dict[str, Any]) -> None:
    boxes = sizes_of(corners(0, count)) / (WIDTH, HEIGHT, WIDTH, HEIGHT)
    for written in (boxes, corners(0, count) / (WIDTH, HEIGHT, WIDTH, HEIGHT), [[0, 0, 1, 1]]):
        with pytest.raises(
            SchemaError, match=r"annotations: hardly any bbox has a number above 1, .* fractions of the"
        ):
            load(written, **size)


def test_boxes_in_fractions_of_which_one_reaches_over_the_edge_are_an_error() -> None:
    boxes = sizes_of(corners(0, 100)) / (WIDTH, HEIGHT, WIDTH, HEIGHT)
    boxes[3, 2] = 1.02
    with pytest.raises(SchemaError, match="fractions of the image"):
        load(boxes)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("largest", [0.1, 0.5, 0.9])
def test_corners_for_boxes_are_an_error(seed: int, largest: float) -> None:
    with pytest.raises(
        SchemaError, match=r"of 40 boxes reach .* on 'a\.jpg', .* look like corners \[x1, y1, x2, y2\]"
    ):
        load(corners(seed, 40, largest))


def test_a_single_box_of_corners_is_an_error() -> None:
    with pytest.raises(
        SchemaError, match=r"1 of 1 boxes .* the bbox \[400\.0, 50\.0, 600\.0, 90\.0\] .* corners"
    ):
        load([[400, 50, 600, 90]])


def test_boxes_of_images_whose_sides_are_swapped_are_an_error() -> None:
    with pytest.raises(SchemaError, match="they would fit if width and height of the images were swapped"):
        load(sizes_of(corners(0, largest=0.2)), width=HEIGHT, height=WIDTH)


def test_boxes_in_pixels_of_a_larger_image_are_an_error() -> None:
    with pytest.raises(SchemaError, match="in pixels of another size"):
        load(sizes_of(corners(0)) * 2)


@pytest.mark.parametrize("seed", range(20))
def test_ordinary_boxes_are_taken(seed: int) -> None:
    for largest in (0.1, 0.5, 1.0):
        boxes = sizes_of(corners(seed, 40, largest))
        assert len(load(boxes).boxes) == 40
        boxes[:, :2] += 3  # a little over the border
        load(boxes)
        boxes[:2, 2:] *= 3  # and two objects of which half lies outside
        load(boxes)


@pytest.mark.parametrize(
    ("boxes", "size"),
    [
        ([[0, 0, 640, 360]] * 30, {}),
        ([[10, 20, 600, 300]] * 30, {}),
        ([[-5, -5, 660, 370]] * 30, {}),
        ([[0, 0, 1, 1]], {"width": 2, "height": 2}),
        ([[6, 6, 4, 4]], {"width": 8, "height": 8}),
        ([[0.5, 0.5, 1.5, 0.5]], {}),
        ([[0, 0, 0, 0]], {}),
        ([], {}),
    ],
    ids=["whole image", "nearly", "over it", "pixel", "over a tiny one", "small", "no area", "none"],
)
def test_boxes_of_unusual_data_sets_are_taken(boxes: Any, size: dict[str, Any]) -> None:
    assert len(load(boxes, **size).boxes) == len(boxes)


def test_boxes_do_not_matter_for_labels_of_whole_images() -> None:
    GroundTruth.load(document(corners(0)), spec_of(1, "NONE"))


def test_sizes_that_only_predictions_know_are_enough_and_checked() -> None:
    tensors, said = boxes_and_truth(2)
    unsaid = copy.deepcopy(said)
    for image in unsaid["images"]:
        del image["width"]
        image["height"] = None
    wrong = copy.deepcopy(unsaid)
    for item in wrong["annotations"]:
        x, y, width, height = item["bbox"]
        item["bbox"] = [x, y, x + width, y + height]
    spec, version = RecognitionSpec.load(spec_of(3)), RecognitionVersion.load(version_of())
    names, sizes = names_and_sizes(len(said["images"]))
    results = []
    for case in (said, unsaid, wrong):
        truth = GroundTruth.load(case, spec)
        plan = OnePass.of(spec, version, {0: truth})
        found = PostProcessor(plan.spec, plan.version)(tensors, max_predictions=PASS_PREDICTIONS)
        parts = [(names[i : i + 8], sizes[i : i + 8], found[i : i + 8]) for i in range(0, len(names), 8)]
        if case is wrong:
            for use in (collect, lambda truth, parts, plan=plan: gather(plan, parts)):
                with pytest.raises(SchemaError, match=rf"width and height are {SIDE} and {SIDE}: .* corners"):
                    use(truth, parts)
            continue
        ranked = gather(plan, parts).variants[0][0].ranked
        results.append([collect(truth, parts).truth.sizes.tolist(), ranked.is_true_positive.tolist()])
    assert results[0] == results[1]
