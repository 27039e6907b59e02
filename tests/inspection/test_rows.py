"""Rows of finished detections: what the run, the operators and the names decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from postproc.inspection.evidence import Part, Source
from postproc.inspection.nodes import Node
from postproc.inspection.readings import Conclusion
from postproc.inspection.recognisers.classifiers import classifiers
from postproc.inspection.recognisers.packed_rows import packed_rows
from postproc.inspection.recognisers.rows_with_more import rows_with_more
from postproc.inspection.recognisers.scored_boxes import scored_boxes
from postproc.inspection.recognisers.separate_rows import separate_rows
from postproc.inspection.recognisers.tables import tables
from tests.inspection.observing import (
    CENTRES,
    CHOOSING,
    CHOSEN_DETS,
    CLASSES,
    CORNERS,
    RNG,
    SCORES,
    SIDE,
    ULTRALYTICS,
    conclusion,
    observed,
    only,
    packed,
    tensor,
)


@pytest.mark.parametrize(
    "order",
    [
        ("box", "score", "class"),
        ("class", "score", "box"),
        ("box", "class", "score"),
        ("score", "class", "box"),
    ],
)
def test_packed_rows_are_read_in_the_order_that_their_numbers_have(order: tuple[str, ...]) -> None:
    reading = only(observed({"y": packed(*order)}, CHOOSING), packed_rows)
    assert reading.values[Part.COLUMNS] == ", ".join(order)
    assert (reading.values[Part.BOX_FORMAT], reading.values[Part.UNITS]) == ("xyxy", "pixels")
    assert Part.LABEL_OFFSET not in reading.values  # labels without names are called by their numbers


def test_packed_rows_of_normalized_centres_are_no_corners() -> None:
    best = conclusion(
        observed({"y": packed("box", "score", "class", box=CENTRES)}, CHOOSING), packed_rows
    ).best
    forms = {(reading.values[Part.BOX_FORMAT], reading.values[Part.UNITS]) for reading in best}
    assert forms == {("cxcywh", "normalized"), ("xywh", "normalized")}
    assert best[0].values[Part.COLUMNS] == "box, score, class"


def test_packed_rows_whose_classes_are_above_0_are_undecided_about_where_classes_begin() -> None:
    rows = packed("box", "score", "class", **{"class": CLASSES + 1})
    best = conclusion(observed({"y": rows}, CHOOSING, labels=9), packed_rows).best
    assert {reading.values[Part.LABEL_OFFSET] for reading in best} == {"classes from 0", "classes from 1"}
    named = only(observed({"y": rows}, CHOOSING, labels=7), packed_rows)  # one is called 7
    assert named.values[Part.LABEL_OFFSET] == "classes from 1"


def test_packed_rows_without_finds_are_undecided() -> None:
    best = conclusion(observed({"y": np.zeros((1, 300, 6))}, CHOOSING), packed_rows).best
    assert len(best) > 1
    assert max(reading.certainty for reading in best) == 0


def test_packed_rows_without_finds_are_what_the_exporter_says() -> None:
    metadata = {**ULTRALYTICS, "args": "{'nms': True}", "end2end": "False"}
    reading = only(observed({"y": np.zeros((1, 300, 6))}, CHOOSING, metadata=metadata), packed_rows)
    assert reading.certainty > 0


def test_packed_rows_of_a_network_whose_exporter_says_that_nothing_chooses_are_none() -> None:
    metadata = {**ULTRALYTICS, "args": "{'nms': False}", "end2end": "False"}
    state = observed({"y": packed("box", "score", "class")}, metadata=metadata)
    assert conclusion(state, packed_rows) == Conclusion((), (), ())


def test_packed_rows_by_the_thousand_are_candidates_still() -> None:
    rows = np.tile(packed("box", "score", "class"), (1, 10, 1))
    rows[0, :, :4] = np.sort(RNG.uniform(0, SIDE, (3000, 2, 2)), axis=1).reshape(3000, 4)  # none twice
    reading = only(observed({"y": rows}), packed_rows)
    assert reading.meaning is not None
    assert reading.meaning.decision.nms_threshold < 1  # type: ignore[union-attr]
    assert only(observed({"y": rows}, CHOOSING), packed_rows).meaning.decision.nms_threshold == 1  # type: ignore[union-attr]


def test_packed_rows_whose_first_number_is_the_image_are_those_of_yolov7() -> None:
    image = np.zeros((300, 1))
    rows = packed("image", "box", "class", "score", image=image)[0]
    reading = only(observed({"y": rows}, CHOOSING, free=(0,)), packed_rows, classifiers)
    assert reading.values[Part.COLUMNS] == "image, box, class, score"
    other = packed("image", "box", "class", "score", image=image + CLASSES)[0]
    assert not conclusion(observed({"y": other}, CHOOSING, free=(0,)), packed_rows).best


def test_packed_rows_with_a_count_beside_them_are_paddles() -> None:
    outputs = {"y": packed("class", "score", "box")[0], "count": np.array([300], np.int32)}
    reading = only(observed(outputs, CHOOSING, free=(0,)), packed_rows)
    assert reading.meaning.output.count_tensor == "count"  # type: ignore[union-attr]
    assert reading.values[Part.COLUMNS] == "class, score, box"


def test_packed_rows_of_a_network_that_samples_are_centres_where_boxes_end_in_a_sigmoid() -> None:
    nodes = (
        Node("Conv", ("x",), ("sampled",)),
        Node("GridSample", ("sampled", "x"), ("c",)),
        Node("Sigmoid", ("c",), ("box",)),
        Node("TopK", ("c",), ("best",)),
        Node("Concat", ("box", "best"), ("y",), {"axis": 2}),
    )
    outputs = {"y": packed("box", "score", "class", box=CENTRES)}
    state = observed(outputs, nodes)
    shapes = {**state.graph.links.shapes, "box": (1, 300, 4), "best": (1, 300, 2), "c": (1, 300, 4)}
    links = replace(state.graph.links, shapes=shapes)
    reading = only(replace(state, graph=replace(state.graph, links=links)), packed_rows)
    assert reading.values[Part.BOX_FORMAT] == "cxcywh"
    assert Source.OPERATORS in reading.sources(Part.BOX_FORMAT)


def test_packed_rows_of_a_network_that_takes_the_scale_of_images_are_paddles() -> None:
    ones = {"score": np.ones((300, 1)), "class": np.ones((300, 1))}  # as an untrained network may give
    outputs = {"y": packed("class", "score", "box", **ones)[0], "count": np.array([300], np.int32)}
    assert len(conclusion(observed(outputs, CHOOSING, free=(0,)), packed_rows).best) > 1
    scale = [tensor("scale_factor", (1, 2))]
    reading = only(observed(outputs, CHOOSING, free=(0,), inputs=scale), packed_rows)
    assert reading.meaning.output.columns == ("class", "score", "box")  # type: ignore[union-attr]


SEEN = np.concatenate([RNG.uniform(0, SIDE, (300, 17, 2)), RNG.uniform(0, 1, (300, 17, 1))], axis=2)
TURNED = np.concatenate([RNG.uniform(60, 260, (300, 2)), RNG.uniform(9, 90, (300, 2))], axis=1)
MORE = {
    "keypoints": {"keypoints": SEEN.reshape(300, 51)},
    "coefficients": {"coefficients": RNG.normal(0, 9, (300, 32))},
    "angle": {"box": TURNED, "angle": RNG.uniform(-0.7, 2, (300, 1))},
}
TASKS = {"keypoints": "pose", "coefficients": "segment", "angle": "obb"}
PROTOTYPES = RNG.normal(0, 1, (1, 32, 80, 80)).astype(np.float32)


def rows_of_more(column: str, **changed: Any) -> dict[str, ArrayLike]:
    outputs = {"y": packed("box", "score", "class", column, **{**MORE[column], **changed})}
    return {**outputs, "p": PROTOTYPES} if column == "coefficients" else outputs


@pytest.mark.parametrize("column", MORE)
@pytest.mark.parametrize("is_told", [True, False])
def test_rows_with_more_are_told_apart_by_metadata_and_by_what_they_hold(column: str, is_told: bool) -> None:
    metadata = {**ULTRALYTICS, "task": TASKS[column], "end2end": "True"} if is_told else {}
    reading = only(
        observed(rows_of_more(column), CHOOSING, metadata=metadata), rows_with_more, packed_rows, tables
    )
    document = reading.meaning.output.dump()  # type: ignore[union-attr]
    assert document["columns"] == ["box", "score", "class", column]
    more = {
        "keypoints": {"keypoints": 17},
        "coefficients": {"prototypes_tensor": "p", "keep_empty_masks": False},
        "angle": {"box_format": "cxcywh"},
    }
    assert document == {"output_tensor": "y", "columns": document["columns"], **more[column]}
    assert reading.meaning.in_pixels  # type: ignore[union-attr]


@pytest.mark.parametrize("column", MORE)
def test_rows_with_more_whose_classes_are_fractions_are_none(column: str) -> None:
    outputs = rows_of_more(column, **{"class": CLASSES + 0.5})
    assert not conclusion(observed(outputs, CHOOSING), rows_with_more).best


@pytest.mark.parametrize("column", MORE)
def test_rows_with_more_of_another_task_are_none(column: str) -> None:
    metadata = {**ULTRALYTICS, "task": "detect", "end2end": "True"}
    assert not list(rows_with_more(observed(rows_of_more(column), CHOOSING, metadata=metadata)))


def test_rows_of_seven_columns_begin_with_the_image_or_end_with_an_angle() -> None:
    oriented = rows_of_more("angle")
    reading = only(observed(oriented, CHOOSING), rows_with_more, packed_rows)
    assert "angle" in reading.meaning.output.columns  # type: ignore[union-attr]
    listed = packed("image", "box", "class", "score", image=np.zeros((300, 1)))
    reading = only(observed({"y": listed}, CHOOSING), rows_with_more, packed_rows)
    assert reading.meaning.output.columns[0] == "image"  # type: ignore[union-attr]
    nothing = observed({"y": np.zeros((1, 300, 7))}, [Node("TopK", ("a",), ("y",))])
    best = conclusion(nothing, rows_with_more, packed_rows).best
    assert {"image", "angle"} <= {name for one in best for name in one.meaning.output.columns}  # type: ignore[union-attr]
    assert max(one.certainty for one in best) == 0


def test_rows_of_seven_columns_whose_last_one_is_whole_hold_no_angle() -> None:
    outputs = rows_of_more("angle", angle=np.arange(300.0)[:, None])
    assert not conclusion(observed(outputs, CHOOSING), rows_with_more).best


@pytest.mark.parametrize(("numbers", "places"), [(3, SEEN[:, :10]), (2, SEEN[:, :15, :2])])
def test_keypoints_of_30_numbers_are_10_or_15_by_what_every_third_number_is(
    numbers: int, places: Any
) -> None:
    outputs = rows_of_more("keypoints", keypoints=places.reshape(300, 30))
    reading = only(observed(outputs, CHOOSING), rows_with_more)
    output = reading.meaning.output  # type: ignore[union-attr]
    assert (output.keypoints, output.dimensions) == (30 // numbers, numbers)


def test_keypoints_are_as_many_as_the_metadata_says() -> None:
    metadata = {**ULTRALYTICS, "task": "pose", "end2end": "True"}
    outputs = {"y": np.zeros((1, 300, 36))}
    for shape, right in (("[15, 2]", (15, 2)), ("[10, 3]", (10, 3))):
        state = observed(outputs, CHOOSING, metadata={**metadata, "kpt_shape": shape})
        output = only(state, rows_with_more).meaning.output  # type: ignore[union-attr]
        assert (output.keypoints, output.dimensions) == right
    state = observed(outputs, CHOOSING, metadata={**metadata, "kpt_shape": "[17, 3]"})
    assert not list(rows_with_more(state))


def test_rows_with_coefficients_need_as_many_prototypes() -> None:
    outputs = {**rows_of_more("coefficients"), "p": PROTOTYPES[:, :31]}
    assert not list(rows_with_more(observed(outputs, CHOOSING)))


def test_coefficients_without_their_prototypes_are_no_keypoints() -> None:
    outputs = rows_of_more("coefficients")
    assert not conclusion(observed({"y": outputs["y"]}, CHOOSING), rows_with_more).best


DETS = np.concatenate([CORNERS, SCORES], axis=1)[None, :100].astype(np.float32)
LABELS = CLASSES.reshape(1, -1)[:, :100].astype(np.int64)


@pytest.mark.parametrize(("dets", "labels", "certainty"), [("dets", "labels", 2), ("y", "z", 1)])
def test_boxes_with_their_score_and_classes_apart_are_described_as_rows(
    dets: str, labels: str, certainty: int
) -> None:
    reading = only(observed({dets: DETS, labels: LABELS}, CHOSEN_DETS), scored_boxes, classifiers)
    document = reading.meaning.output.dump()  # type: ignore[union-attr]
    assert document == {"output_tensor": dets, "columns": ["box", "score"], "classes_tensor": labels}
    assert reading.certainty == certainty


def test_oriented_boxes_with_their_score_have_the_angle_before_it() -> None:
    rows = np.concatenate([TURNED, MORE["angle"]["angle"], SCORES], axis=1)[None].astype(np.float32)
    state = observed({"dets": rows, "labels": CLASSES.reshape(1, -1).astype(np.int64)})
    output = only(state, scored_boxes).meaning.output  # type: ignore[union-attr]
    assert output.columns == ("box", "angle", "score")
    assert output.box_format == "cxcywh"


@pytest.mark.parametrize(
    ("shape", "fields"),
    [
        ((100, 28, 28), {"masks_tensor": "m"}),
        ((100, 1, 14, 14), {"masks_tensor": "m"}),
        ((100, 7, 28, 28), {"masks_tensor": "m"}),
        ((100, SIDE, SIDE), {"masks_tensor": "m", "masks_cover": "image"}),
        ((100, 80, 80), {}),  # of the image, or of a box: a grid of cells of 4 pixels
        ((100, 28, 14), {}),
        ((99, 28, 28), {}),
        ((100, 17, 3), {"keypoints_tensor": "m", "keypoints": 17}),
        ((100, 5, 2), {"keypoints_tensor": "m", "keypoints": 5, "dimensions": 2}),
        ((100, 2, 2), {}),
    ],
)
def test_masks_and_keypoints_beside_boxes_are_known_by_their_shapes(
    shape: tuple[int, ...], fields: Mapping[str, Any]
) -> None:
    numbers = RNG.uniform(0, 1, (1, *shape)).astype(np.float32)
    if shape[-1] < 4:
        numbers[..., :2] *= SIDE
    state = observed({"dets": DETS, "labels": LABELS, "m": numbers})
    reading = only(state, scored_boxes)
    document = reading.meaning.output.dump()  # type: ignore[union-attr]
    usual = {"output_tensor": "dets", "columns": ["box", "score"], "classes_tensor": "labels"}
    assert document == {**usual, **fields}
    assert any("not read" in check for check in reading.checks) is (not fields)


@pytest.mark.parametrize(
    ("shape", "low", "high"), [((100, 28, 28), -3, 3), ((100, 17, 3), 0, SIDE), ((100, 17, 2), 0, 1)]
)
def test_masks_of_logits_and_keypoints_that_are_none_are_not_read(
    shape: tuple[int, ...], low: float, high: float
) -> None:
    numbers = RNG.uniform(low, high, (1, *shape)).astype(np.float32)
    reading = only(observed({"dets": DETS, "labels": LABELS, "m": numbers}), scored_boxes)
    assert reading.meaning.output.dump().keys() == {"output_tensor", "columns", "classes_tensor"}  # type: ignore[union-attr]
    assert any("not read: m" in check for check in reading.checks)


SEPARATE = {
    "boxes": CORNERS[None],
    "scores": SCORES.reshape(1, -1).astype(np.float32),
    "labels": CLASSES.reshape(1, -1).astype(np.int64),
}
CHOSEN = tuple(Node("NonMaxSuppression", ("a",), (name,)) for name in SEPARATE)


def test_separate_rows_are_told_apart_by_their_numbers() -> None:
    outputs = {name: SEPARATE[key] for name, key in (("a", "scores"), ("b", "boxes"), ("c", "labels"))}
    nodes = [Node("NonMaxSuppression", ("x",), (name,)) for name in outputs]
    reading = only(observed(outputs, nodes), separate_rows)
    output = reading.meaning.output  # type: ignore[union-attr]
    assert (output.boxes_tensor, output.scores_tensor, output.classes_tensor) == ("b", "a", "c")


def test_separate_rows_whose_classes_are_floats_are_told_apart_by_the_run() -> None:
    outputs = {**SEPARATE, "labels": SEPARATE["labels"].astype(np.float32)}
    reading = only(observed(outputs, CHOSEN), separate_rows)
    assert reading.meaning.output.classes_tensor == "labels"  # type: ignore[union-attr]


def test_separate_rows_of_tensorflow_have_y_first_and_ids_from_1() -> None:
    outputs = {
        "detection_boxes:0": (CORNERS / SIDE)[None, :, [1, 0, 3, 2]],
        "detection_scores:0": SEPARATE["scores"],
        "detection_classes:0": SEPARATE["labels"].astype(np.float32) + 1,
    }
    reading = only(observed(outputs, labels=7), separate_rows)
    assert reading.values[Part.BOX_FORMAT] == "yxyx"
    assert reading.values[Part.LABEL_OFFSET] == "classes from 1"
    contradicted = {**outputs, "detection_classes:0": SEPARATE["labels"].astype(np.float32)}
    assert not conclusion(observed(contradicted), separate_rows).best


def test_separate_rows_without_a_batch_are_described_without_one() -> None:
    outputs = {name: values[0] for name, values in SEPARATE.items()}
    reading = only(observed(outputs, CHOSEN, free=(0,)), separate_rows)
    assert reading.meaning.batched is False  # type: ignore[union-attr]


def test_separate_rows_of_two_images_are_named() -> None:
    outputs = {f"{name}{row}": values[0] for row in (1, 2) for name, values in SEPARATE.items()}
    reading = only(observed(outputs, inputs=[tensor("x2", (3, SIDE, SIDE))], free=(0,)), separate_rows)
    assert "one image" in reading.advice


@pytest.mark.parametrize(
    ("more", "fields"),
    [
        (RNG.uniform(0, 1, (300, 1, 28, 28)), {"masks_tensor": "more"}),
        (RNG.uniform(0, 1, (300, 1, SIDE, SIDE)), {"masks_tensor": "more", "masks_cover": "image"}),
        (SEEN, {"keypoints_tensor": "more", "keypoints": 17}),
    ],
)
def test_separate_rows_have_masks_or_keypoints_beside_them(more: Any, fields: Mapping[str, Any]) -> None:
    outputs = {**{name: values[0] for name, values in SEPARATE.items()}, "more": more.astype(np.float32)}
    reading = only(observed(outputs, CHOSEN, free=(0,)), separate_rows)
    document = reading.meaning.output.dump()  # type: ignore[union-attr]
    assert document == {
        "boxes_tensor": "boxes",
        "scores_tensor": "scores",
        "classes_tensor": "labels",
        **fields,
    }
    assert not any("not read" in check for check in reading.checks)


def test_separate_rows_of_tensorflow_with_masks_are_rows_with_ids() -> None:
    outputs = {
        "detection_boxes": (CORNERS / SIDE)[None, :, [1, 0, 3, 2]],
        "detection_scores": SEPARATE["scores"],
        "detection_classes": SEPARATE["labels"].astype(np.float32) + 1,
        "detection_masks": RNG.uniform(0, 1, (1, 300, 33, 33)).astype(np.float32),
    }
    reading = only(observed(outputs, labels=7), separate_rows)
    document = reading.meaning.output.dump()  # type: ignore[union-attr]
    assert document["classes"] == "ids"
    assert document["masks_tensor"] == "detection_masks"
    assert document["box_format"] == "yxyx"


def test_separate_rows_with_what_nothing_explains_say_that_it_is_not_read() -> None:
    outputs = {**SEPARATE, "extra": np.zeros((1, 300, 9), np.float32)}
    reading = only(observed(outputs, CHOSEN), separate_rows)
    assert any("extra" in check for check in reading.checks)
