"""Jaccard indices of quadrilaterals beside a slow reference, and beside those of rectangles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from postproc.evaluation.measured_detections import corners_of
from postproc.kernels.core.quadrilaterals import quadrilateral_iou_matrix
from postproc.kernels.core.rectangles import rectangle_iou_matrix
from tests.reference.polygons import polygon_iou


def quadrilaterals(rng: np.random.Generator, count: int) -> NDArray[Any]:
    """Corners by ascending angle around a middle: convex and concave ones, going around either way."""
    angles = (np.arange(4) + rng.uniform(0, 0.9, (count, 4))) * np.pi / 2
    away = rng.uniform(2, 20, (count, 4, 1))
    around = np.stack([np.cos(angles), np.sin(angles)], axis=2)
    corners = rng.uniform(0, 30, (count, 1, 2)) + away * around
    corners[::3] = corners[::3, ::-1]
    return corners + 3000


def test_index_of_quadrilaterals_of_any_form_is_that_of_a_slow_reference() -> None:
    rng = np.random.default_rng(0)
    a, b = quadrilaterals(rng, 40), quadrilaterals(rng, 30)
    b[:5] = a[:5, [2, 3, 0, 1]]
    b[5:10] = a[5:10, ::-1]
    found = quadrilateral_iou_matrix(a, b)
    expected = [[polygon_iou(one.tolist(), other.tolist()) for other in b] for one in a]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    assert np.mean((found > 0.05) & (found < 0.95)) > 0.2
    sides = np.roll(a, -1, axis=1) - a
    following = np.roll(sides, -1, axis=1)
    turns = sides[..., 0] * following[..., 1] - sides[..., 1] * following[..., 0] > 0
    assert 0.2 < np.mean(turns.all(axis=1) | ~turns.any(axis=1)) < 0.9  # the others are concave


def test_index_of_rectangles_by_their_corners_is_theirs() -> None:
    rng = np.random.default_rng(1)
    columns = [rng.uniform(0, 30, (2, 40)), rng.uniform(1, 30, (2, 40)), rng.uniform(-4, 4, (1, 40))]
    rectangles = np.vstack(columns).T.astype(np.float32, order="C")  # as kernels take them
    corners = corners_of(rectangles.astype(np.float64))
    np.testing.assert_allclose(
        quadrilateral_iou_matrix(corners, corners),
        rectangle_iou_matrix(rectangles, rectangles),
        rtol=0,
        atol=1e-10,
    )


SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10]]
DART = [[0, 0], [10, 10], [20, 0], [10, 30]]  # a notch up to (10, 10)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param(SQUARE, SQUARE, 1, id="equal"),
        pytest.param(SQUARE, SQUARE[::-1], 1, id="the other way around"),
        pytest.param(SQUARE, [[5, 0], [15, 0], [15, 10], [5, 10]], 1 / 3, id="half"),
        pytest.param(SQUARE, [[10, 0], [20, 0], [20, 10], [10, 10]], 0, id="an edge in common"),
        pytest.param(SQUARE, [[2, 2], [4, 2], [4, 4], [2, 4]], 0.04, id="inside"),
        pytest.param(DART, [[5, 0], [15, 0], [15, 5], [5, 5]], 0, id="in the notch"),
        pytest.param(DART, DART[1:] + DART[:1], 1, id="concave, from another corner"),
        pytest.param(SQUARE, [[0, 0], [10, 0], [10, 10], [10, 10]], 0.5, id="a triangle"),
        pytest.param(SQUARE, [[5, 5]] * 4, 0, id="a point"),
        pytest.param([[0, 0], [10, 10]] * 2, [[0, 0], [10, 10]] * 2, 0, id="lines"),
        pytest.param(SQUARE, [[np.nan, 0], [10, 0], [10, 10], [0, 10]], 0, id="not a number"),
    ],
)  # fmt: skip
def test_index_of_two_quadrilaterals(one: list[Any], other: list[Any], expected: float) -> None:
    pair = np.array([one, other], np.float64)
    found = quadrilateral_iou_matrix(pair[:1], pair[1:])
    assert found.item() == pytest.approx(expected, abs=1e-12)
    assert quadrilateral_iou_matrix(pair[1:], pair[:1]).item() == pytest.approx(expected, abs=1e-12)
