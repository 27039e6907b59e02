"""Whatever a network puts out: no reading that is left contradicts the numbers of its run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper

from postproc.inspection import Proposal, weighed
from postproc.inspection.graph_file import read_graph
from postproc.inspection.observed import Observed
from tests.inspection.networks import ultralytics
from tests.models import network
from tests.shares import examples

Array = NDArray[np.float32]
SIDE = 64
BOXES = SIDE // 8 * SIDE // 8 + SIDE // 16 * SIDE // 16 + SIDE // 32 * SIDE // 32

NAMES = [
    *(
        "output0",
        "output",
        "boxes",
        "scores",
        "labels",
        "logits",
        "pred_boxes",
        "dets",
        "classes",
        "loc",
        "conf",
    ),
    *("num_dets", "detection_boxes", "detection_scores", "detection_classes", "priors", "embedding", "y"),
]
SHAPES = st.one_of(
    st.tuples(st.just(1), st.sampled_from([1, 4, 6, 10, 80, 512])),
    st.tuples(st.just(1), st.sampled_from([5, 6, 7, 16, 56, 84, 85]), st.just(BOXES)),
    st.tuples(st.just(1), st.sampled_from([30, BOXES, 3 * BOXES]), st.sampled_from([4, 5, 6, 7, 16, 21, 85])),
    st.tuples(st.just(1), st.sampled_from([18, 24, 68, 255]), st.just(8), st.just(8)),
    st.tuples(st.just(30), st.sampled_from([4, 6, 7])),
    st.tuples(st.just(1), st.just(30)),
)
COLUMNS = [
    "zeros",
    "probabilities",
    "logits",
    "shares",
    "places",
    "fractions",
    "classes",
    "corners",
    "anything",
]


def numbers(kind: str, rows: int, columns: int, rng: np.random.Generator) -> Array:
    """Make columns of one kind."""
    shape = rows, columns
    logits = rng.normal(-2, 3, shape)
    if kind == "corners":
        low = rng.uniform(0, SIDE / 2, shape)
        low[:, columns // 2 :] = (
            low[:, : columns - columns // 2] + rng.uniform(0, SIDE / 2, shape)[:, columns // 2 :]
        )
        return low.astype(np.float32)
    made = {
        "zeros": np.zeros(shape),
        "probabilities": 1 / (1 + np.exp(-logits)),
        "logits": logits,
        "shares": np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True),
        "places": rng.uniform(0, SIDE, shape),
        "fractions": rng.uniform(0, 1, shape),
        "classes": rng.integers(0, 6, shape),
        "anything": rng.normal(0, 100, shape),
    }
    return made[kind].astype(np.float32)


@st.composite
def runs(draw: st.DrawFn) -> dict[str, Array]:
    """Draw the outputs of a network: tensors whose columns are of one kind, or of several."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    outputs = {}
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True)):
        shape = draw(SHAPES)
        is_first = len(shape) == 3 and shape[2] == BOXES
        rows = int(np.prod(shape)) // (shape[1] if is_first else shape[-1])
        columns = int(np.prod(shape)) // rows
        cuts = [0, *sorted(draw(st.sets(st.sampled_from([1, 4, 5, 6]), max_size=3))), columns]
        parts = [
            numbers(draw(st.sampled_from(COLUMNS)), rows, last - first, rng)
            for first, last in itertools.pairwise(cuts)
            if last > first
        ]
        table = np.concatenate(parts, axis=1)[:, :columns]
        outputs[name] = (table.T if is_first else table).reshape(shape)
    return outputs


def within(values: Array) -> bool:
    return bool(values.min(initial=0) >= -0.02 and values.max(initial=0) <= 1.02)


def wrong_scores(values: Array, activation: str) -> Iterator[str]:
    if activation == "none" and not within(values):
        yield "scores beyond probabilities"


def wrong_boxes(boxes: Array, box_format: str, units: str) -> Iterator[str]:
    boxes = boxes.reshape(-1, 4)
    boxes = boxes[boxes.any(axis=1)]
    if not len(boxes):
        return
    first, second = ((0, 1), (2, 3)) if box_format in ("xyxy", "yxyx") else ((), ())
    slack = 0.01 * np.abs(boxes).max()
    if first and (boxes[:, second] < boxes[:, first] - slack).any(axis=1).mean() > 0.02:
        yield "corners out of order"
    if not first and (boxes[:, 2:] < -slack).any(axis=1).mean() > 0.02:
        yield "sizes below 0"
    if units == "normalized" and np.quantile(np.abs(boxes).max(axis=1), 0.25) > 8:
        yield "fractions beyond the image"


def wrong_classes(values: Array, scores: Array) -> Iterator[str]:
    values = values.ravel()[scores.ravel() > 0]  # the others fill a list up
    if (values != values.round()).any() or values.min(initial=0) < -1:
        yield "classes that are no whole numbers"


def contradictions(proposal: Proposal, outputs: Mapping[str, Array]) -> list[str]:
    """Look for what the documents cannot mean, by the numbers of the run."""
    found: list[str] = []
    labels = len(proposal.spec.outputs[0].labels.labels)
    for item in proposal.version.post_processings or ():
        if item.classification is not None:
            scores = outputs[item.classification.output_tensor]
            found += wrong_scores(scores, item.classification.score_activation)
            continue
        detection = item.detection
        assert detection is not None
        output: Any = detection.output
        fields = output.dump()
        units = "pixels" if detection.input_size or detection.normalize_wrt_tensor else "normalized"
        units = fields.get("coordinates", units)
        kind = detection.kind
        if kind in ("yolov5_output", "yolov8_output", "yolov8_pose_output", "yolov8_seg_output"):
            table = outputs[output.output_tensor][0]
            more = fields.get("keypoints", 0) * fields.get("dimensions", 3) + (kind == "yolov5_output")
            if "prototypes_tensor" in fields:
                more += outputs[output.prototypes_tensor].shape[1]
            first = {"channels_first": True, "channels_last": False}.get(
                output.layout, table.shape[1] != 4 + labels + more
            )
            table = table.T if first else table
            if fields.get("keypoints_first"):  # the scores' last columns lie behind the keypoints
                table = np.delete(table, np.s_[5 : 5 + more - 1], axis=1)
            width = labels + (kind == "yolov5_output")
            found += wrong_scores(table[:, 4 : 4 + width], "none")
            found += wrong_boxes(table[:, :4], output.box_format, units)
        elif kind == "standard_output":
            found += wrong_scores(outputs[output.scores_tensor], output.score_activation)
            found += wrong_boxes(outputs[output.boxes_tensor], output.box_format, units)
        elif kind in ("end_to_end_output", "direct_output") and fields.get("boxes_tensor"):
            found += wrong_scores(outputs[output.scores_tensor], "none")
            found += wrong_classes(outputs[output.classes_tensor], outputs[output.scores_tensor])
            found += wrong_boxes(outputs[output.boxes_tensor], output.box_format, units)
        elif kind == "end_to_end_output":
            rows = outputs[output.output_tensor]
            rows = rows.reshape(-1, rows.shape[-1])
            starts = np.cumsum([0, *(4 if name == "box" else 1 for name in output.columns)])
            columns = dict(zip(output.columns, starts, strict=False))
            found += wrong_scores(rows[:, columns["score"]], "none")
            found += wrong_classes(rows[:, columns["class"]], rows[:, columns["score"]])
            found += wrong_boxes(rows[:, columns["box"] : columns["box"] + 4], output.box_format, units)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


@given(runs(), st.booleans())
@examples(300)
def test_no_reading_that_contradicts_a_run_is_left(
    folder: Path, outputs: dict[str, Array], is_free: bool
) -> None:
    shapes = {name: ([None] * array.ndim if is_free else array.shape) for name, array in outputs.items()}
    model = network(
        [],
        {"images": (np.float32, (1, 3, SIDE, SIDE))},
        {name: (np.float32, shape) for name, shape in shapes.items()},
        outputs,
    )
    (folder / "model.onnx").write_bytes(model)
    graph = read_graph(folder / "model.onnx")
    graph = graph.with_run({name: array.shape for name, array in outputs.items()})
    found = weighed(Observed(graph, outputs))
    for proposal in found.proposals:
        assert contradictions(proposal, outputs) == [], (proposal.version.dump(), proposal.reading.evidence)


@pytest.mark.parametrize(("task", "more"), [("detect", 0), ("pose", 15), ("obb", 1)])
def test_what_a_run_says_of_units_counts_beside_what_the_exporter_says(
    task: str, more: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    table = np.concatenate([rng.uniform(0.1, 0.5, (BOXES, 4)), rng.uniform(0, 1, (BOXES, 1 + more))], axis=1)
    array = table.T[None].astype(np.float32)
    images = {"images": (np.float32, (1, 3, SIDE, SIDE))}
    model = onnx.load_from_string(network([], images, {"y": (np.float32, array.shape)}, {"y": array}))
    metadata = ultralytics(task, {0: "cat"}, kpt_shape="[5, 3]", imgsz=f"[{SIDE}, {SIDE}]")
    helper.set_model_props(model, metadata)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    found = weighed(Observed(read_graph(tmp_path / "model.onnx"), {"y": array}))
    outputs = [(proposal.version.post_processings or ())[0].detection for proposal in found.proposals]
    assert outputs
    assert {output.output.dump().get("coordinates") for output in outputs if output} == {"normalized"}
