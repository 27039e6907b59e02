"""Heads of distances: what tells them from boxes and grids with anchors, and what speaks for a part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from postproc.inspection import Inspection, inspect_model
from postproc.inspection.evidence import Part, Source
from tests.inspection.exports import distances
from tests.inspection.exports.building import Builder, Value, grid_of

SIDE, STRIDES = 320, (8, 16, 32)


def inspected(folder: Path, model: bytes, run: bool = True) -> Inspection:
    path = folder / "network.onnx"
    path.write_bytes(model)
    return inspect_model(path, run=run)


def said_against(found: Inspection, part: str) -> bool:
    texts = [item.text for reading in found.refuted for item in reading.contradictions]
    return any(part in text for text in texts)


def of_levels(made: Callable[[Value, int], list[tuple[Value, int]]]) -> bytes:
    """A network with some outputs (B, C, H, W) for each stride."""
    graph = Builder()
    for stride in STRIDES:
        side = SIDE // stride
        for row, (value, channels) in enumerate(made(graph.features(stride), stride)):
            graph.output(f"{stride}_{row}", value, (1, channels, side, side))
    return graph.model()


def kinds(found: Inspection) -> set[str]:
    return {proposal.kind for proposal in found.proposals}


def test_inspect_says_for_each_part_of_a_head_what_speaks_for_it(tmp_path: Path) -> None:
    found = inspected(tmp_path, distances.last_layers())
    assert found.decided is not None
    reading = found.decided.reading
    assert Source.OPERATORS in reading.sources(Part.COLUMNS)
    assert Source.SHAPES in reading.sources(Part.CELL_OFFSET)
    assert reading.values[Part.CELL_OFFSET] == "0.5"
    assert any("cell_offset" in check for check in found.decided.checks)
    assert Part.DISTANCES not in reading.values  # nothing goes over bins


def test_inspect_without_a_run_reads_bins_by_what_joins_them(tmp_path: Path) -> None:
    found = inspected(tmp_path, distances.last_layers(labels=7), run=False)
    assert found.decided is not None
    assert found.decided.kind == "distance_output"


def test_inspect_where_the_place_of_a_cell_is_not_told_saves_nothing_unasked(tmp_path: Path) -> None:
    found = inspected(tmp_path, distances.last_layers(17, 7, True, True))
    assert found.decided is None
    offsets = {proposal.reading.values[Part.CELL_OFFSET] for proposal in found.proposals}
    assert offsets == {"0", "0.5"}
    assert kinds(found) == {"distance_output"}


def test_inspect_decoded_boxes_are_no_distances(tmp_path: Path) -> None:
    graph = Builder()
    parts, places = [], []
    for stride in STRIDES:
        parts.append(graph.features(stride).conv(4, bias=1.5).op("Relu").reshape(0, 4, -1))
        centres, scales = grid_of((SIDE, SIDE), [stride])
        places.append((centres * scales).transpose(0, 2, 1))
    first, second = graph.concat(*parts, axis=2).split(2, 2, axis=1)
    cells = np.concatenate(places, axis=2)
    boxes = graph.concat(graph.constant(cells) - first, graph.constant(cells) + second, axis=1)
    scores = graph.concat(
        *(graph.features(stride).conv(7, bias=-3).sigmoid().reshape(0, 7, -1) for stride in STRIDES), axis=2
    )
    rows = graph.concat(boxes, scores, axis=1)
    graph.output("output", rows, (1, 11, cells.shape[2]))
    found = inspected(tmp_path, graph.model())
    assert kinds(found) == {"yolov8_output"}
    assert said_against(found, "went through Sub")


def test_inspect_columns_of_one_layer_are_no_distances_and_scores(tmp_path: Path) -> None:
    found = inspected(tmp_path, of_levels(lambda x, stride: [(x.conv(71, gain=2), 71)]))
    assert "distance_output" not in kinds(found)
    assert said_against(found, "layers give 71 of its columns")


def test_inspect_objectness_of_yolox_is_no_centredness(tmp_path: Path) -> None:
    found = inspected(
        tmp_path, of_levels(lambda x, stride: [(x.conv(n, gain=2, bias=-1), n) for n in (7, 4, 1)])
    )
    assert "distance_output" not in kinds(found)


@pytest.mark.parametrize("is_sum", [True, False])
def test_inspect_sum_of_scores_is_told_from_another_factor(is_sum: bool, tmp_path: Path) -> None:
    def made(x: Value, stride: int) -> list[tuple[Value, int]]:
        scores = x.conv(7, gain=2, bias=-3).sigmoid()
        summed = scores.op("ReduceSum", np.array([1], np.int64), keepdims=1).op("Clip", 0.0, 1.0)
        other = summed if is_sum else x.conv(1, gain=2).sigmoid()
        return [(x.conv(64, gain=2), 64), (scores, 7), (other, 1)]

    found = inspected(tmp_path, of_levels(made))
    fields = [proposal.version.dump()["post_processings"][0]["detection"] for proposal in found.proposals]
    outputs = [detection["distance_output"] for detection in fields if "distance_output" in detection]
    assert outputs
    assert all(("score_sum_tensors" in output) is is_sum for output in outputs)


def test_inspect_distances_times_their_stride_are_in_pixels(tmp_path: Path) -> None:
    model = of_levels(lambda x, stride: [(x.conv(7, gain=2, bias=-2), 7), (x.conv(4) * float(stride), 4)])
    found = inspected(tmp_path, model)
    assert {proposal.reading.values[Part.UNITS] for proposal in found.proposals} == {"pixels"}
    assert said_against(found, "the graph multiplies it by its stride, 16")


@pytest.mark.parametrize("run", [True, False])
def test_inspect_takes_the_size_of_the_cells_that_a_graph_with_free_axes_has(
    run: bool, tmp_path: Path
) -> None:
    """NanoDet traced at 160x160: a channel shuffle holds the sides of its maps."""
    graph, side = Builder((1, 3, "height", "width"), name="data"), 160
    parts = []
    for stride in STRIDES:
        cells = side // stride
        x = graph.features(stride, "LeakyRelu")
        shuffled = x.reshape(1, 2, 6, cells, cells).transpose(0, 2, 1, 3, 4).reshape(1, 12, cells, cells)
        x = graph.noted(shuffled, 12)
        joined = graph.concat(x.conv(7, gain=2.5, bias=-4).sigmoid(), x.conv(32, gain=2), axis=1)
        parts.append(joined.reshape(0, 39, -1))
    rows = graph.concat(*parts, axis=2).transpose(0, 2, 1)
    graph.output("output", rows, (1, "cells", 39))
    found = inspected(tmp_path, graph.model(), run)
    assert (found.graph.input_size, found.was_run) == ((side, side), run)
    assert kinds(found) == {"distance_output"}
    assert any("cells of 160x160" in check for proposal in found.proposals for check in proposal.checks)


@pytest.mark.parametrize("labels", [1, 7, 80])
@pytest.mark.parametrize("is_sigmoid", [True, False])
def test_inspect_levels_of_boxes_objectness_and_scores_are_yolox(
    labels: int, is_sigmoid: bool, tmp_path: Path
) -> None:
    def made(x: Value, stride: int) -> list[tuple[Value, int]]:
        boxes, *others = (x.conv(n, gain=2, bias=-1) for n in (4, 1, labels))
        factors = [value.sigmoid() if is_sigmoid else value for value in others]
        return list(zip([boxes, *factors], (4, 1, labels), strict=True))

    found = inspected(tmp_path, of_levels(made))
    assert found.decided is not None
    assert found.decided.kind == "yolox_output"
    output = found.decided.version.dump()["post_processings"][0]["detection"]["yolox_output"]
    assert output["boxes_tensors"] == ["8_0", "16_0", "32_0"]
    assert output.get("score_activation", "none") == ("none" if is_sigmoid else "sigmoid")
    if labels > 1:
        assert output["objectness_tensors"] == ["8_1", "16_1", "32_1"]


def test_inspect_levels_of_four_logits_may_be_boxes_or_scores(tmp_path: Path) -> None:
    found = inspected(
        tmp_path, of_levels(lambda x, stride: [(x.conv(n, gain=2, bias=-1), n) for n in (4, 4, 1)])
    )
    assert kinds(found) == {"yolox_output"}
    assert found.decided is None


@pytest.mark.parametrize("activation", ["Exp", "Relu"])
def test_inspect_levels_with_activated_distances_are_no_yolox(activation: str, tmp_path: Path) -> None:
    model = of_levels(
        lambda x, stride: [
            (x.conv(7, gain=2, bias=-3), 7),
            (x.conv(4).op(activation), 4),
            (x.conv(1, gain=2), 1),
        ]
    )
    assert kinds(inspected(tmp_path, model)) == {"distance_output"}


@pytest.mark.parametrize(("is_scaled", "is_shared"), [(True, True), (False, True), (False, False)])
def test_inspect_levels_of_one_layer_are_no_yolox(is_scaled: bool, is_shared: bool, tmp_path: Path) -> None:
    """FCOS cut before its activation: one head for all levels, and a factor of its own for each."""
    rng, weights = np.random.default_rng(0), {}

    def layer(x: Value, count: int) -> Value:
        if count not in weights or not is_shared:
            weights[count] = x.graph.constant(rng.normal(0, 0.6, (count, 12, 1, 1)).astype(np.float32))
        return x.op("Conv", weights[count], np.full(count, -1, np.float32), kernel_shape=[1, 1])

    def made(x: Value, stride: int) -> list[tuple[Value, int]]:
        distances = layer(x, 4)
        scaled = distances * (1.0 + stride / 100) if is_scaled else distances
        return [(layer(x, 7), 7), (scaled, 4), (layer(x, 1), 1)]

    found = inspected(tmp_path, of_levels(made))
    assert kinds(found) == {"distance_output" if is_shared else "yolox_output"}
    assert said_against(found, "are from one layer, as FCOS's distances") is is_shared


def test_inspect_levels_with_sums_of_scores_are_no_yolox(tmp_path: Path) -> None:
    def made(x: Value, stride: int) -> list[tuple[Value, int]]:
        scores = x.conv(7, gain=2, bias=-3).sigmoid()
        summed = scores.op("ReduceSum", np.array([1], np.int64), keepdims=1).op("Clip", 0.0, 1.0)
        return [(x.conv(4, bias=1), 4), (scores, 7), (summed, 1)]

    assert kinds(inspected(tmp_path, of_levels(made))) == {"distance_output"}
