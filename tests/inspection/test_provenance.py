"""Which operators computed each column of an output, through what only moves numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from postproc.inspection.graph_file import read_graph
from tests.models import network

WEIGHTS = {
    "w": np.zeros((6, 3, 1, 1), np.float32),
    "two": np.array([2, 4], np.int64),
    "flat": np.array([1, 6, 16], np.int64),
    "anchors": np.array([1, 3, 6, 4, 4], np.int64),
    "starts": np.array([2], np.int64),
    "ends": np.array([1 << 62], np.int64),
    "axes": np.array([1], np.int64),
    "picked": np.array([5, 0], np.int64),
    "chosen": np.zeros((1, 6, 2, 4), np.int64),
}
LAYER = helper.make_node("Conv", ["x", "w"], ["layer"])


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    return helper.make_node(operator, inputs.split(), outputs.split(), **attributes)


SPLIT = [
    LAYER,
    node("Split", "layer two", "box logits", axis=1),
    node("Mul", "box box", "boxes"),
    node("Sigmoid", "logits", "scores"),
]
PACKED = [*SPLIT, node("Concat", "boxes scores", "packed", axis=1)]
BOXES, SCORES = {"Mul"}, {"Sigmoid"}


@pytest.mark.parametrize(
    ("nodes", "axis", "expected"),
    [
        pytest.param([*PACKED, node("Identity", "packed", "y")], 1, [BOXES] * 2 + [SCORES] * 4, id="packed"),
        pytest.param(
            [*PACKED, node("Reshape", "packed flat", "y")], 1, [BOXES] * 2 + [SCORES] * 4, id="flattened"
        ),
        pytest.param(
            [*PACKED, node("Transpose", "packed", "y", perm=[0, 2, 3, 1])],
            -1,
            [BOXES] * 2 + [SCORES] * 4,
            id="transposed",
        ),
        pytest.param(
            [*PACKED, node("Slice", "packed starts ends axes", "y")], 1, [SCORES] * 4, id="columns cut off"
        ),
        pytest.param(
            [*PACKED, node("Gather", "packed picked", "y", axis=1)], 1, [SCORES, BOXES], id="gathered"
        ),
        pytest.param(
            [*PACKED, node("GatherElements", "packed chosen", "y", axis=2)],
            1,
            [BOXES] * 2 + [SCORES] * 4,
            id="chosen",
        ),
        pytest.param(
            [*PACKED, node("Concat", "packed packed", "y", axis=2)], 1, [BOXES] * 2 + [SCORES] * 4, id="grids"
        ),
        pytest.param(
            [*PACKED, node("Concat", "packed layer", "y", axis=2)],
            1,
            [{"Mul", "Conv"}] * 2 + [{"Sigmoid", "Conv"}] * 4,
            id="unlike grids",
        ),
        pytest.param(
            [
                *PACKED,
                node("Concat", "packed packed packed", "three", axis=1),
                node("Reshape", "three anchors", "y"),
            ],
            2,
            [BOXES] * 2 + [SCORES] * 4,
            id="three anchors",
        ),
        pytest.param([*PACKED, node("Mul", "packed packed", "y")], 1, [BOXES] * 6, id="computed after all"),
        pytest.param([*PACKED, node("Softmax", "packed", "y", axis=1)], 1, [{"Softmax"}] * 6, id="softmax"),
    ],
)
def test_columns_are_followed_through_what_moves_them(
    nodes: Sequence[Any], axis: int, expected: list[set[str]], tmp_path: Path
) -> None:
    assert _columns(nodes, axis, tmp_path) == expected


def _columns(nodes: Sequence[Any], axis: int, folder: Path) -> list[set[str]]:
    model = network(nodes, {"x": (np.float32, (1, 3, 4, 4))}, {"y": (np.float32, ["any"])}, WEIGHTS)
    (folder / "net.onnx").write_bytes(model)
    found = read_graph(folder / "net.onnx").links.columns("y", axis)
    assert found is not None
    return [set(column) for column in found]
