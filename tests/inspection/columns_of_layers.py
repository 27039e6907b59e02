"""A graph whose output joins columns of a layer, each part with operators of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

from postproc.inspection.graph_file import read_graph
from postproc.inspection.observed import Observed

SIDE, STRIDE = 64, 16
CELLS = (SIDE // STRIDE) ** 2


def observed_columns(
    folder: Path, parts: Sequence[tuple[int, Sequence[str]]], rows: Sequence[Sequence[float]] | None = None
) -> Observed:
    """Give a graph with one output (1, N, columns), and a run that gave some rows.

    Each part is its number of columns, and the operators after the layer: ``Add`` and so on take a constant.
    The rows come from a Reshape whose sizes the graph computes, as TorchScript writes it.
    """
    count = sum(columns for columns, _ in parts)
    constants = {
        "weights": np.zeros((count, 3, STRIDE, STRIDE), np.float32),
        "one": np.float32([1]),
        "first": np.array([0], np.int64),
        "two": np.array([2], np.int64),
        "rest": np.array([-1], np.int64),
        "sizes": np.array([columns for columns, _ in parts], np.int64),
    }
    names = [f"part{row}" for row in range(len(parts))]
    nodes = [
        helper.make_node("Conv", ["images", "weights"], ["grid"], strides=[STRIDE, STRIDE]),
        helper.make_node("Shape", ["grid"], ["shape"]),
        helper.make_node("Slice", ["shape", "first", "two"], ["outer"]),
        helper.make_node("Concat", ["outer", "rest"], ["flat"], axis=0),
        helper.make_node("Reshape", ["grid", "flat"], ["channels"]),
        helper.make_node("Transpose", ["channels"], ["rows"], perm=[0, 2, 1]),
        helper.make_node("Split", ["rows", "sizes"], names, axis=2),
    ]
    for row, (_, operators) in enumerate(parts):
        for operator in operators:
            inputs = [names[row]] if operator in ("Exp", "Sigmoid") else [names[row], "one"]
            names[row] += operator
            nodes.append(helper.make_node(operator, inputs, [names[row]]))
    nodes.append(helper.make_node("Concat", names, ["table"], axis=2))
    graph = helper.make_graph(
        nodes,
        "table",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("table", TensorProto.FLOAT, ["batch", "cells", "columns"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    path = folder / "network.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return Observed(read_graph(path), {} if rows is None else {"table": np.float32([rows])})
