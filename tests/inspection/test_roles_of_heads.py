"""What boxes of places and scores with a background are expected to be, on small arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from postproc.inspection.evidence import Part
from postproc.inspection.graph import Graph
from postproc.inspection.labels import LabelNames
from postproc.inspection.meanings import Detects
from postproc.inspection.nodes import Node
from postproc.inspection.observed import Columns, Observed
from postproc.inspection.presets import DETR, FINISHED, RETINANET, SQUASH
from postproc.inspection.provenance import Operators
from postproc.inspection.roles import Boxes, LabelCount, Scores
from postproc.schema import EndToEndOutput, StandardOutput

ALL = Columns("y")
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(-3, 2, (40, 5))
PROBABILITIES = 1 / (1 + np.exp(-LOGITS))


def observed(values: Any = None, *nodes: Node, names: Iterable[str] = ()) -> Observed:
    labels = LabelNames(tuple(names), "the caller") if names else None
    links = Operators(nodes, frozenset({"x"}), {}, {})
    graph = Graph("net", "", (), (), {}, {}, links, (640, 640), "graph", labels)
    return Observed(graph, {} if values is None else {"y": np.asarray(values, np.float32)})


def found(role: Any, state: Observed) -> tuple[set[Part], set[Part]]:
    """Give the parts that a role speaks for, and those it speaks against."""
    items = list(role.examined(state))
    is_for, is_against = (
        {part for item in items if item.is_against is against for part in item.parts}
        for against in (False, True)
    )
    return is_for, is_against


def rows_of_anchors(first_is_x: bool) -> np.ndarray[Any, Any]:
    """Corners of nine boxes a cell, of which nobody knows the strides."""
    y, x = np.mgrid[:20, :30] + 0.5
    centres = np.stack([x, y] if first_is_x else [y, x], axis=-1).reshape(-1, 1, 2) * 20
    centres = np.broadcast_to(centres, (600, 9, 2)).reshape(-1, 2)
    sides = RNG.uniform(10, 60, centres.shape)
    return np.concatenate([centres - sides, centres + sides], axis=1)


@pytest.mark.parametrize("box_format", ["xyxy", "yxyx"])
@pytest.mark.parametrize("first_is_x", [True, False])
def test_boxes_x_changes_fastest_from_row_to_row(box_format: Any, first_is_x: bool) -> None:
    is_for, is_against = found(Boxes(ALL, box_format, "pixels"), observed(rows_of_anchors(first_is_x)))
    is_right = first_is_x == (box_format == "xyxy")
    assert (Part.BOX_FORMAT in is_for, Part.BOX_FORMAT in is_against) == (True, not is_right)


def test_boxes_in_no_order_do_not_tell_x_from_y() -> None:
    rows = RNG.permutation(rows_of_anchors(True))
    assert not any(found(Boxes(ALL, name, "pixels"), observed(rows))[1] for name in ("xyxy", "yxyx"))  # type: ignore[arg-type]


def test_boxes_that_are_all_one_are_no_evidence_for_corners() -> None:
    rows = 0.99 + RNG.uniform(0, 1e-5, (100, 4))
    rows[:, 2:] += 0.005
    assert Part.BOX_FORMAT not in found(Boxes(ALL, "xyxy", "normalized"), observed(rows))[0]
    assert Part.BOX_FORMAT not in found(Boxes(ALL, "cxcywh", "normalized"), observed(rows))[1]


def test_boxes_of_which_a_third_explode_are_normalized_still() -> None:
    rows = np.sort(RNG.uniform(0, 1, (90, 2, 2)), axis=1).reshape(90, 4)
    rows[:30, 2:] = 1e9
    assert Part.UNITS in found(Boxes(ALL, "xyxy", "normalized"), observed(rows))[0]
    assert Part.UNITS in found(Boxes(ALL, "xyxy", "pixels"), observed(rows))[1]


def test_scores_a_softmax_over_labels_of_boxes_has_a_background() -> None:
    node = Node("Softmax", ("x",), ("y",))
    assert Part.BACKGROUND in found(Scores(ALL), observed(None, node))[1]
    assert Part.BACKGROUND not in found(Scores(ALL, background="last"), observed(None, node))[1]
    assert Part.BACKGROUND not in found(Scores(ALL, in_boxes=False), observed(None, node))[1]


def test_scores_a_sigmoid_a_label_or_probabilities_of_any_sum_have_no_background() -> None:
    node = Node("Sigmoid", ("x",), ("y",))
    assert Part.BACKGROUND in found(Scores(ALL), observed(None, node))[0]
    assert Part.BACKGROUND in found(Scores(ALL), observed(PROBABILITIES))[0]
    assert Part.BACKGROUND not in found(Scores(ALL, background="last"), observed(PROBABILITIES))[0]


def test_scores_a_column_that_is_but_the_highest_is_no_background() -> None:
    values = LOGITS.copy()
    values[:, -1] = LOGITS[:, :-1].max(axis=1) + 1.5
    assert Part.BACKGROUND not in found(Scores(ALL, "softmax", "last"), observed(values))[0]
    values[:, -1] += 9
    assert Part.BACKGROUND in found(Scores(ALL, "softmax", "last"), observed(values))[0]
    assert Part.BACKGROUND not in found(Scores(ALL, "sigmoid", "last"), observed(values))[0]


def test_scores_places_in_pixels_are_no_logits() -> None:
    assert Part.ACTIVATION in found(Scores(ALL, "sigmoid"), observed(RNG.uniform(0, 320, (40, 4))))[1]
    assert Part.ACTIVATION in found(Scores(ALL, "sigmoid"), observed(RNG.uniform(-9, 9, (40, 4))))[0]


@pytest.mark.parametrize(("position", "other"), [("first", "last"), ("last", "first")])
def test_label_count_a_name_tells_where_the_background_is(position: Any, other: Any) -> None:
    names = ["__background__", "cat", "dog"] if position == "first" else ["cat", "dog", "BACKGROUND"]
    state = observed(names=names)
    assert found(LabelCount(2, position), state) == ({Part.COLUMNS, Part.BACKGROUND}, set())
    assert Part.BACKGROUND in found(LabelCount(2, other), state)[1]


def test_detects_with_and_without_nms_or_another_size_are_different_answers() -> None:
    output = StandardOutput(boxes_tensor="boxes", scores_tensor="scores")
    meanings = [
        Detects(output, 2, RETINANET, SQUASH),
        Detects(output, 2, DETR, SQUASH),
        Detects(output, 2, DETR, SQUASH, in_pixels=True),
        Detects(output, 2, DETR, SQUASH, size_tensor="im_info"),
    ]
    assert len({meaning.key for meaning in meanings}) == len(meanings)
    kinds = [meaning.values[Part.KIND] for meaning in meanings[:2]]
    assert kinds == ["standard_output", "standard_output without NMS"]
    finished = EndToEndOutput(output_tensor="rows")
    assert Detects(finished, None, FINISHED, SQUASH).values[Part.KIND] == "end_to_end_output"
    assert Detects(finished, None, RETINANET, SQUASH).values[Part.KIND] == "end_to_end_output with NMS"
