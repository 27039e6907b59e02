"""Detections of every kind in the form that metrics take: in pixels, without tensors of a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from postproc.evaluation.measured_detections import MeasuredDetections, rectangles_of
from postproc.results import Detections, LabelTable
from postproc.results.keypoints import KeypointDetections
from postproc.results.oriented import OrientedDetections

SIZES = [(100, 200), (50, 50)]  # height, width


def columns(**more: Any) -> dict[str, Any]:
    return {
        "scores": np.array([0.9, 0.8], np.float32),
        "labels": np.array([0, 0]),
        "predicted": np.ones(2, np.bool_),
        "offsets": np.array([0, 1, 2]),
        "table": LabelTable(np.array([3]), ("cat",), (0.5,)),
        "boxes": np.array([[0, 0, 1, 1], [0.25, 0.5, 0.75, 1]], np.float32),
        "regions": np.array([4, 5]),
        **more,
    }


def test_boxes_alone_have_no_shapes() -> None:
    measured = MeasuredDetections.of(Detections(**columns()), SIZES)
    assert measured.shapes.counts() == {}
    assert measured.boxes.tolist() == [[0, 0, 1, 1], [0.25, 0.5, 0.75, 1]]
    assert MeasuredDetections.of(measured, SIZES) is measured


@pytest.mark.parametrize("depth", [2, 3])
def test_keypoints_are_in_pixels_and_all_there(depth: int) -> None:
    points = np.array([[[0.5, 0.5, 0.0], [1, 0, 0.9]], [[0.5, 0.5, 0.1], [0, 1, 0.2]]], np.float32)
    found = KeypointDetections(**columns(keypoints=points[..., :depth], skeleton=()))
    measured = MeasuredDetections.of(found, SIZES)
    assert measured.keypoints.tolist() == [[[100, 50, 1], [200, 0, 1]], [[25, 25, 1], [0, 50, 1]]]
    assert measured.shapes.counts() == {"keypoints": 2}
    assert measured[1].keypoints.tolist() == [[[25, 25, 1], [0, 50, 1]]]


def corners_of(rectangle: list[float]) -> Any:
    x, y, width, height, angle = rectangle
    right = np.array([np.cos(angle), np.sin(angle)]) * width / 2
    down = np.array([-np.sin(angle), np.cos(angle)]) * height / 2
    middle = np.array([x, y])
    return middle + np.array([right + down, right - down, -right - down, down - right])


@pytest.mark.parametrize("angle", [0.0, 0.3, 1.5, -2.0])
def test_rectangles_are_those_of_their_corners(angle: float) -> None:
    rectangle = [30.0, 20.0, 12.0, 5.0, angle]
    np.testing.assert_allclose(rectangles_of(corners_of(rectangle)[None]), [rectangle], atol=1e-12)


def test_oriented_boxes_are_in_pixels() -> None:
    corners = np.array([corners_of([100, 50, 40, 20, 0.5]), corners_of([25, 20, 10, 4, 1.0])])
    relative = corners / np.array([[[200, 100]], [[50, 50]]])
    found = OrientedDetections(
        **columns(polygons=relative.astype(np.float32), angles=np.array([0.1, 0.2], np.float32))
    )
    measured = MeasuredDetections.of(found, SIZES)
    np.testing.assert_allclose(measured.rectangles, [[100, 50, 40, 20, 0.5], [25, 20, 10, 4, 1.0]], rtol=1e-5)
    assert measured.shapes.counts() == {"oriented boxes": 2}
