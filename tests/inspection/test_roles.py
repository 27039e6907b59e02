"""What numbers are expected to be: each role's findings on small arrays, for it and against it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from postproc.inspection.evidence import Part
from postproc.inspection.graph import Graph
from postproc.inspection.labels import LabelNames
from postproc.inspection.nodes import Node
from postproc.inspection.observed import Columns, Observed
from postproc.inspection.provenance import Operators
from postproc.inspection.roles import Boxes, Classes, Finished, Keypoints, LabelCount, Scores
from postproc.inspection.roles.boxes import grid_orders

ALL = Columns("y")
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(-3, 2, (40, 5))
PROBABILITIES = 1 / (1 + np.exp(-LOGITS))
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


def observed(
    values: ArrayLike | None = None, *nodes: Node, labels: int | None = None, **others: Any
) -> Observed:
    names = None if labels is None else LabelNames(("name",) * labels, "the caller")
    links = Operators(nodes, frozenset(), {}, {})
    graph = Graph("net", "", (), (), {}, others, links, (640, 640), "graph", names)
    return Observed(graph, {} if values is None else {"y": np.asarray(values, np.float32)})


def found(role: Any, state: Observed) -> tuple[set[Part], set[Part]]:
    """Give the parts that a role speaks for, and those it speaks against."""
    items = list(role.examined(state))
    parts = [
        {part for item in items if item.is_against is against for part in item.parts}
        for against in (False, True)
    ]
    return parts[0], parts[1]


@pytest.mark.parametrize(
    ("values", "activation", "is_for", "is_against"),
    [
        (PROBABILITIES, "none", True, False),
        (PROBABILITIES, "sigmoid", False, True),
        (PROBABILITIES, "softmax", False, True),
        (LOGITS, "none", False, True),
        (LOGITS, "sigmoid", True, False),
        (LOGITS, "softmax", True, False),
        (np.zeros((40, 5)), "none", False, False),
        (np.zeros((40, 5)), "sigmoid", False, False),
        (PROBABILITIES[:1, :3], "sigmoid", False, False),
    ],
)
def test_scores_are_probabilities_or_are_not(
    values: Any, activation: Any, is_for: bool, is_against: bool
) -> None:
    parts = found(Scores(ALL, activation), observed(values))
    assert tuple(Part.ACTIVATION in part for part in parts) == (is_for, is_against)


def test_scores_that_add_up_to_1_have_a_background_and_need_no_softmax() -> None:
    assert Part.BACKGROUND in found(Scores(ALL), observed(SHARES))[1]
    assert found(Scores(ALL, background="last"), observed(SHARES)) == ({Part.ACTIVATION}, set())
    assert Part.ACTIVATION in found(Scores(ALL, "softmax", "last"), observed(SHARES))[1]
    assert found(Scores(ALL, in_boxes=False), observed(SHARES))[1] == set()


@pytest.mark.parametrize(("column", "position"), [(0, "first"), (4, "last")])
def test_scores_whose_highest_column_is_the_same_in_most_rows_have_their_background_there(
    column: int, position: Any
) -> None:
    values = LOGITS.copy()
    values[:, column] = 9
    other = {"first": "last", "last": "first"}[position]
    assert Part.BACKGROUND in found(Scores(ALL, "softmax", position), observed(values))[0]
    assert Part.BACKGROUND not in found(Scores(ALL, "softmax", other), observed(values))[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("operator", "activation", "is_for", "is_against"),
    [
        ("Sigmoid", "none", True, False),
        ("Softmax", "sigmoid", False, True),
        ("Conv", "sigmoid", True, False),
        ("Conv", "none", False, True),
        ("Mul", "none", False, False),
    ],
)
def test_scores_operators_tell_what_they_still_need(
    operator: str, activation: Any, is_for: bool, is_against: bool
) -> None:
    parts = found(Scores(ALL, activation), observed(None, Node(operator, ("x",), ("y",))))
    assert tuple(Part.ACTIVATION in part for part in parts) == (is_for, is_against)


CENTRES = np.concatenate([RNG.uniform(100, 600, (50, 2)), RNG.uniform(5, 90, (50, 2))], axis=1)
CORNERS = np.concatenate([CENTRES[:, :2] - CENTRES[:, 2:] / 2, CENTRES[:, :2] + CENTRES[:, 2:] / 2], axis=1)


@pytest.mark.parametrize(
    ("values", "box_format", "units", "right"),
    [
        (CENTRES, "cxcywh", "pixels", True),
        (CENTRES, "xyxy", "pixels", False),
        (CENTRES, "cxcywh", "normalized", False),
        (CENTRES / 640, "cxcywh", "normalized", True),
        (CENTRES / 640, "cxcywh", "pixels", False),
        (CORNERS, "xyxy", "pixels", True),
        (CORNERS, "cxcywh", "pixels", False),
        (CORNERS / 640, "xyxy", "normalized", True),
        (CORNERS[:, [2, 1, 0, 3]], "xyxy", "pixels", False),
    ],
)
def test_boxes_in_another_format_or_other_units_are_contradicted(
    values: Any, box_format: Any, units: Any, right: bool
) -> None:
    is_for, is_against = found(Boxes(ALL, box_format, units), observed(values))
    assert (not is_against) is right
    assert not right or is_for == {Part.BOX_FORMAT, Part.UNITS}


def test_boxes_rows_of_zeros_fill_a_list_up_and_say_nothing() -> None:
    values = np.zeros((300, 4))
    assert found(Boxes(ALL, "xyxy", "pixels"), observed(values)) == (set(), set())
    values[:50] = CORNERS
    assert found(Boxes(ALL, "xyxy", "pixels"), observed(values)) == ({Part.BOX_FORMAT, Part.UNITS}, set())


@pytest.mark.parametrize("per_cell", [1, 3])
@pytest.mark.parametrize(
    ("order", "box_format"),
    [((0, 1, 2, 3), "xyxy"), ((1, 0, 3, 2), "yxyx")],
)
def test_boxes_of_a_grid_lie_about_the_cells_of_their_rows(
    order: tuple[int, ...], box_format: Any, per_cell: int
) -> None:
    cells = next(grid_orders((640, 640), (8, 16, 32), per_cell))
    sizes = cells[:, 2:] * RNG.uniform(2, 5, (len(cells), 2))
    boxes = np.concatenate([cells[:, :2] - sizes / 2, cells[:, :2] + sizes / 2], axis=1)[:, order]
    for read in ("xyxy", "yxyx", "cxcywh"):
        role = Boxes(ALL, read, "pixels", (8, 16, 32), per_cell)  # type: ignore[arg-type]
        is_for, is_against = found(role, observed(boxes))
        assert bool(is_against) is (read != box_format)
        assert Part.BOX_FORMAT in is_for or is_against


def test_boxes_whose_exporter_says_what_they_are_are_not_contradicted_by_untrained_weights() -> None:
    role = Boxes(ALL, "cxcywh", "pixels", is_told=True)
    assert found(role, observed(-CENTRES)) == ({Part.UNITS}, set())


@pytest.mark.parametrize(
    ("values", "first", "labels", "is_for", "is_against"),
    [
        ([[0], [3], [1]], 0, None, True, False),
        ([[0.5], [3], [1]], 0, None, False, True),
        ([[0], [3], [1]], 0, 3, True, True),
        ([[1], [3], [1]], 1, 3, True, False),
        ([[0], [3], [1]], 1, 3, True, True),
        ([[0], [0]], 0, None, False, False),
        ([[-2], [1]], 0, None, False, True),
    ],
)
def test_classes_are_whole_numbers_that_name_labels(
    values: Any, first: int, labels: int | None, is_for: bool, is_against: bool
) -> None:
    parts = found(Classes(ALL, first), observed(values, labels=labels))
    assert tuple(map(bool, parts)) == (is_for, is_against)


@pytest.mark.parametrize(
    ("count", "labels", "is_for", "is_against"),
    [(80, None, True, False), (7, None, False, False), (7, 7, True, False), (7, 8, False, True)],
)
def test_label_count_is_that_of_the_names(
    count: int, labels: int | None, is_for: bool, is_against: bool
) -> None:
    parts = found(LabelCount(count), observed(labels=labels))
    assert tuple(Part.COLUMNS in part for part in parts) == (is_for, is_against)


def _rows(boxes: Any, scores: Any) -> Any:
    return np.column_stack([boxes, scores, np.zeros(len(boxes))])


FINISHED = Finished(Columns("y", -1, 0, 4), Columns("y", -1, 4, 1), Columns("y", -1, 5, 1))
REPEATED = np.concatenate([CORNERS[:10]] * 5)


@pytest.mark.parametrize(
    ("boxes", "nodes", "is_for", "is_against"),
    [
        (CORNERS, [], True, False),
        (REPEATED, [], True, True),
        (REPEATED, [Node("TopK", ("x",), ("y",))], True, False),
        (np.tile(CORNERS, (30, 1)) + np.arange(1500)[:, None], [], True, True),
    ],
    ids=["apart", "repeated", "the graph has chosen", "too many"],
)
def test_finished_rows_do_not_repeat_a_box(
    boxes: Any, nodes: list[Node], is_for: bool, is_against: bool
) -> None:
    values = _rows(boxes, np.linspace(1, 0.1, len(boxes)))
    parts = found(FINISHED, observed(values, *nodes))
    assert tuple(map(bool, parts)) == (is_for, is_against)


def test_keypoints_are_places_and_a_visibility() -> None:
    places = RNG.uniform(10, 600, (20, 5, 2))
    seen = RNG.uniform(0, 1, (20, 5, 1))
    three = np.concatenate([places, seen], axis=2).reshape(20, -1)
    assert Part.COLUMNS in found(Keypoints(ALL, 3), observed(three))[0]
    assert Part.COLUMNS in found(Keypoints(ALL, 2), observed(places.reshape(20, -1)))[0]
    assert Part.COLUMNS in found(Keypoints(ALL, 3), observed(three[:, [2, 0, 1] * 5]))[1]


def test_boxes_whose_exporter_says_what_they_are_are_contradicted_by_corners_and_fractions() -> None:
    told = Boxes(ALL, "cxcywh", "pixels", is_told=True)
    assert Part.UNITS in found(told, observed(CENTRES / 640))[1]
    assert Part.BOX_FORMAT in found(told, observed(CORNERS))[1]


def test_boxes_that_all_lie_in_a_corner_of_the_input_may_be_in_other_units() -> None:
    assert Part.UNITS not in found(Boxes(ALL, "xyxy", "pixels"), observed(CORNERS / 8))[0]
