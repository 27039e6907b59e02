"""When a graph says that its rows are all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from postproc.fusing import FuseOptions, to_onnx
from tests.fusing.graphs import Array, run, table, yolov8


def apart(count: int) -> Array:
    """Boxes that do not overlap."""
    left = np.arange(count) / count
    return np.stack([left, left * 0, left + 0.5 / count, left * 0 + 1], axis=1)


def found(scores: Any, candidates: int, rows: int, **decision: Any) -> tuple[list[int], bool]:
    post = yolov8(**decision)
    tensor = table(apart(len(scores)), np.array(scores))
    options = FuseOptions(candidates=candidates, max_predictions=rows)
    values = run(to_onnx(post, {"output0": tensor.shape}, options), {"output0": tensor})
    return values["regions"][0, : values["count"][0]].tolist(), bool(values["complete"][0])


@pytest.mark.parametrize(
    ("scores", "candidates", "rows", "expected", "complete"),
    [
        ([0.4, 0.5, 0.2], 2, 2, [1, 0], True),  # no more pass
        ([0.4, 0.5, 0.6], 3, 3, [2, 1, 0], True),
        ([0.4, 0.5, 0.6, 0.7], 3, 2, [3, 2], True),  # full, above the third
        ([0.4, 0.5, 0.6, 0.7], 3, 3, [3, 2, 1], True),  # full, and the fourth is no equal of the third
        ([0.4, 0.5, 0.5, 0.5, 0.7, 0.1], 3, 2, [4], False),  # any of equals
        ([0.4, 0.5, 0.5, 0.5, 0.7, 0.1], 4, 2, [4, 1], True),
        ([0.4, 0.5, 0.5, 0.5, 0.7, 0.1], 4, 4, [4, 1, 2, 3], True),
        ([0.5, 0.5, 0.5, 0.5], 3, 3, [], False),
        ([0.4, 0.3, 0.3], 1, 1, [0], True),  # a score at the threshold does not pass
    ],
)
def test_rows_are_all_or_above_the_last_candidate(
    scores: list[float], candidates: int, rows: int, expected: list[int], complete: bool
) -> None:
    assert found(scores, candidates, rows) == (expected, complete)


def test_suppressed_candidates_leave_it_open_what_comes_after_the_last() -> None:
    boxes = np.repeat(apart(2), 3, axis=0)
    post, tensor = yolov8(), table(boxes, np.linspace(0.9, 0.4, 6))
    for candidates, regions, complete in ((3, [0], False), (4, [0, 3], True), (6, [0, 3], True)):
        options = FuseOptions(candidates=candidates, max_predictions=2)
        values = run(to_onnx(post, {"output0": tensor.shape}, options), {"output0": tensor})
        assert values["regions"][0, : values["count"][0]].tolist() == regions
        assert bool(values["complete"][0]) == complete


def test_rows_are_padded_where_candidates_are_fewer() -> None:
    post, tensor = yolov8(labels=2), table(apart(2), np.array([[0.9, 0.1], [0.1, 0.8]]))
    values = run(to_onnx(post, {"output0": tensor.shape}), {"output0": tensor})
    assert {name: array.shape for name, array in values.items()} == {
        "boxes": (1, 100, 4),
        "scores": (1, 100),
        "labels": (1, 100),
        "regions": (1, 100),
        "count": (1,),
        "complete": (1,),
    }
    assert values["count"].tolist() == [2]
    for name, padding in {"boxes": 0, "scores": 0, "labels": -1, "regions": -1}.items():
        assert (values[name][:, 2:] == padding).all()
