"""What is drawn of detections and objects: their masks, keypoints and oriented boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from postproc.evaluation.measured_detections import rectangles_of
from postproc.evaluation.outlines import Outline, corners_of
from postproc.evaluation.pictures import Sketch

GREY, GREEN = 128, (40, 190, 80)
BOX = (0.2, 0.2, 0.6, 0.6)
SQUARE = [[(0.2, 0.2), (0.6, 0.2), (0.6, 0.6), (0.2, 0.6)]]


def drawn(outline: Outline, side: int = 100, **options: Any) -> Any:
    """Draw on a picture of an image twice its size; gives where it has changed."""
    picture = Image.new("RGB", (side, side), (GREY,) * 3)
    Sketch(picture, (0, 0, 2 * side, 2 * side), (2 * side, 2 * side)).draw(outline, GREEN, **options)
    return (np.asarray(picture, int) != GREY).any(axis=2)


def runs(height: int, width: int) -> dict[str, Any]:
    """Write a square as RLE of lists, from 0.2 to 0.6."""
    mask = np.zeros((height, width), bool)
    mask[height // 5 : height * 3 // 5, width // 5 : width * 3 // 5] = True
    flat = np.concatenate([[False], mask.ravel(order="F"), [not mask[-1, -1]]])
    return {"size": [height, width], "counts": np.diff(np.flatnonzero(np.diff(flat)), prepend=-0).tolist()}


@pytest.mark.parametrize("size", [(200, 200), (50, 100)], ids=["as the image", "smaller"])
def test_masks_as_runs_and_as_polygons_cover_the_same(size: tuple[int, int]) -> None:
    pytest.importorskip("pycocotools")
    of_polygon, of_runs = (drawn(Outline(BOX, mask=mask)) for mask in (SQUARE, runs(*size)))
    assert of_runs[22:58, 22:58].all()
    assert (of_polygon != of_runs).sum() < 4 * 45
    assert not of_runs[:18].any()
    assert not of_runs[62:].any()
    only_rim = drawn(Outline(BOX, mask=runs(*size)), is_solid=False)
    assert only_rim.any()
    assert not only_rim[25:55, 25:55].any()


def test_oriented_boxes_are_drawn_turned() -> None:
    rectangle = np.array([100, 100, 80, 40, np.pi / 4])
    corners = corners_of(rectangle)
    np.testing.assert_allclose(rectangles_of(corners[None][:, [3, 0, 1, 2]])[0][:2], rectangle[:2])
    changed = drawn(Outline(BOX, corners=tuple(map(tuple, (corners / 200).tolist()))))
    for x, y in (corners / 2).round().astype(int).tolist():
        assert changed[y - 2 : y + 3, x - 2 : x + 3].any()
    assert not changed[15:26, 20:80].any()  # where the upright box has its upper side


def test_keypoints_that_are_there_are_dots_and_people_are_joined() -> None:
    places = [(0.1 + 0.05 * (row % 4), 0.1 + 0.05 * row) for row in range(17)]
    points: list[Any] = [None, *places[1:]]
    changed = drawn(Outline(BOX, points=tuple(points)))
    assert not changed[8:12, 8:12].any()
    for x, y in places[1:]:
        assert changed[round(y * 100), round(x * 100)]
    middle = (np.array(places[13]) + places[15]) / 2 * 100  # a shin
    assert changed[round(middle[1]), round(middle[0])]
    apart = drawn(Outline(BOX, points=tuple(points[:16])))
    assert apart.sum() < changed.sum()


def test_what_lies_outside_of_the_picture_is_drawn_without_a_fault() -> None:
    far = ((-9.0, -9.0), (9.0, -9.0), (9.0, 9.0), (-9.0, 9.0))
    for outline in (
        Outline((-5, -5, 9, 9)),
        Outline((2, 2, 3, 3)),
        Outline(BOX, corners=far),
        Outline(BOX, mask=[list(far)]),
        Outline(BOX, mask=[[(0.1, 0.1)]]),
        Outline(BOX, points=far),
    ):
        drawn(outline)
        drawn(outline, is_solid=False)
