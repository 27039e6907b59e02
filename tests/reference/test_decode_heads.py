"""The decoders of boxes and scores, of rows and of priors on examples worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import ArrayLike, NDArray

from postproc.transforms import ImageTransform
from tests.reference.calls import boxes_of, detect, regions, run

UNIT = [0.0, 0.0, 1.0, 1.0]
LEFT, RIGHT = [0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]
LOG2 = math.log(2)


def standard(boxes: ArrayLike, scores: ArrayLike, labels: int = 2, **fields: Any) -> dict[str, Any]:
    rules = {"nms_threshold": fields.pop("nms_threshold", 1.0)}
    output = {"boxes_tensor": "boxes", "scores_tensor": "scores", **fields}
    return detect("standard", output, {"boxes": boxes, "scores": scores}, [0.1] * labels, **rules)


@pytest.mark.parametrize(
    ("background", "boxes", "expected"),
    [
        ("none", [[LEFT, RIGHT]], [LEFT, LEFT]),
        ("none", [[[LEFT], [RIGHT]]], [LEFT, LEFT]),
        ("none", [[[LEFT, RIGHT], [UNIT, UNIT]]], [RIGHT, LEFT]),
        ("first", [[LEFT, UNIT]], [LEFT, LEFT]),
        ("first", [[[LEFT, RIGHT], [UNIT, UNIT]]], [RIGHT, LEFT]),
        ("first", [[[UNIT, LEFT, RIGHT], [UNIT] * 3]], [RIGHT, LEFT]),
        ("last", [[[LEFT, RIGHT, UNIT], [UNIT] * 3]], [RIGHT, LEFT]),
    ],
    ids=[
        *("shared", "shared of 1", "per label", "shared, background first", "per label, background first"),
        *("per label and background", "per label and background last"),
    ],
)
def test_standard_box_of_each_label(background: str, boxes: ArrayLike, expected: list[Any]) -> None:
    scores = {"none": [0.3, 0.6], "first": [0.99, 0.3, 0.6], "last": [0.3, 0.6, 0.99]}[background]
    nothing = [0.0] * len(scores)
    (rows,) = run(**standard(boxes, [[scores, nothing]], background=background), ids=(1, 2))
    assert [(row.label, row.region) for row in rows] == [(1, 0), (0, 0)]
    assert boxes_of(rows) == expected


@pytest.mark.parametrize("layout", ["auto", "channels_first"])
def test_standard_scores_channels_first_are_transposed(layout: str) -> None:
    scores = [[[0.9, 0.0, 0.0], [0.0, 0.0, 0.8]]]  # (1, L, N)
    (rows,) = run(**standard([[UNIT] * 3], scores, layout=layout), ids=(1, 2))
    assert [(row.label, row.region) for row in rows] == [(0, 0), (1, 2)]


def test_standard_background_takes_part_in_the_softmax() -> None:
    scores = [[[0, 0, LOG2]]]
    (rows,) = run(**standard([[UNIT]], scores, background="last", score_activation="softmax"), ids=(1, 2))
    assert_allclose([row.score for row in rows], [0.25, 0.25], rtol=1e-6)


def test_standard_clip_before_changes_what_overlaps() -> None:
    boxes = [[UNIT, [0.0, 0.0, 1.0, 3.0]]]  # IoU 1/3, and 1 once clipped
    scores = [[[0.9], [0.8]]]
    (after,) = run(**standard(boxes, scores, 1, nms_threshold=0.5))
    (before,) = run(**standard(boxes, scores, 1, nms_threshold=0.5, clip="before"))
    assert (boxes_of(after), boxes_of(before)) == ([UNIT, UNIT], [UNIT])


def test_standard_box_format_of_detr_is_a_centre() -> None:
    (rows,) = run(**standard([[0.25, 0.5, 0.5, 1.0]], [[0.9]], 1, box_format="cxcywh"))
    assert boxes_of(rows) == [LEFT]


def end_to_end(
    tensors: dict[str, ArrayLike], thresholds: tuple[float, ...] = (0.1, 0.1), **fields: Any
) -> dict[str, Any]:
    names = {"rows": "output_tensor"}
    output = {names.get(name, f"{name}_tensor"): name for name in tensors}
    return detect("end_to_end", {**output, **fields}, tensors, list(thresholds))


def found(arguments: dict[str, Any], **options: Any) -> list[list[tuple[int, int]]]:
    """Return label and region of the rows of each image."""
    images = run(**arguments, ids=(5, 7), **options)
    return [[(row.label, row.region) for row in rows] for rows in images]


ROWS = [[*UNIT, 0.9, 1], [*LEFT, 0.8, 0], [*UNIT, 0.7, 2], [*UNIT, 0.6, 1], [*UNIT, 0.05, 1]]
FOUND = [(1, 0), (0, 1), (1, 3)]  # no label is of row 2, the last scores too little; nothing is merged


@pytest.mark.parametrize("batch", [False, True], ids=["(N,6)", "(1,N,6)"])
def test_end_to_end_packed_rows_are_boxes_scores_and_label_rows(batch: bool) -> None:
    arguments = end_to_end({"rows": [ROWS] if batch else ROWS})
    assert found(arguments) == [FOUND]
    assert boxes_of(run(**arguments, ids=(5, 7))[0]) == [UNIT, LEFT, UNIT]


def test_end_to_end_nms_threshold_given_merges() -> None:
    arguments = end_to_end({"rows": ROWS})
    arguments["post"]["detection"]["nms_threshold"] = 0.5
    assert found(arguments) == [[(1, 0), (0, 1)]]


def test_end_to_end_columns_tell_the_order_and_classes_the_meaning() -> None:
    rows = [[7, 0.9, 0.0, 0.5, 1.0, 1.0], [1, 0.8, *UNIT]]
    arguments = end_to_end(
        {"rows": [rows]}, columns=["class", "score", "box"], classes="ids", box_format="yxyx"
    )
    assert found(arguments) == [[(1, 0)]]
    assert boxes_of(run(**arguments, ids=(5, 7))[0]) == [RIGHT]


@pytest.mark.parametrize("counts", [[2, 0], [[2], [0]]], ids=["(B,)", "(B,1)"])
def test_end_to_end_count_tells_the_first_rows_that_are_valid(counts: ArrayLike) -> None:
    arguments = end_to_end({"rows": [ROWS, ROWS], "count": counts})
    assert found(arguments) == [FOUND[:2], []]


def test_end_to_end_count_of_one_list_divides_it_among_the_images() -> None:
    arguments = end_to_end({"rows": ROWS, "count": [1, 0, 3]})
    assert found(arguments) == [[(1, 0)], [], [(0, 0), (1, 2)]]


@pytest.mark.parametrize("axes", [0, 1, 2], ids=["(M,7)", "(1,M,7)", "(1,1,M,7)"])
def test_end_to_end_image_column_names_the_image_until_minus_1(axes: int) -> None:
    rows = [
        [2, 1, 0.9, *UNIT],
        [0, 0, 0.8, *UNIT],
        [2, 0, 0.7, *LEFT],
        [-1, 0, 0.9, *UNIT],
        [5, 0, 0.9, *UNIT],
    ]
    table = np.reshape(rows, (*[1] * axes, 5, 7))
    arguments = end_to_end({"rows": table}, columns=["image", "class", "score", "box"])
    assert found(arguments) == [[(0, 0)], [], [(1, 0), (0, 1)]]
    assert found(arguments, batch_size=4) == [[(0, 0)], [], [(1, 0), (0, 1)], []]
    transform = ImageTransform((1, 1), (0, 0), (8, 8), (8, 8))
    assert len(found(arguments, transforms=[transform] * 3)) == 3


def test_end_to_end_image_column_without_rows_is_one_image() -> None:
    arguments = end_to_end({"rows": np.zeros((0, 7))}, columns=["image", "box", "class", "score"])
    assert found(arguments) == [[]]
    assert found(arguments, batch_size=2) == [[], []]


@pytest.mark.parametrize("batch", [False, True], ids=["(N,)", "(B,N)"])
def test_end_to_end_separate_tensors(batch: bool) -> None:
    tensors: dict[str, Any] = {
        "boxes": [row[:4] for row in ROWS],
        "scores": [row[4] for row in ROWS],
        "classes": [int(row[5]) for row in ROWS],
    }
    tensors = {name: [tensor] if batch else tensor for name, tensor in tensors.items()}
    assert found(end_to_end({**tensors})) == [FOUND]
    assert found(end_to_end({**tensors, "count": [2]})) == [FOUND[:2]]
    assert found(end_to_end({**tensors}, classes="ids")) == [[]]


def ssd(
    offsets: ArrayLike, scores: ArrayLike, tensor: ArrayLike | None, labels: int = 1, **fields: Any
) -> dict[str, Any]:
    output = {"offsets_tensor": "offsets", "scores_tensor": "scores", **fields}
    tensors = {"offsets": offsets, "scores": scores}
    if tensor is not None:
        output["priors_tensor"], tensors["priors"] = "priors", tensor
    return detect("ssd", output, tensors, [0.1] * labels, nms_threshold=1.0)


@pytest.mark.parametrize(
    ("fields", "offset", "expected"),
    [
        # A prior at (0.5, 0.5) of 0.2 x 0.4.
        pytest.param({}, [0, 0, 0, 0], [0.4, 0.3, 0.6, 0.7], id="none"),
        # dx 2.5*0.1*0.2, dy -1*0.1*0.4, w 0.2*exp(5*log(2)/5), h 0.4*exp(0).
        pytest.param({}, [2.5, -1, 5 * LOG2, 0], [0.35, 0.26, 0.75, 0.66], id="moved and resized"),
        pytest.param(
            {"offsets_order": "yxhw"}, [-1, 2.5, 0, 5 * LOG2], [0.35, 0.26, 0.75, 0.66], id="y before x"
        ),
        pytest.param(
            {"size_coding": "linear"}, [2.5, -1, 10, 2.5], [0.35, 0.36, 0.75, 0.56], id="linear sizes"
        ),
        pytest.param(
            {"size_coding": "linear", "offsets_scale": [1, 1, 1, 1]}, [0, 0, 1, -1], None, id="negative size"
        ),
        pytest.param(
            {"offsets_scale": [1, 1, 0.5, 1]}, [0, 0, 2 * LOG2, 0], [0.3, 0.3, 0.7, 0.7], id="scale"
        ),
        pytest.param({}, [0, 0, 1e4, 0], [0, 0.3, 1, 0.7], id="clamped and clipped"),
    ],
)
def test_ssd_offset_moves_and_resizes_the_prior(
    fields: dict[str, Any], offset: list[float], expected: list[float] | None
) -> None:
    (rows,) = run(**ssd([[offset]], [[[0.1, 0.9]]], [[0.5, 0.5, 0.2, 0.4]], **fields))
    boxes = np.reshape(boxes_of(rows), (-1, 4))
    assert_allclose(boxes, np.reshape(expected or [], (-1, 4)), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("form", ["(N,4)", "(1,N,4)", "(B,N,4)", "Caffe", "document"])
def test_ssd_priors_in_each_form(form: str) -> None:
    priors = np.array([LEFT, RIGHT])
    variances = np.full(8, 0.1)
    tensors: dict[str, NDArray[Any] | None] = {
        "(N,4)": priors,
        "(1,N,4)": priors[np.newaxis],
        "(B,N,4)": np.stack([priors, priors[::-1]]),
        "Caffe": np.stack([priors.ravel(), variances])[np.newaxis],
        "document": None,
    }
    fields = {"priors": priors.tolist()} if form == "document" else {}
    scores = np.zeros((2, 2, 2))
    scores[:, :, 1] = 0.9, 0.8
    arguments = ssd(np.zeros((2, 2, 7)), scores, tensors[form], priors_format="xyxy", **fields)
    one, other = map(boxes_of, run(**arguments))
    assert one == [LEFT, RIGHT]
    assert other == ([RIGHT, LEFT] if form == "(B,N,4)" else [LEFT, RIGHT])


def test_ssd_prior_of_the_document_is_read_as_float32() -> None:
    fields: dict[str, Any] = {"priors": [[0.1, 0.1, 0.3, 0.7]], "priors_format": "xyxy"}
    (rows,) = run(**ssd([[[0, 0, 0, 0]]], [[[0.1, 0.9]]], None, **fields))
    assert_allclose(boxes_of(rows), np.array([[0.1, 0.1, 0.3, 0.7]], np.float32), rtol=2e-7)


@pytest.mark.parametrize(
    ("background", "scores"),
    [("first", [0.9, 0.2, 0.7]), ("last", [0.2, 0.7, 0.9]), ("none", [0.2, 0.7])],
)
def test_ssd_background_is_no_label(background: str, scores: list[float]) -> None:
    arguments = ssd([[[0, 0, 0, 0]]], [[scores]], [[0.5, 0.5, 1, 1]], 2, background=background)
    (rows,) = run(**arguments, ids=(1, 2))
    assert [(row.label, row.score) for row in rows] == [(1, np.float32(0.7)), (0, np.float32(0.2))]


def test_ssd_is_clipped_before_boxes_are_compared() -> None:
    priors = [[0.5, 0.5, 1, 1], [0.5, 1.5, 1, 3]]  # IoU 1/3, and 1 once clipped
    arguments = ssd(np.zeros((1, 2, 4)), [[[0, 0.9], [0, 0.8]]], priors)
    arguments["post"]["detection"]["nms_threshold"] = 0.5
    assert regions(run(**arguments)[0]) == [0]


def test_ssd_pixels_are_of_the_declared_size() -> None:
    arguments = ssd([[[0, 0, 0, 0]]], [[[0, 0.9]]], [[64, 32, 64, 32]])
    arguments["post"]["detection"]["input_size"] = [64, 128]
    assert_array_equal(boxes_of(run(**arguments)[0]), [[0.25, 0.25, 0.75, 0.75]])
