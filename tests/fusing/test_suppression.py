"""Suppression: chains, the rounds it takes, and ranks where a runtime's TopK is not stable."""

from __future__ import annotations

import numpy as np
import pytest

from postproc.fusing import FuseOptions, to_onnx
from postproc.fusing.graph import Graph
from postproc.fusing.selection import ranked
from tests.fusing.graphs import chain, run, run_part, table, yolov8

COUNT = 120


@pytest.mark.parametrize("nms", ["loop", "operator"])
def test_chain_of_suppressions_ends_at_the_greedy_answer(nms: str) -> None:
    post = yolov8(nms_threshold=0.5)
    tensor = table(*chain(COUNT))
    found = run(to_onnx(post, {"output0": tensor.shape}, FuseOptions(nms=nms)), {"output0": tensor})  # type: ignore[arg-type]
    expected = post({"output0": tensor}).outputs[0]
    assert 1 < len(expected.scores) < COUNT
    count = found["count"][0]
    assert count == len(expected.scores)
    assert found["complete"][0]
    np.testing.assert_array_equal(found["regions"][0, :count], expected.regions)


def test_too_few_rounds_give_the_first_rows_and_say_so() -> None:
    post = yolov8(nms_threshold=0.5)
    tensor = table(*chain(COUNT))
    expected = post({"output0": tensor}).outputs[0]
    counts = []
    for rounds in (1, 2, 5, 20, COUNT):
        options = FuseOptions(nms="rounds", rounds=rounds)
        found = run(to_onnx(post, {"output0": tensor.shape}, options), {"output0": tensor})
        count = found["count"][0]
        np.testing.assert_array_equal(found["regions"][0, :count], expected.regions[:count])
        assert bool(found["complete"][0]) == (count == len(expected.scores))
        counts.append(int(count))
    assert counts == sorted(counts)
    assert counts[0] < counts[-1] == len(expected.scores)


def test_boxes_without_an_area_and_flipped_ones_suppress_nothing_by_the_operator() -> None:
    boxes = np.array(
        [[0.6, 0.6, 0.2, 0.2], [0.2, 0.2, 0.6, 0.6], [0.2, 0.2, 0.2, 0.6], [0.21, 0.2, 0.6, 0.6]]
    )
    post, tensor = yolov8(nms_threshold=0.1), table(boxes, np.array([0.9, 0.8, 0.7, 0.6]))
    found = run(to_onnx(post, {"output0": tensor.shape}, FuseOptions(nms="operator")), {"output0": tensor})
    assert found["regions"][0, : found["count"][0]].tolist() == [1]
    assert post({"output0": tensor}).outputs[0].regions.tolist() == [1]


def test_candidates_are_ranked_again_where_equals_come_in_any_order() -> None:
    scores = np.array([[0.9, 0.5, 0.5, 0.5, -1.0, -1.0]], np.float32)
    orders = np.array([[7, 30, 4, 11, 2, 1]], np.int64)
    g = Graph(17)
    (places,) = run_part(g, {"scores": scores, "orders": orders}, ranked(g, "scores", "orders", 6))
    assert orders[0, places[0]].tolist() == [7, 4, 11, 30, 1, 2]
