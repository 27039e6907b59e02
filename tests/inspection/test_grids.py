"""Grids: networks whose outputs have some numbers for each cell, told by strides, order and layers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from postproc.inspection.graph_file import read_graph
from postproc.inspection.observed import Observed
from postproc.inspection.readings import Conclusion, concluded
from postproc.inspection.recognisers.anchor_grids import anchor_grids
from postproc.inspection.recognisers.distances import distances
from postproc.inspection.recognisers.levels import levels

SIDE = 64


def grids(
    folder: Path,
    heads: Sequence[tuple[int, Sequence[int]]],
    activation: str = "LeakyRelu",
    *,
    is_joined: bool = False,
    sigmoid: bool = False,
    names: Sequence[str] = (),
) -> Conclusion:
    """Weigh a network of outputs (B, C, H, W): of each stride the channels, joined to one or apart."""
    nodes, constants, outputs = [], [], []
    for stride, channels in heads:
        constants.append(
            numpy_helper.from_array(np.zeros((4, 3, stride, stride), np.float32), f"weights{stride}")
        )
        nodes.append(
            helper.make_node("Conv", ["images", f"weights{stride}"], [f"x{stride}"], strides=[stride] * 2)
        )
        if activation == "SiLU":
            nodes.append(helper.make_node("Sigmoid", [f"x{stride}"], [f"gate{stride}"]))
            nodes.append(helper.make_node("Mul", [f"x{stride}", f"gate{stride}"], [f"y{stride}"]))
        else:
            nodes.append(helper.make_node(activation, [f"x{stride}"], [f"y{stride}"]))
        parts = []
        for row, count in enumerate(channels):
            name = f"grid{stride}_{row}"
            constants.append(numpy_helper.from_array(np.zeros((count, 4, 1, 1), np.float32), f"{name}_w"))
            nodes.append(helper.make_node("Conv", [f"y{stride}", f"{name}_w"], [name]))
            if sigmoid:
                nodes.append(helper.make_node("Sigmoid", [name], [f"{name}_sigmoid"]))
                name += "_sigmoid"
            parts.append(name)
        if is_joined:
            nodes.append(helper.make_node("Concat", parts, [f"joined{stride}"], axis=1))
            parts = [f"joined{stride}"]
        outputs += parts
    named = dict(zip(outputs, names, strict=False))
    for node in nodes:
        node.output[0] = named.get(node.output[0], node.output[0])
    infos = [
        helper.make_tensor_value_info(named.get(name, name), TensorProto.FLOAT, [None] * 4)
        for name in outputs
    ]
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    graph = helper.make_graph(nodes, "grids", [image], infos, constants)
    path = folder / "network.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    observed = Observed(read_graph(path))
    return concluded([*anchor_grids(observed), *distances(observed), *levels(observed)], observed)


def kinds(conclusion: Conclusion) -> set[str]:
    """Name what is left: the kind of a document, or the network that none expresses."""
    return {next(iter(reading.values.values())) for reading in conclusion.best}


OF_V5 = "yolov3_output with the box_coding of YOLOv5"
COARSE_FIRST = [(32, [255]), (16, [255]), (8, [255])]
FINE_FIRST = COARSE_FIRST[::-1]


def test_inspect_grids_with_darknets_activation_and_order_are_yolov3s(tmp_path: Path) -> None:
    assert kinds(grids(tmp_path, COARSE_FIRST)) == {"yolov3_output"}


def test_inspect_grids_with_silu_and_yolov5s_order_are_not_yolov3s(tmp_path: Path) -> None:
    assert kinds(grids(tmp_path, FINE_FIRST, "SiLU")) == {OF_V5}


def test_inspect_grids_whose_order_and_activation_disagree_are_undecided(tmp_path: Path) -> None:
    left = kinds(grids(tmp_path, FINE_FIRST))
    assert left == {"yolov3_output", OF_V5}


def test_inspect_grids_of_yolov4_take_its_scales_by_their_strides(tmp_path: Path) -> None:
    conclusion = grids(tmp_path, FINE_FIRST, "Mish")
    (reading,) = conclusion.best
    assert reading.network == "YOLOv4"
    assert reading.meaning is not None
    assert reading.meaning.output.scale_x_y == (1.2, 1.1, 1.05)  # type: ignore[union-attr]


def test_inspect_grids_after_a_sigmoid_are_no_raw_ones(tmp_path: Path) -> None:
    conclusion = grids(tmp_path, COARSE_FIRST, sigmoid=True)
    assert kinds(conclusion) == {"YOLOv5 or v7 without decoding"}
    assert any("Sigmoid" in item.text for item in conclusion.refuted[0].contradictions)


@pytest.mark.parametrize("labels", [80, 7])
def test_inspect_grids_joined_of_bins_and_scores_have_no_anchors(tmp_path: Path, labels: int) -> None:
    conclusion = grids(tmp_path, [(8, [64, labels]), (16, [64, labels])], "SiLU", is_joined=True)
    assert kinds(conclusion) == {"distance_output"}


def test_inspect_single_grid_of_five_anchors_is_yolov2s(tmp_path: Path) -> None:
    assert kinds(grids(tmp_path, [(32, [125])])) == {"yolo_output"}


def test_inspect_single_grid_of_fine_cells_is_no_yolov2(tmp_path: Path) -> None:
    assert not kinds(grids(tmp_path, [(4, [125])]))


def test_inspect_heads_of_several_strides_are_refused_by_name(tmp_path: Path) -> None:
    conclusion = grids(tmp_path, [(8, [63, 36]), (16, [63, 36]), (32, [63, 36])], "Relu")
    assert len(conclusion.best) == 1
    assert "EfficientDet" in conclusion.best[0].network
    assert conclusion.best[0].meaning is None


def test_inspect_heatmap_with_sizes_and_offsets_is_centernets(tmp_path: Path) -> None:
    assert kinds(grids(tmp_path, [(4, [80, 2, 2])], "Relu")) == {"CenterNet or CenterFace"}


def test_inspect_features_of_several_strides_are_no_heads(tmp_path: Path) -> None:
    assert not kinds(grids(tmp_path, [(8, [24]), (16, [40]), (32, [112])], "Relu"))
