"""What operators tell of boxes, scores and raw numbers, each role by itself."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from postproc.inspection.evidence import Evidence, Part, Source
from postproc.inspection.observed import Columns
from postproc.inspection.roles import Boxes, Keypoints, Raw, Scores
from postproc.schema.outputs import BoxFormat
from tests.inspection.columns_of_layers import CELLS, observed_columns

BOX = Columns("table", 2, 0, 4)


def said(found: Iterable[Evidence], part: Part, source: Source = Source.OPERATORS) -> set[bool]:
    """Whether what a source says of a part is against it; nothing where it says nothing."""
    return {item.is_against for item in found if part in item.parts and item.source is source}


@pytest.mark.parametrize(("box_format", "against"), [("cxcywh", False), ("xyxy", True), ("yxyx", True)])
def test_boxes_whose_sizes_alone_are_exponentials_are_no_corners(
    tmp_path: Path, box_format: BoxFormat, against: bool
) -> None:
    observed = observed_columns(tmp_path, [(2, ["Add", "Mul"]), (2, ["Exp", "Mul"]), (1, ["Sigmoid"])])
    found = Boxes(BOX, box_format, "pixels").examined(observed)
    assert said(found, Part.BOX_FORMAT) == {against}


@pytest.mark.parametrize("first", [["Sub", "Mul"], ["Add", "Sub", "Mul"]])  # places may be sums themselves
def test_boxes_of_differences_and_sums_are_corners(tmp_path: Path, first: list[str]) -> None:
    observed = observed_columns(tmp_path, [(2, first), (2, ["Add", "Mul"]), (1, ["Sigmoid"])])
    assert said(Boxes(BOX, "xyxy", "pixels").examined(observed), Part.BOX_FORMAT) == {False}
    assert said(Boxes(BOX, "cxcywh", "pixels").examined(observed), Part.BOX_FORMAT) == set()


def test_boxes_of_cells_straight_from_a_layer_are_not_decoded(tmp_path: Path) -> None:
    observed = observed_columns(tmp_path, [(4, []), (2, ["Sigmoid"])])
    assert said(Boxes(BOX, "cxcywh", "pixels", (16,)).examined(observed), Part.KIND) == {True}
    assert said(Boxes(BOX, "cxcywh", "pixels").examined(observed), Part.KIND) == set()


def test_boxes_told_by_operators_may_have_negative_sizes_in_a_run(tmp_path: Path) -> None:
    parts = [(2, ["Add", "Mul", "Div"]), (2, ["Sub", "Mul"]), (1, ["Sigmoid"])]
    rows = [[20.0 + row, 20, -5, 9, 0.5] for row in range(CELLS)]
    observed = observed_columns(tmp_path, parts, rows)
    found = list(Boxes(BOX, "cxcywh", "pixels").examined(observed))
    assert said(found, Part.BOX_FORMAT) == {False}
    assert not said(found, Part.BOX_FORMAT, Source.RUN)


def test_boxes_that_overflow_are_left_out(tmp_path: Path) -> None:
    rows = [[20.0 + row, 20, 9, 9, 0.5] for row in range(CELLS - 1)]
    observed = observed_columns(tmp_path, [(4, ["Mul"]), (1, [])], [*rows, [20, 20, np.inf, 9, 0.5]])
    assert said(Boxes(BOX, "cxcywh", "pixels").examined(observed), Part.UNITS, Source.RUN) == {False}
    assert said(Boxes(BOX, "cxcywh", "normalized").examined(observed), Part.UNITS, Source.RUN) == {True}


@pytest.mark.parametrize("coarse_first", [False, True])
def test_boxes_lie_about_their_cells_whichever_grid_comes_first(tmp_path: Path, coarse_first: bool) -> None:
    centres = []
    for stride in (32, 16) if coarse_first else (16, 32):
        y, x = np.mgrid[: 64 // stride, : 64 // stride]
        centres += [
            [(a + 0.5) * stride, (b + 0.5) * stride, 9, 9, 0.5] for a, b in zip(x.flat, y.flat, strict=True)
        ]
    observed = observed_columns(tmp_path, [(4, ["Mul"]), (1, [])], centres)
    found = list(Boxes(BOX, "cxcywh", "pixels", (16, 32)).examined(observed))
    assert any("cells" in item.text and not item.is_against for item in found)
    found = list(Boxes(BOX, "xyxy", "pixels", (16, 32)).examined(observed))
    assert any("cells" in item.text and item.is_against for item in found)


def test_scores_straight_from_a_layer_are_no_probabilities(tmp_path: Path) -> None:
    observed = observed_columns(tmp_path, [(4, ["Mul"]), (3, [])])
    scores = Columns("table", 2, 4, 3)
    assert said(Scores(scores).examined(observed), Part.ACTIVATION) == {True}
    assert said(Scores(scores, "sigmoid").examined(observed), Part.ACTIVATION) == {False}


def test_raw_numbers_have_no_arithmetic_behind_the_layer(tmp_path: Path) -> None:
    observed = observed_columns(tmp_path, [(4, []), (3, ["Sigmoid"]), (2, ["Mul"])])
    assert said(Raw(BOX).examined(observed), Part.KIND) == {False}
    squashed, decoded = Columns("table", 2, 4, 3), Columns("table", 2, 7, 2)
    assert said(Raw(squashed).examined(observed), Part.KIND) == {True}
    assert said(Raw(squashed, is_squashed=True).examined(observed), Part.KIND) == {False}
    assert said(Raw(decoded, is_squashed=True).examined(observed), Part.KIND) == {True}
    assert not said(Raw(BOX, tells=()).examined(observed), Part.KIND)


@pytest.mark.parametrize(("lowest", "highest", "against"), [(0.0, 1.0, True), (-1.0, 1.0, False)])
def test_raw_numbers_of_a_run_are_not_all_within_0_and_1(
    tmp_path: Path, lowest: float, highest: float, against: bool
) -> None:
    rows = np.linspace(lowest, highest, CELLS * 4).reshape(CELLS, 4).tolist()
    observed = observed_columns(tmp_path, [(4, [])], rows)
    assert said(Raw(BOX).examined(observed), Part.KIND, Source.RUN) == {against}


def test_keypoints_are_in_what_boxes_are_in(tmp_path: Path) -> None:
    rows = np.linspace(0.1, 60, CELLS * 6).reshape(CELLS, 6)
    rows[:, [2, 5]] = 0.5
    observed = observed_columns(tmp_path, [(6, ["Mul"])], rows.tolist())
    points = Columns("table", 2, 0, 6)
    assert said(Keypoints(points, 3).examined(observed), Part.COLUMNS, Source.RUN) == {False}
    found = list(Keypoints(points, 3, "normalized").examined(observed))
    assert said(found, Part.COLUMNS, Source.RUN) == {True}
    rows[:, [0, 1, 3, 4]] /= 64
    observed = observed_columns(tmp_path, [(6, ["Mul"])], rows.tolist())
    assert said(Keypoints(points, 3).examined(observed), Part.COLUMNS, Source.RUN) == {True}
    assert not said(Keypoints(points, 3, "normalized").examined(observed), Part.COLUMNS, Source.RUN)


def test_keypoints_straight_from_a_layer_are_coefficients(tmp_path: Path) -> None:
    observed = observed_columns(tmp_path, [(4, ["Mul"]), (6, [])])
    assert said(Keypoints(Columns("table", 2, 4, 6), 3).examined(observed), Part.COLUMNS) == {True}


def test_chosen_boxes_that_are_no_corners_in_a_run_are_no_centres_for_that(tmp_path: Path) -> None:
    rows = [[200.0 + row, 200 - row, 50, 60, 0.5] for row in range(CELLS)]
    observed = observed_columns(tmp_path, [(4, ["Mul"]), (1, ["Sigmoid"])], rows)
    for in_order, expected in ((True, {False}), (False, set())):
        found = Boxes(BOX, "cxcywh", "pixels", in_order=in_order).examined(observed)
        assert said(found, Part.BOX_FORMAT, Source.RUN) == expected
