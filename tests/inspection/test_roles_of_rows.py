"""Roles of finished rows: where classes begin, what repeats, and what the graph tells of columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from postproc.inspection.evidence import Part
from postproc.inspection.graph_file import read_graph
from postproc.inspection.nodes import Node
from postproc.inspection.observed import Columns
from postproc.inspection.provenance import Operators
from postproc.inspection.roles import Classes, Exclusion, Finished, Images
from postproc.inspection.roles.classes import first_class, labels_behind
from tests.inspection.observing import (
    CHOOSING,
    CORNERS,
    SCORES,
    found_by,
    observed,
    packed,
)
from tests.models import network

ALL = Columns("y")
SIGMOID = (Node("Sigmoid", ("a",), ("y",)),)


@pytest.mark.parametrize(
    ("operator", "first", "is_for"), [("Mod", 0, True), ("ArgMax", 0, True), ("Mod", 1, False)]
)
def test_classes_that_are_indices_count_from_0(operator: str, first: int, is_for: bool) -> None:
    state = observed({"y": np.zeros(0, np.int64)}, [Node(operator, ("a", "b"), ("y",))])
    assert (Part.LABEL_OFFSET in found_by(Classes(ALL, first), state)[0]) is is_for


def test_classes_of_rows_that_fill_a_list_up_do_not_count() -> None:
    rows = np.array([[0.9, 3], [0.5, 1], [0, 0], [0, 0]])
    scores = Columns("y", -1, 0, 1)
    state = observed({"y": rows})
    assert not found_by(Classes(Columns("y", -1, 1, 1), 1, scores), state)[1]
    assert found_by(Classes(Columns("y", -1, 1, 1), 1), state)[1] == {Part.LABEL_OFFSET}


def test_classes_are_not_what_an_activation_gives() -> None:
    assert Part.COLUMNS in found_by(Classes(ALL), observed({"y": np.ones((3, 1))}, SIGMOID))[1]


@pytest.mark.parametrize("is_suppressed", [True, False])
def test_finished_rows_that_repeat_a_box_are_candidates(is_suppressed: bool) -> None:
    boxes, scores, classes = Columns("y", -1, 0, 4), Columns("y", -1, 4, 1), Columns("y", -1, 5, 1)
    repeated = packed("box", "score", "class", box=np.tile(CORNERS[:1], (300, 1)), score=SCORES[::-1])
    role = Finished(boxes, scores, classes, is_suppressed=is_suppressed)
    for_it, against_it = found_by(role, observed({"y": repeated}))
    assert (Part.KIND in for_it, Part.KIND in against_it) == (not is_suppressed, is_suppressed)
    for_it, against_it = found_by(role, observed({"y": repeated}, CHOOSING))
    assert (Part.KIND in for_it, Part.KIND in against_it) == (is_suppressed, not is_suppressed)


def test_finished_rows_of_an_untrained_network_may_all_have_score_1() -> None:
    boxes, scores, classes = Columns("y", -1, 0, 4), Columns("y", -1, 4, 1), Columns("y", -1, 5, 1)
    role = Finished(boxes, scores, classes)
    for score, is_for in ((1.0, True), (3.0, False), (0.0, False)):
        rows = packed("box", "score", "class", score=np.full((300, 1), score))
        assert (Part.ACTIVATION in found_by(role, observed({"y": rows}))[0]) is is_for


def test_images_are_0_in_a_run_of_one() -> None:
    assert found_by(Images(ALL), observed({"y": np.zeros((4, 1))})) == ({Part.COLUMNS}, set())
    assert found_by(Images(ALL), observed({"y": np.array([[0], [1]])}))[1] == {Part.COLUMNS}


def test_exclusion_of_one_number_is_a_yes_or_no() -> None:
    one = Columns("y", 1, 0, 1)
    state = observed({"y": np.array([[3.0]])})
    assert found_by(Exclusion(one, "softmax", True), state)[1] == {Part.ACTIVATION}
    assert found_by(Exclusion(one, "sigmoid", False), state)[0] == {Part.ACTIVATION}


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    return helper.make_node(operator, inputs.split(), outputs.split(), **attributes)


CONSTANTS = {
    "w": np.zeros((7, 3, 1, 1), np.float32),
    "flat": np.array([1, -1], np.int64),
    "k": np.array([5], np.int64),
    "seven": np.array(7, np.int64),
    "zero": np.array(0, np.int64),
    "one": np.array(1, np.int64),
    "ones": np.array([1], np.int64),
    "last": np.array([1 << 62], np.int64),
    "length": np.array([5], np.int64),
}
BEST = [
    node("Conv", "x w", "layer"),
    node("Sigmoid", "layer", "scores"),
    node("Reshape", "scores flat", "list"),
    node("TopK", "list k", "best index"),
]
FILLED = helper.make_tensor("value", 7, [1], [2])


def links_of(tmp_path: Path, nodes: Sequence[Any], dtype: Any = np.int64, rank: int = 2) -> Operators:
    path = tmp_path / "net.onnx"
    outputs = {"y": (dtype, tuple("abcd"[:rank]))}
    path.write_bytes(network(nodes, {"x": (np.float32, (1, 3, 4, 4))}, outputs, CONSTANTS))
    return read_graph(path).links


@pytest.mark.parametrize(
    ("nodes", "rank", "first", "labels"),
    [
        ([*BEST, node("Mod", "index seven", "y")], 2, None, 7),
        ([*BEST, node("Mod", "index seven", "m"), node("Add", "m one", "y")], 2, 1, 7),
        ([node("Range", "zero seven one", "r"), node("Slice", "r ones last", "y")], 1, 1, None),
        ([node("Range", "zero seven one", "y")], 1, 0, None),
        (
            [
                node("ConstantOfShape", "length", "p", value=helper.make_tensor("value", 7, [1], [1])),
                node("ConstantOfShape", "length", "q", value=FILLED),
                node("Concat", "p q", "y", axis=0),
            ],
            1,
            1,
            None,
        ),
        ([*BEST, node("Add", "index index", "y")], 2, None, None),
    ],
    ids=["rest", "rest plus 1", "list without 0", "list", "filled", "sum"],
)
def test_classes_begin_where_the_graph_says(
    tmp_path: Path, nodes: Sequence[Any], rank: int, first: int | None, labels: int | None
) -> None:
    links = links_of(tmp_path, nodes, rank=rank)
    assert first_class(links, "y") == first
    assert labels_behind(links, "y", "y") == labels


def test_columns_of_integers_and_joined_boxes_are_told_apart(tmp_path: Path) -> None:
    joined = [
        *BEST,
        node("Mod", "index seven", "m"),
        node("Cast", "m", "c", to=1),
        node("Concat", "best best c", "y", axis=1),
    ]
    links = links_of(tmp_path, joined, np.float32)
    state = observed({"y": np.zeros((1, 15))})
    state = replace(state, graph=replace(state.graph, links=links))
    assert links.parts("y", -1) == (("best", 5), ("best", 5), ("c", 5))
    assert state.sources(Columns("y", 1, 0, 5)) == {"Sigmoid"}  # a TopK moves its numbers only
    assert state.has_integers(Columns("y", 1, 10, 1))
    assert not state.has_integers(Columns("y", 1, 9, 1))
    assert state.has_fractions(Columns("y", 1, 9, 1))
    torn = [state.is_torn(Columns("y", 1, first, 4)) for first in (0, 1, 2, 5, 8, 11)]
    assert torn == [False, False, True, False, True, False]
