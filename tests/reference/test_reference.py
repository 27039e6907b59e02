"""The rules of the reference on examples small enough to work out by hand: one per clause."""

from __future__ import annotations

import math

import numpy as np
import pytest

from postproc.transforms import ImageTransform
from tests.reference.calls import anchored, boxes_of, classify, direct, one_label, regions, run

NAN, INF = math.nan, math.inf
UNIT = [0.0, 0.0, 1.0, 1.0]
HALF = ImageTransform(scale=(2.0, 2.0), offset=(8.0, 0.0), input_size=(32, 48), image_size=(16, 16))


def test_classification_is_above_threshold_in_float32() -> None:
    (rows,) = classify([[0.3, 0.3, 0.9]], {"thresholds": [0.3, 0.25, 0.5]}, ids=(1, 2, 3))
    assert rows == [(2, np.float32(0.9), None, 0, True), (1, np.float32(0.3), None, 0, True)]


@pytest.mark.parametrize(("exclusive", "expected"), [(True, [2, 1]), (False, [2])])
def test_classification_default_threshold_follows_exclusive(exclusive: bool, expected: list[int]) -> None:
    (rows,) = classify([[0.02, 0.03, 0.6]], ids=(1, 2, 3), exclusive=exclusive)
    assert [row.label for row in rows] == expected


def test_classification_discarded_is_every_other_finite_score() -> None:
    scores = [[-1, NAN, 0.9, 0.5, INF, 0.5]]
    (rows,) = classify(scores, {"thresholds": [0.5] * 6}, ids=tuple(range(6)), show_discarded=True)
    assert [(row.label, row.predicted) for row in rows] == [(2, True), (3, False), (5, False), (0, False)]


def test_classification_trailing_axes_are_dropped() -> None:
    rows = classify([[[[0.9]], [[0.1]]]], ids=(1, 2), max_predictions=1)
    assert [[row.label for row in image] for image in rows] == [[0]]


def test_nms_of_anchored_is_after_clipping_of_direct_before_it() -> None:
    boxes = [UNIT, [0.0, 0.0, 1.0, 3.0]]  # IoU 1/3, and 1 once clipped
    (rows,) = run(**one_label(boxes, [0.9, 0.8], nms_threshold=0.5))
    assert boxes_of(rows) == [UNIT, UNIT]
    offsets = np.zeros((1, 2, 4))
    (rows,) = run(**anchored([boxes], offsets, [[[0.9], [0.8]]], thresholds=[0.5], nms_threshold=0.5))
    assert regions(rows) == [0]


def test_nms_iou_is_compared_with_the_threshold_in_float32() -> None:
    boxes = [[0.0, 0.0, 2.0, 1.0], [1.0, 0.0, 3.0, 1.0]]  # IoU 1/3, which float32 rounds up
    (rows,) = run(**one_label(boxes, [0.9, 0.8], nms_threshold=1 / 3), input_size=(1, 3))
    assert regions(rows) == [0, 1]


def test_box_without_area_in_the_image_suppresses_but_is_not_returned() -> None:
    padding = [0.0, 0.0, 0.125, 1.0]  # the image begins at 1/6
    overlapping = [0.0, 0.0, 0.25, 1.0]
    arguments = one_label([padding, overlapping, [0.5, 0.0, 1.0, 1.0]], [0.9, 0.8, 0.7])
    (rows,) = run(**arguments, transforms=[HALF], max_predictions=1)
    assert regions(rows) == [2]


def test_detection_default_threshold_is_float32_of_0_8() -> None:
    arguments = one_label([UNIT, [2, 2, 3, 3]], [0.8, 0.9])
    del arguments["post"]["detection"]["thresholds"]
    assert regions(run(**arguments, input_size=(3, 3))[0]) == [1]


def test_discarded_come_last_and_never_change_a_prediction() -> None:
    boxes = [UNIT, [0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.5, 0.45], [0.5, 0.5, 1.0, 1.0]]
    classes = [[1, 2, 2, 1]]
    scores = [[0.3, 0.5, 0.4, 0.025]]
    # Label 1 needs 0.25 and label 2 needs 0.6: the boxes of label 2 are discarded, one of them merged.
    arguments = direct([boxes], scores, classes, thresholds=[0.25, 0.6])
    (rows,) = run(**arguments, ids=(1, 2), show_discarded=True)
    assert [(row.region, row.predicted) for row in rows] == [(0, True), (1, False)]
    assert regions(run(**arguments, ids=(1, 2), show_discarded=True, max_predictions=1)[0]) == [0]


def test_discarded_overlapping_a_prediction_is_dropped() -> None:
    arguments = one_label([UNIT, UNIT, [0.0, 0.0, 1.0, 0.2]], [0.5, 0.9, 0.4], threshold=0.6)
    (rows,) = run(**arguments, show_discarded=True)
    assert [(row.region, row.predicted) for row in rows] == [(1, True), (2, False)]


def test_order_ties_go_by_label_row_then_candidate() -> None:
    arguments = direct(
        [[UNIT] * 4], [[0.5, 0.5, 0.5, 0.75]], [[9, 7, 7, 9]], thresholds=[0.1] * 2, nms_threshold=1.0
    )
    (rows,) = run(**arguments, ids=(7, 9))
    assert [(row.label, row.region) for row in rows] == [(1, 3), (0, 1), (0, 2), (1, 0)]


def test_multi_label_false_keeps_the_highest_score_before_thresholds() -> None:
    offsets = np.zeros((1, 3, 4))
    scores = [[[0.7, 0.6], [0.5, 0.5], [NAN, 0.4]]]
    arguments = anchored(
        [[UNIT] * 3], offsets, scores, thresholds=[0.8, 0.3], nms_threshold=1.0, multi_label=False
    )
    (rows,) = run(**arguments, ids=(1, 2), show_discarded=True)
    # Region 0 is label 0's though only label 1 would be predicted; the tie goes to row 0; NaN counts not.
    assert [(row.label, row.region, row.predicted) for row in rows] == [
        (1, 2, True),
        (0, 0, False),
        (0, 1, False),
    ]


def test_class_agnostic_boxes_of_two_labels_are_merged() -> None:
    arguments = direct([[UNIT] * 2], [[0.9, 0.9]], [[9, 7]], thresholds=[0.1] * 2, class_agnostic=True)
    (rows,) = run(**arguments, ids=(7, 9))
    assert [(row.label, row.region) for row in rows] == [(0, 1)]


def test_nms_threshold_one_turns_it_off() -> None:
    assert len(run(**one_label([UNIT, UNIT], [0.9, 0.8], nms_threshold=1.0))[0]) == 2


@pytest.mark.parametrize(
    ("offsets", "logits", "expected"),
    [
        pytest.param([0, 0, 0, 0, 0, 0, 0, 0], [3.0, 3.0], [0, 1], id="finite"),
        pytest.param([0, 0, 0, 0, 0, 0, 0, 0], [NAN, 3.0], [1], id="nan score drops its label"),
        pytest.param([0, 0, 0, 0, 0, 0, 0, 0], [INF, 3.0], [0, 1], id="infinite logit is score 1"),
        pytest.param([0, 0, 0, 0, 0, NAN, 0, 0], [3.0, 3.0], [0], id="nan corner drops its label"),
        pytest.param([INF, 0, 0, 0, 0, 0, 0, 0], [3.0, 3.0], [1], id="infinite corner drops its label"),
        pytest.param([0, 0, 0, 0, 3e38, 0, 0, 0], [3.0, 3.0], [0], id="corner beyond float32"),
    ],
)
def test_not_finite_drops_that_label_only(
    offsets: list[float], logits: list[float], expected: list[int]
) -> None:
    output = {"background": "none", "score_activation": "sigmoid"}
    arguments = anchored([[[0, 0, 9, 9]]], [[offsets]], [[logits]], thresholds=[0.5] * 2, output=output)
    (rows,) = run(**arguments, ids=(1, 2), input_size=(9, 9))
    assert [row.label for row in rows] == expected


@pytest.mark.parametrize(
    ("logits", "expected"),
    [([0.0, 5.0, -INF], [0]), ([NAN, 5.0, 0.0], []), ([INF, 5.0, 0.0], []), ([-INF, 5.0, -INF], [0])],
    ids=["mask", "nan background", "infinite background", "background masked"],
)
def test_softmax_row_that_is_not_finite_is_dropped_whole(logits: list[float], expected: list[int]) -> None:
    output = {"background": "first", "score_activation": "softmax"}
    arguments = anchored([[UNIT]], np.zeros((1, 1, 4)), [[logits]], thresholds=[0.1] * 2, output=output)
    (rows,) = run(**arguments, ids=(1, 2))
    assert [row.label for row in rows] == expected
