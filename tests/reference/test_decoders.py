"""The decoders of the reference and their coordinates on examples worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import ArrayLike

from postproc.transforms import ImageTransform
from tests.reference.calls import anchored, boxes_of, direct, one_label, regions, run, yolo

NAN, INF = math.nan, math.inf
UNIT = [0.0, 0.0, 1.0, 1.0]
LOG3 = math.log(3)
HALF = ImageTransform(scale=(2.0, 2.0), offset=(8.0, 0.0), input_size=(32, 48), image_size=(16, 16))


@pytest.mark.parametrize(
    ("anchors_format", "anchor"),
    [
        ("xyxy", [10, 20, 30, 60]),
        ("yxyx", [20, 10, 60, 30]),
        ("xywh", [10, 20, 20, 40]),
        ("cxcywh", [20, 40, 20, 40]),
    ],
)
def test_anchored_format_tells_what_an_anchor_is(anchors_format: str, anchor: list[float]) -> None:
    output = {"background": "none", "anchors_format": anchors_format}
    arguments = anchored([[anchor]], np.zeros((1, 1, 4)), [[[0.9]]], thresholds=[0.5], output=output)
    (rows,) = run(**arguments, input_size=(100, 100))
    assert_array_equal(boxes_of(rows), np.array([[0.1, 0.2, 0.3, 0.6]], np.float32))


@pytest.mark.parametrize(
    ("background", "scores", "groups", "expected"),
    [
        # Offset group k moves the anchor to [k/4, (k + 1)/4].
        pytest.param("first", [0.99, 0.8, 0.6], 3, [(0, 1), (1, 2)], id="first"),
        pytest.param("last", [0.8, 0.6, 0.99], 3, [(0, 0), (1, 1)], id="last"),
        pytest.param("none", [0.8, 0.6], 2, [(0, 0), (1, 1)], id="none"),
        pytest.param("first", [0.99, 0.8, 0.6], 2, [(0, 0), (1, 1)], id="offsets without background"),
        pytest.param("last", [0.8, 0.6, 0.99], 1, [(0, 0), (1, 0)], id="offsets shared"),
    ],
)
def test_anchored_background_picks_scores_and_offsets(
    background: str, scores: list[float], groups: int, expected: list[tuple[int, int]]
) -> None:
    offsets = np.array([[group, 0, 0, 0] for group in range(groups)]).reshape(1, 1, -1)
    arguments = anchored(
        [[[0, 0, 0.25, 1]]], offsets, [[scores]], thresholds=[0.5, 0.5], output={"background": background}
    )
    (rows,) = run(**arguments, ids=(1, 2))
    assert [(row.label, row.box[0] * 4) for row in rows if row.box is not None] == expected


@pytest.mark.parametrize(
    "anchors", [[UNIT], [[UNIT]], [[0, *UNIT]], [[[3, *UNIT]]]], ids=["(N,4)", "(1,N,4)", "(N,5)", "(1,N,5)"]
)
def test_anchored_one_set_of_anchors_serves_every_image(anchors: ArrayLike) -> None:
    rows = run(**anchored(anchors, np.zeros((2, 1, 4)), [[[0.9]], [[0.8]]], thresholds=[0.5]))
    assert [boxes_of(image) for image in rows] == [[UNIT], [UNIT]]


def test_anchored_anchors_per_image_belong_to_their_image() -> None:
    anchors = [[UNIT], [[0.0, 0.0, 0.5, 0.5]]]
    rows = run(**anchored(anchors, np.zeros((2, 1, 4)), [[[0.9]], [[0.8]]], thresholds=[0.5]))
    assert [boxes_of(image) for image in rows] == anchors


@pytest.mark.parametrize("layout", ["auto", "channels_first"])
def test_anchored_scores_channels_first_are_transposed(layout: str) -> None:
    scores = [[[0.9, 0.1, 0.1], [0.1, 0.1, 0.8]]]  # (1, L, N)
    output = {"background": "none", "layout": layout}
    arguments = anchored([[UNIT] * 3], np.zeros((1, 3, 4)), scores, thresholds=[0.5] * 2, output=output)
    (rows,) = run(**arguments, ids=(1, 2))
    assert [(row.label, row.region) for row in rows] == [(0, 0), (1, 2)]


@pytest.mark.parametrize(
    ("box_format", "numbers"),
    [("xyxy", [1, 2, 3, 6]), ("yxyx", [2, 1, 6, 3]), ("xywh", [1, 2, 2, 4]), ("cxcywh", [2, 4, 2, 4])],
)
def test_direct_format_tells_what_a_box_is(box_format: str, numbers: list[float]) -> None:
    (rows,) = run(**one_label([numbers], [0.9], output={"box_format": box_format}), input_size=(8, 8))
    assert boxes_of(rows) == [[0.125, 0.25, 0.375, 0.75]]


def test_direct_infinite_corner_drops_the_box() -> None:
    (rows,) = run(**one_label([[0, 0, INF, 1], [0, 0, 1, 1], [-INF, 0, 1, 1]], [0.9, 0.8, 0.7]))
    assert regions(rows) == [1]


def test_direct_equal_scores_of_one_label_go_by_column() -> None:
    boxes = [[[[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]]]]
    (rows,) = run(**direct(boxes, [[[0.9, 0.9]]], [[[7, 7]]], thresholds=[0.1]))
    assert boxes_of(rows) == boxes[0][0]


def test_direct_unknown_class_is_skipped() -> None:
    arguments = direct(
        [[UNIT] * 3], [[0.9, 0.8, 0.7]], [[2**60, 2**60 + 1, 5]], thresholds=[0.1] * 2, nms_threshold=1.0
    )
    (rows,) = run(**arguments, ids=(5, 2**60 + 1))
    assert [(row.label, row.region) for row in rows] == [(1, 1), (0, 2)]


def test_direct_classes_rows_are_rows() -> None:
    arguments = direct([[UNIT] * 2], [[0.9, 0.8]], [[1, 7]], thresholds=[0.1] * 2, output={"classes": "rows"})
    (rows,) = run(**arguments, ids=(7, 8))
    assert [(row.label, row.region) for row in rows] == [(1, 0)]


def test_direct_box_per_column_goes_with_its_score() -> None:
    boxes = [[[UNIT, [0.0, 0.0, 0.5, 0.5]]]]
    arguments = direct(boxes, [[[0.8, 0.9]]], [[[1, 2]]], thresholds=[0.1] * 2)
    (rows,) = run(**arguments, ids=(2, 1))
    assert [row.label for row in rows] == [0, 1]
    assert boxes_of(rows) == [[0, 0, 0.5, 0.5], UNIT]


def test_direct_float_classes_match_integral_values() -> None:
    arguments = direct([[UNIT] * 3], [[0.9, 0.8, 0.7]], [[NAN, 3.0, 2.5]], thresholds=[0.1])
    (rows,) = run(**arguments, ids=(3,))
    assert regions(rows) == [1]


def test_yolo_cell_becomes_a_box_of_the_grid() -> None:
    # One row of two cells, one anchor of 1 x 0.5 cells, two labels.
    cell = [0, LOG3, math.log(0.5), math.log(2), LOG3, LOG3, 0]
    grid = np.full((1, 1, 2, 7), -20.0)
    grid[0, 0, 1] = cell
    (rows,) = run(**yolo(grid, [1.0, 0.5], [0.5, 0.1]), ids=(1, 2))
    # Centre (0.5 + 1)/2, 0.75/1; size 1*0.5/2, 0.5*2/1; scores 0.75*0.75, 0.75*0.25.
    assert [(row.label, row.region) for row in rows] == [(0, 1), (1, 1)]
    np.testing.assert_allclose([row.score for row in rows], [0.5625, 0.1875], rtol=1e-6)
    np.testing.assert_allclose(boxes_of(rows), [[0.625, 0.25, 0.875, 1.0]] * 2, rtol=1e-6)


@pytest.mark.parametrize("layout", ["(B,H,W,C)", "(B,H,W,A,5+L)", "(B,C,H,W)"])
def test_yolo_region_counts_rows_columns_anchors_in_any_layout(layout: str) -> None:
    cells = np.full((1, 2, 3, 2, 6), -9.0)
    cells[0, 1, 2, 0] = 0
    flat = cells.reshape(1, 2, 3, 12)
    grid = {"(B,H,W,C)": flat, "(B,H,W,A,5+L)": cells, "(B,C,H,W)": flat.transpose(0, 3, 1, 2)}[layout]
    (rows,) = run(**yolo(grid, [1.0, 1.0, 1.0, 1.0], [0.4]))
    assert regions(rows) == [(1 * 3 + 2) * 2 + 0]


def test_normalize_wrt_tensor_divides_by_each_images_height_and_width() -> None:
    arguments = direct(
        [[[0, 0, 20, 10]]] * 2, [[0.9]] * 2, [[7]] * 2, thresholds=[0.1], normalize_wrt_tensor="im_info"
    )
    arguments["tensors"]["im_info"] = [[20, 40, 1], [10, 80, 1]]
    assert [boxes_of(rows) for rows in run(**arguments)] == [[[0, 0, 0.5, 0.5]], [[0, 0, 0.25, 1]]]
    arguments["tensors"]["im_info"] = [20, 40, 1]
    rows = run(**arguments, input_size=(1, 1))  # the tensor says so
    assert [boxes_of(image) for image in rows] == [[[0, 0, 0.5, 0.5]]] * 2


@pytest.mark.parametrize(
    ("declared", "argument", "transform", "expected"),
    [
        pytest.param(None, None, None, [0, 0, 1, 1], id="normalized"),
        pytest.param([64, 64], None, None, [0.25, 0.25, 0.5, 0.25], id="declared"),
        pytest.param([64, 64], (32, 128), None, [0.125, 0.5, 0.25, 0.5], id="argument first"),
        pytest.param(None, (32, 128), None, [0.125, 0.5, 0.25, 0.5], id="argument alone"),
        # Pixels of the transform's input: (16 - 8)/2/16, 16/2/16, (32 - 8)/2/16.
        pytest.param([64, 64], None, HALF, [0.25, 0.5, 0.75, 0.5], id="declared, with transform"),
        pytest.param([64, 64], (9, 9), HALF, [0.25, 0.5, 0.75, 0.5], id="argument and transform"),
    ],
)
def test_input_size_comes_from_argument_then_transform_then_document(
    declared: list[int] | None, argument: Any, transform: ImageTransform | None, expected: list[float]
) -> None:
    rules: dict[str, Any] = {} if declared is None else {"input_size": declared}
    arguments = one_label([[16, 16, 32, 17]] if declared or argument else [[-9, 0, 9, 1]], [0.9], **rules)
    (rows,) = run(**arguments, input_size=argument, transforms=transform and [transform])
    ((x1, y1, x2, _),) = boxes_of(rows)
    assert [x1, y1, x2] == expected[:3]


@pytest.mark.parametrize(
    ("declared", "argument", "transform", "expected"),
    [
        pytest.param([16, 32], None, None, [0.0, 0.0, 1.0, 1.0], id="declared"),
        pytest.param([16, 16], (16, 32), None, [0.0, 0.0, 1.0, 1.0], id="argument"),
        # 32 pixels of the transform's input are (32 - 8)/2/16 of the image, 16 are (16 - 8)/2/16.
        pytest.param([16, 16], None, HALF, [0.0, 0.0, 0.75, 0.5], id="transform"),
        pytest.param([16, 16], (16, 16), HALF, [0.0, 0.0, 0.25, 0.5], id="argument and transform"),
    ],
)
def test_anchored_is_clipped_to_the_size_of_its_pixels(
    declared: list[int], argument: Any, transform: ImageTransform | None, expected: list[float]
) -> None:
    arguments = anchored(
        [[[0, 0, 32, 16]]], np.zeros((1, 1, 4)), [[[0.9]]], thresholds=[0.5], input_size=declared
    )
    (rows,) = run(**arguments, input_size=argument, transforms=transform and [transform])
    assert boxes_of(rows) == [expected]


def test_yolo_boxes_are_normalized_whatever_the_input_size() -> None:
    arguments = yolo(np.zeros((1, 1, 1, 6)), [0.5, 0.5], [0.1])
    (rows,) = run(**arguments, input_size=(64, 64))
    assert boxes_of(rows) == [[0.25, 0.25, 0.75, 0.75]]
    (rows,) = run(**arguments, input_size=(64, 64), transforms=[HALF])
    # x: (0.25*48 - 8)/2/16 and (0.75*48 - 8)/2/16; y: 0.25*32/2/16 and 0.75*32/2/16.
    assert boxes_of(rows) == [[0.125, 0.25, 0.875, 0.75]]


def test_transform_normalized_box_goes_through_input_pixels() -> None:
    (rows,) = run(**one_label([[0.25, 0.25, 0.5, 1.0]], [0.9]), transforms=[HALF])
    # x: (0.25*48 - 8)/2/16 and (0.5*48 - 8)/2/16; y: 0.25*32/2/16.
    assert boxes_of(rows) == [[0.125, 0.25, 0.5, 1.0]]
