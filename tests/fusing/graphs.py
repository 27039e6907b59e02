"""Graphs run in ONNX Runtime, for tests of single parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto, helper

from postproc import PostProcessor, Yolov8Output
from postproc.fusing.graph import Graph, Value

Array = NDArray[Any]


def run(model: ModelProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Run a model on the CPU; its outputs by name."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def run_part(g: Graph, feeds: Mapping[str, Array], *wanted: Value) -> list[Array]:
    """Run nodes of a graph on values that they name."""
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in feeds.items()
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in wanted]
    model = helper.make_model(
        helper.make_graph(g.nodes, "part", inputs, outputs, g.initializers),
        opset_imports=[helper.make_opsetid("", g.opset)],
        ir_version=8,
    )
    found = run(model, feeds)
    return [found[name] for name in wanted]


def yolov8(labels: int = 1, name: str = "output0", **decision: Any) -> PostProcessor:
    """Make a post-processor of one table, whose boxes are corners in [0, 1]."""
    output = Yolov8Output(output_tensor=name, box_format="xyxy", coordinates="normalized")
    names = [f"label {row}" for row in range(labels)]
    return PostProcessor.for_detection(names, output, **{"thresholds": 0.3, **decision})


def table(boxes: Array, scores: Array) -> Array:
    """Table (1, 4 + L, N) of boxes (N, 4) and scores (N,) or (N, L)."""
    rows = np.concatenate([boxes, scores.reshape(len(boxes), -1)], axis=1)
    return np.ascontiguousarray(rows.T[None].astype(np.float32))


def chain(count: int) -> tuple[Array, Array]:
    """Boxes in a row, each of which overlaps the next one by just more than a half, best first."""
    left = np.arange(count) * 0.3 / count
    boxes = np.stack([left, np.zeros(count), left + 1.0 / count, np.ones(count)], axis=1)
    return boxes.astype(np.float32), np.linspace(0.9, 0.4, count).astype(np.float32)
