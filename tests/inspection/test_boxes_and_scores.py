"""Boxes with a score per label: what names, operators, labels, a config.json and a run tell of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from postproc.inspection.evidence import Part
from postproc.inspection.graph import Graph, Tensor
from postproc.inspection.labels import LabelNames
from postproc.inspection.nodes import Node
from postproc.inspection.observed import Observed
from postproc.inspection.provenance import Operators
from postproc.inspection.readings import Certainty, Conclusion, Reading, concluded
from postproc.inspection.recognisers.blazeface import blazeface
from postproc.inspection.recognisers.boxes_and_scores import boxes_and_scores
from postproc.inspection.recognisers.offsets import offsets, without_priors

RNG = np.random.default_rng(0)
RECOGNISERS = (boxes_and_scores, offsets, without_priors, blazeface)

LOGITS = RNG.normal(-2, 2, (1, 100, 8))
CENTRES = RNG.uniform(0.1, 0.9, (1, 100, 4))
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=2, keepdims=True)
DETR = {"logits": LOGITS, "pred_boxes": CENTRES}
OF_DETR = (Node("MatMul", ("x", "w"), ("m",)), Node("Add", ("m", "b"), ("logits",)))
SIGMOID_BOXES = (Node("Conv", ("x",), ("c",)), Node("Sigmoid", ("c",), ("pred_boxes",)))
SAMPLING = Node("GridSample", ("x", "places"), ("sampled",))


def observed(
    outputs: Mapping[str, np.ndarray[Any, Any]],
    *nodes: Node,
    labels: int | LabelNames | None = None,
    config: Mapping[str, Any] | None = None,
    inputs: tuple[str, ...] = (),
    run: bool = True,
    constants: Mapping[str, np.ndarray[Any, Any]] | None = None,
) -> Observed:
    arrays = {name: np.asarray(values, np.float32) for name, values in outputs.items()}
    tensors = tuple(Tensor(name, "float32", array.shape, array.shape) for name, array in arrays.items())
    texts = tuple(Tensor(name, "int64", (1, 4), (1, 4)) for name in inputs)
    names = LabelNames(("name",) * labels, "the caller") if isinstance(labels, int) else labels
    operators = {node.operator: 1 for node in nodes}
    shapes = {name: array.shape for name, array in arrays.items()}
    links = Operators(nodes, frozenset({"x"}), shapes, constants or {})
    graph = Graph("net", "", texts, tensors, {}, operators, links, (640, 640), "graph", names)
    graph = replace(graph, config=config or {})
    return Observed(graph, arrays if run else {})


def conclude(state: Observed) -> Conclusion:
    return concluded((reading for recognise in RECOGNISERS for reading in recognise(state)), state)


def meant(reading: Reading) -> tuple[str, ...]:
    return tuple(reading.values[part] for part in (Part.BOX_FORMAT, Part.ACTIVATION, Part.BACKGROUND))


def best(state: Observed) -> list[tuple[str, ...]]:
    """Give the box format, activation and background of the readings that are left."""
    return [meant(reading) for reading in conclude(state).best]


SIGMOID, SOFTMAX = ("cxcywh", "sigmoid", "none"), ("cxcywh", "softmax", "last")


def test_queries_without_names_of_labels_are_undecided_between_sigmoid_and_softmax() -> None:
    found = conclude(observed(DETR, *OF_DETR, *SIGMOID_BOXES))
    assert [meant(reading) for reading in found.best] == [SIGMOID, SOFTMAX]
    assert {reading.certainty for reading in found.best} == {Certainty.POSSIBLE}


@pytest.mark.parametrize(("labels", "right"), [(8, SIGMOID), (7, SOFTMAX)])
def test_queries_as_many_names_as_columns_leave_no_background_one_less_leaves_one(
    labels: int, right: tuple[str, ...]
) -> None:
    assert best(observed(DETR, *OF_DETR, *SIGMOID_BOXES, labels=labels)) == [right]


@pytest.mark.parametrize(
    ("config", "right"),
    [
        ({"model_type": "detr"}, SOFTMAX),
        ({"model_type": "table-transformer"}, SOFTMAX),
        ({"model_type": "conditional_detr"}, SIGMOID),
        ({"model_type": "rt_detr"}, SIGMOID),
        ({"model_type": "rt_detr", "use_focal_loss": False}, SOFTMAX),
    ],
)
def test_queries_config_tells_the_activation(config: dict[str, Any], right: tuple[str, ...]) -> None:
    state = observed(DETR, *OF_DETR, *SIGMOID_BOXES, config=config)
    (reading,) = conclude(state).best
    assert meant(reading) == right
    assert reading.values[Part.KIND] == "standard_output without NMS"


@pytest.mark.parametrize("config", [{"model_type": "vit"}, {"model_type": ["detr"]}, {}])
def test_queries_config_of_another_network_tells_nothing(config: dict[str, Any]) -> None:
    assert best(observed(DETR, *OF_DETR, *SIGMOID_BOXES, config=config)) == [SIGMOID, SOFTMAX]


def test_queries_that_attend_by_sampling_have_a_score_a_label() -> None:
    assert best(observed(DETR, *OF_DETR, *SIGMOID_BOXES, SAMPLING)) == [SIGMOID]


def test_queries_of_few_rows_are_no_cells_of_a_grid_by_chance() -> None:
    arrays = {"a": np.resize(LOGITS, (1, 400, 8)), "b": np.resize(CENTRES, (1, 400, 4))}  # 20 x 20 cells
    nodes = (Node("Conv", ("x",), ("a",)), Node("Sigmoid", ("x",), ("b",)))
    kinds = {reading.values[Part.KIND] for reading in conclude(observed(arrays, *nodes)).best}
    assert kinds == {"standard_output without NMS"}


RFDETR = (
    Node("MatMul", ("x", "w"), ("m",)),
    Node("Add", ("m", "b"), ("labels",)),
    Node("Add", ("x", "moved"), ("centres",)),
    Node("Mul", ("x", "grown"), ("sizes",)),
    Node("Concat", ("centres", "sizes"), ("dets",), {"axis": 2}),
    SAMPLING,
)


def rfdetr(columns: int, sizes: float = 1.0) -> Observed:
    boxes = np.concatenate([CENTRES[..., :2], CENTRES[..., 2:] * sizes], axis=2)
    scores = RNG.normal(-2, 2, (1, 100, columns))
    state = observed({"dets": boxes, "labels": scores}, *RFDETR)
    state.graph.links.shapes.update({"centres": (1, 100, 2), "sizes": (1, 100, 2)})  # type: ignore[attr-defined]
    return state


@pytest.mark.parametrize(("columns", "background", "labels"), [(8, "last", 7), (91, "none", 91)])
def test_queries_of_rfdetr_have_one_column_more_but_for_the_ids_of_coco(
    columns: int, background: str, labels: int
) -> None:
    (reading,) = conclude(rfdetr(columns)).best
    assert meant(reading) == ("cxcywh", "sigmoid", background)
    assert reading.meaning is not None
    assert reading.meaning.labels == labels  # type: ignore[union-attr]


def test_queries_whose_operators_tell_are_not_contradicted_by_the_sizes_of_an_untrained_network() -> None:
    (reading,) = conclude(rfdetr(8, sizes=500)).best
    assert reading.values[Part.UNITS] == "normalized"


def test_queries_with_texts_for_labels_are_refused() -> None:
    (reading,) = conclude(observed(DETR, *OF_DETR, *SIGMOID_BOXES, inputs=("input_ids",))).best
    assert reading.meaning is None
    assert "fixed texts" in reading.advice


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [("pred_masks", (1, 100, 16, 16), "masks of queries"), ("points", (1, 100, 17, 3), "17 keypoints")],
)
def test_boxes_beside_masks_or_keypoints_are_refused(name: str, shape: tuple[int, ...], said: str) -> None:
    (reading,) = conclude(observed({**DETR, name: np.zeros(shape)}, *OF_DETR, *SIGMOID_BOXES)).best
    assert reading.meaning is None
    assert said in reading.advice


def places(side: int = 640, y_first: bool = False) -> np.ndarray[Any, Any]:
    """Corners of boxes about each cell of strides 8, 16 and 32."""
    rows = []
    for stride in (8, 16, 32):
        y, x = np.mgrid[: side // stride, : side // stride] + 0.5
        centres = np.stack([y, x] if y_first else [x, y], axis=-1).reshape(-1, 2) * stride
        sides = RNG.uniform(0.5, 3, (len(centres), 4)) * stride
        rows.append(np.concatenate([centres - sides[:, :2], centres + sides[:, 2:]], axis=1))
    return np.concatenate(rows)[None]


CELLS = places()
PROBABILITIES = 1 / (1 + np.exp(-RNG.normal(-3, 2, (1, CELLS.shape[1], 4))))
OF_CELLS = (Node("Mul", ("x", "s"), ("904",)), Node("Sigmoid", ("x",), ("913",)))


def test_boxes_of_cells_need_nms_and_are_in_pixels() -> None:
    (reading,) = conclude(observed({"904": CELLS, "913": PROBABILITIES}, *OF_CELLS)).best
    assert meant(reading) == ("xyxy", "none", "none")
    assert (reading.values[Part.KIND], reading.values[Part.UNITS]) == ("standard_output", "pixels")


def test_boxes_and_scores_of_four_labels_are_told_apart() -> None:
    (reading,) = conclude(observed({"913": PROBABILITIES, "904": CELLS}, *OF_CELLS)).best
    assert reading.meaning is not None
    assert reading.meaning.output.boxes_tensor == "904"  # type: ignore[union-attr]


def test_boxes_with_y_first_are_not_taken_for_x_first() -> None:
    boxes = places(y_first=True)
    assert {row[0] for row in best(observed({"904": boxes, "913": PROBABILITIES}, *OF_CELLS))} == {"yxyx"}


def test_boxes_without_a_run_are_undecided() -> None:
    found = best(observed({"904": CELLS, "913": PROBABILITIES}, *OF_CELLS, run=False))
    assert {row[0] for row in found} == {"xyxy", "cxcywh", "yxyx"}


def test_readings_that_contest_each_other_are_possible_and_no_more() -> None:
    readings = conclude(rfdetr(92)).best
    assert [reading.values[Part.ACTIVATION] for reading in readings] == ["sigmoid", "softmax"]
    assert all(len(reading.sources(Part.ACTIVATION)) > 1 for reading in readings)
    assert {reading.certainty for reading in readings} == {Certainty.POSSIBLE}


def test_scores_channels_first_are_read_along_the_other_axis() -> None:
    arrays = {"904": CELLS, "913": PROBABILITIES.transpose(0, 2, 1)}
    (reading,) = conclude(observed(arrays, *OF_CELLS)).best
    assert reading.meaning is not None
    assert reading.meaning.labels == 4  # type: ignore[union-attr]


def test_boxes_of_several_levels_are_no_boxes_of_one_head() -> None:
    arrays = {"a": CENTRES, "b": LOGITS, "c": CENTRES[:, :50], "d": LOGITS[:, :50]}
    nodes = tuple(Node("Mul", ("x",), (name,)) for name in arrays)
    assert best(observed({"a": CENTRES, "b": LOGITS}, *nodes[:2])) != []
    assert best(observed(arrays, *nodes)) == []


SSD = (Node("Add", ("x", "a"), ("boxes",)), Node("Softmax", ("x",), ("scores",)))
CORNERS = np.sort(RNG.uniform(-0.2, 1.2, (1, 2000, 2, 2)), axis=2).reshape(1, 2000, 4)
OF_PRIORS = np.resize(SHARES, (1, 2000, 8))


def test_ssd_names_tell_that_its_background_comes_first() -> None:
    assert best(observed({"scores": OF_PRIORS, "boxes": CORNERS}, *SSD)) == [("xyxy", "none", "first")]


def test_ssd_without_its_names_is_undecided_unless_a_label_is_called_background() -> None:
    arrays = {"a": OF_PRIORS, "b": CORNERS}
    nodes = (Node("Softmax", ("x",), ("a",)), Node("Clip", ("x",), ("b",)))
    assert {row[2] for row in best(observed(arrays, *nodes))} == {"first", "last"}
    names = LabelNames((*(f"label {row}" for row in range(7)), "background"), "labels.txt")
    assert {row[2] for row in best(observed(arrays, *nodes, labels=names))} == {"last"}


OFFSETS = RNG.normal(0, 1, (1, 2000, 4))
PRIORS = np.concatenate([CORNERS[..., :2].clip(0, 1), RNG.uniform(0.3, 0.9, (1, 2000, 2))], axis=2)
OF_OFFSETS = (Node("Conv", ("x",), ("loc",)), Node("Softmax", ("x",), ("conf",)))


def test_offsets_without_priors_are_refused_with_what_would_help() -> None:
    (reading,) = conclude(observed({"loc": OFFSETS, "conf": OF_PRIORS}, *OF_OFFSETS)).best
    assert reading.meaning is None
    assert "2000 priors" in reading.advice
    assert "ssd_output" in reading.advice


def test_offsets_with_priors_are_those_of_an_ssd() -> None:
    (reading,) = conclude(observed({"loc": OFFSETS, "conf": OF_PRIORS, "priors": PRIORS}, *OF_OFFSETS)).best
    assert meant(reading) == ("cxcywh", "none", "first")
    assert reading.values[Part.FACTORS] == "(0.1, 0.1, 0.2, 0.2)"


def test_offsets_of_boxes_without_a_telling_name_are_undecided_about_their_factors() -> None:
    found = conclude(observed({"loc": OFFSETS, "conf": OF_PRIORS, "d": PRIORS}, *OF_OFFSETS)).best
    assert {reading.values[Part.FACTORS] for reading in found} == {
        "(0.1, 0.1, 0.2, 0.2)",
        "(1.0, 1.0, 1.0, 1.0)",
    }


@pytest.mark.parametrize("factors", [(0.1, 0.1, 0.2, 0.2), (1.0, 1.0, 1.0, 1.0)])
def test_offsets_caffe_writes_their_factors_beside_the_priors(factors: tuple[float, ...]) -> None:
    priors = np.stack([CORNERS.reshape(-1), np.tile(factors, 2000)])[None]
    arrays = {"loc": OFFSETS, "conf": OF_PRIORS, "mbox": priors}
    found = conclude(observed(arrays, *OF_OFFSETS)).best
    assert {reading.values[Part.FACTORS] for reading in found} == {str(factors)}
    assert {reading.values[Part.BOX_FORMAT] for reading in found} == {"xyxy"}


def test_offsets_per_label_from_proposals_are_those_of_a_faster_rcnn() -> None:
    rois = np.concatenate([np.zeros((100, 1)), CORNERS[0, :100] * 600 + 120], axis=1)
    arrays = {"rois": rois, "bbox_pred": RNG.normal(0, 1, (100, 32)), "cls_prob": SHARES[0]}
    nodes = (
        Node("Clip", ("x",), ("rois",)),
        Node("Gemm", ("x",), ("bbox_pred",)),
        Node("Softmax", ("x",), ("cls_prob",)),
    )
    (reading,) = conclude(observed(arrays, *nodes)).best
    assert reading.values[Part.KIND] == "anchored_output"
    assert meant(reading) == ("xyxy", "none", "first")
    assert reading.values[Part.FACTORS] == "(1.0, 1.0, 1.0, 1.0)"


LAYER = (Node("MatMul", ("x", "w"), ("m",)), Node("Add", ("m", "b"), ("moves",)))
MOVED = (Node("Add", ("moves", "places"), ("moved",)), Node("Sigmoid", ("moved",), ("pred_boxes",)))
SIGMOID, SOFTMAX = ("cxcywh", "sigmoid", "none"), ("cxcywh", "softmax", "last")


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ((*LAYER, Node("Sigmoid", ("moves",), ("pred_boxes",))), SOFTMAX),
        ((Node("Gemm", ("x", "w", "b"), ("m",)), Node("Sigmoid", ("m",), ("pred_boxes",))), SOFTMAX),
        ((*LAYER, Node("Log", ("x",), ("places",)), *MOVED), SIGMOID),
        ((*LAYER, *MOVED), SIGMOID),  # the logarithm was folded to a constant
    ],
)
def test_inspect_queries_are_told_by_whether_they_begin_with_places(
    nodes: tuple[Node, ...], expected: tuple[str, ...]
) -> None:
    constants = {"b": np.zeros(4), "places": np.zeros((1, 100, 4))}
    if any(node.operator == "Log" for node in nodes):
        del constants["places"]
    (reading,) = conclude(observed(DETR, *OF_DETR, *nodes, constants=constants)).best
    assert meant(reading) == expected


def test_inspect_queries_of_a_layer_without_their_names_are_undecided() -> None:
    unnamed = {"a": LOGITS, "pred_boxes": CENTRES}
    nodes = (*OF_DETR[:1], Node("Add", ("m", "b"), ("a",)), Node("Sigmoid", ("m",), ("pred_boxes",)))
    assert len(conclude(observed(unnamed, *nodes, constants={"b": np.zeros(4)})).best) > 1
