"""The formulas of the reference on examples small enough to work out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tests import reference
from tests.reference.decode_offsets import offset_box

NAN, INF = math.nan, math.inf
UNIT = [0.0, 0.0, 1.0, 1.0]
LOG2, LOG3 = math.log(2), math.log(3)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param([0, 0, 2, 2], [1, 1, 3, 3], np.float32(1 / 7), id="quarter of each"),
        pytest.param(UNIT, UNIT, 1, id="identical"),
        pytest.param([0, 0, 1, 1], [1, 0, 2, 1], 0, id="touching: no +1 pixel"),
        pytest.param([0, 0, 0, 1], [0, 0, 0, 1], 0, id="no area, identical"),
        pytest.param([1, 1, 0, 0], UNIT, 0, id="flipped twice"),
        pytest.param([0, 0, 1e30, 1e30], [0, 0, 1e30, 1e30], 0, id="areas beyond float32"),
    ],
)
def test_iou_of_two_boxes_is_inter_over_union(a: list[float], b: list[float], expected: float) -> None:
    pair = reference.box_iou([a], [b])
    assert pair.dtype == np.float32
    assert pair[0, 0] == expected


def test_area_flipped_is_zero() -> None:
    assert reference.area(np.array([2, 2, 0, 0], np.float32)) == 0


@pytest.mark.parametrize(
    ("box_format", "numbers"),
    [("xyxy", [1, 2, 4, 8]), ("yxyx", [2, 1, 8, 4]), ("xywh", [1, 2, 3, 6]), ("cxcywh", [2.5, 5, 3, 6])],
)
def test_box_convert_to_and_from_corners(box_format: str, numbers: list[float]) -> None:
    assert_array_equal(reference.box_convert([[1, 2, 4, 8]], "xyxy", box_format), [numbers])
    assert_array_equal(reference.box_convert([numbers], box_format, "xyxy"), [[1, 2, 4, 8]])


def test_clip_boxes_takes_height_then_width() -> None:
    assert_array_equal(reference.clip_boxes([[-1, -1, 30, 30]], (10, 20)), [[0, 0, 20, 10]])


def test_sigmoid_of_infinities_is_zero_and_one() -> None:
    assert_array_equal(reference.sigmoid([0, LOG3, INF, -INF, -1000, NAN]), [0.5, 0.75, 1, 0, 0, NAN])


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        pytest.param([0, LOG3], [0.25, 0.75], id="plain"),
        pytest.param([-INF, 5], [0, 1], id="mask"),
        pytest.param([-INF, -INF], [NAN, NAN], id="masks only"),
        pytest.param([INF, 0], [NAN, NAN], id="infinity"),
        pytest.param([NAN, 0], [NAN, NAN], id="nan"),
    ],
)
def test_softmax_of_a_row(logits: list[float], expected: list[float]) -> None:
    assert_array_equal(reference.softmax([logits])[0], expected)


def test_nms_iou_equal_to_threshold_keeps_both() -> None:
    boxes = [[0, 0, 2, 1], [1, 0, 3, 1]]  # IoU 1/3
    assert_array_equal(reference.nms(boxes, [0.9, 0.8], 1 / 3), [0, 1])
    assert_array_equal(reference.nms(boxes, [0.9, 0.8], 0.33), [0])


def test_nms_equal_scores_keeps_lower_index() -> None:
    assert_array_equal(reference.nms([UNIT, UNIT], [0.5, 0.5], 0.5), [0])


def test_nms_nan_score_is_never_kept() -> None:
    assert_array_equal(reference.nms([UNIT, UNIT], [NAN, 0.5], 0.5), [1])


def test_nms_suppressed_box_suppresses_nothing() -> None:
    chain = [[0, 0, 3, 1], [1, 0, 4, 1], [2, 0, 5, 1]]  # neighbours 1/2, the ends 1/5
    assert_array_equal(reference.nms(chain, [0.9, 0.8, 0.7], 0.4), [0, 2])


def test_batched_nms_other_label_is_left_alone() -> None:
    assert_array_equal(reference.batched_nms([UNIT, UNIT, UNIT], [0.1, 0.2, 0.3], [4, 9, 4], 0.5), [2, 1])


@pytest.mark.parametrize(
    ("offset", "scale", "expected"),
    [
        pytest.param([0, 0, 0, 0], 1, [0, 2, 4, 4], id="none"),
        pytest.param([0.25, -0.5, LOG2, 0], 1, [-1, 1, 7, 3], id="moved by its sizes, twice as wide"),
        pytest.param([0, 0, 100, 0], 1, [2 - 125, 2, 2 + 125, 4], id="62.5 times as wide at most"),
        pytest.param([0, 0, INF, 0], 1, [2 - 125, 2, 2 + 125, 4], id="infinite exponents are clamped"),
        pytest.param([0.5, 0, 2 * LOG2, 0], 0.5, [-1, 2, 7, 4], id="scaled"),
        pytest.param([0, 0, 0, 5], 0.2, [0, 3 - math.e, 4, 3 + math.e], id="scaled before the clamp"),
        pytest.param([0, 0, -INF, 0], 1, [2, 2, 2, 4], id="no width"),
        pytest.param([0, 0, 0, NAN], 1, [0, NAN, 4, NAN], id="nan"),
    ],
)
def test_offset_box_moves_and_resizes_the_anchor(
    offset: list[float], scale: float, expected: list[float]
) -> None:
    anchor = np.array([0, 2, 4, 4], np.float32)
    box = offset_box(anchor, np.array(offset, np.float32), "xyxy", [scale] * 4)
    assert box.dtype == np.float32
    np.testing.assert_allclose(box, expected, rtol=1e-6)
