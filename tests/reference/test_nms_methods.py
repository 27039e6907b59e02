"""Soft and weighted NMS of the reference on examples worked out by hand: one per clause."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.reference.calls import boxes_of, direct, one_label, regions, run

UNIT = [0.0, 0.0, 1.0, 1.0]
HALF = [0.0, 0.0, 1.0, 0.5]  # IoU 1/2 with UNIT
OTHER_HALF = [0.0, 0.5, 1.0, 1.0]
SIZE = {"input_size": (1, 1)}


def soft(boxes: Any, scores: list[float], threshold: float = 0.1, **rules: Any) -> dict[str, Any]:
    return one_label(boxes, scores, threshold, nms_method="soft", **rules)


def weighted(boxes: Any, scores: list[float], threshold: float = 0.1, **rules: Any) -> dict[str, Any]:
    return one_label(boxes, scores, threshold, nms_method="weighted", **{"nms_threshold": 0.4, **rules})


def decayed(score: float, *overlaps: float, sigma: float = 0.5) -> np.float32:
    value = np.float32(score)
    for overlap in overlaps:
        value = np.float32(float(value) * math.exp(-(overlap**2) / sigma))
    return value


@pytest.mark.parametrize("sigma", [0.5, 0.1], ids=["default", "given"])
def test_soft_score_decays_and_is_reported(sigma: float) -> None:
    rules = {} if sigma == 0.5 else {"soft_sigma": sigma}
    (rows,) = run(**soft([HALF, UNIT], [0.8, 0.9], threshold=0.05, **rules))
    assert [(row.region, row.score) for row in rows] == [
        (1, np.float32(0.9)),
        (0, decayed(0.8, 0.5, sigma=sigma)),
    ]


def test_soft_order_is_that_of_the_decayed_scores() -> None:
    boxes = [UNIT, HALF, [0.0, 0.9, 1.0, 1.9]]
    (rows,) = run(**soft(boxes, [0.9, 0.8, 0.7]), input_size=(1, 1))
    # 0.8 becomes 0.485; the third, which hardly overlaps the first, is next.
    assert regions(rows) == [0, 2, 1]


def test_soft_decays_of_several_kept_boxes_multiply() -> None:
    (rows,) = run(**soft([HALF, UNIT, OTHER_HALF], [0.5, 0.9, 0.6], 0.01))
    assert [(row.region, row.score) for row in rows] == [
        (1, np.float32(0.9)),
        (2, decayed(0.6, 0.5)),
        (0, decayed(0.5, 0.5, 0.0)),
    ]
    (rows,) = run(**soft([UNIT, UNIT, UNIT], [0.9, 0.8, 0.7], 0.001))
    assert [row.score for row in rows] == [np.float32(0.9), decayed(0.8, 1), decayed(0.7, 1, 1)]


def test_soft_decayed_score_is_compared_with_its_threshold_again() -> None:
    (rows,) = run(**soft([UNIT, HALF], [0.9, 0.8], threshold=0.5))
    assert regions(rows) == [0]
    # Who is no longer predicted decays nobody: the third is decayed by the first only.
    third = [0.0, 0.0, 1.0, 0.25]  # 1/4 of the first, 1/2 of the second
    (rows,) = run(**soft([UNIT, HALF, third], [0.9, 0.8, 0.75], threshold=0.5))
    assert [(row.region, row.score) for row in rows] == [(0, np.float32(0.9)), (2, decayed(0.75, 0.25))]


def test_soft_does_not_use_the_nms_threshold() -> None:
    for threshold in (0.0, 0.3, 1.0):
        (rows,) = run(**soft([UNIT, HALF], [0.9, 0.8], nms_threshold=threshold))
        assert [row.score for row in rows] == [np.float32(0.9), decayed(0.8, 0.5)]


def test_soft_other_labels_are_left_alone_unless_class_agnostic() -> None:
    arguments = direct([[UNIT, HALF]], [[0.9, 0.8]], [[7, 8]], thresholds=[0.1, 0.1], nms_method="soft")
    (rows,) = run(**arguments, ids=(7, 8))
    assert [row.score for row in rows] == [np.float32(0.9), np.float32(0.8)]
    arguments["post"]["detection"]["class_agnostic"] = True
    (rows,) = run(**arguments, ids=(7, 8))
    assert [row.score for row in rows] == [np.float32(0.9), decayed(0.8, 0.5)]


def test_soft_class_agnostic_only_a_candidate_above_its_own_threshold_is_next() -> None:
    # The box of label 8 decays below its threshold, though it still has the highest score that is left.
    arguments = direct(
        [[UNIT, HALF, [0.0, 0.0, 1.0, 0.25]]],
        [[0.9, 0.8, 0.4]],
        [[7, 8, 7]],
        thresholds=[0.1, 0.6],
        nms_method="soft",
        class_agnostic=True,
    )
    (rows,) = run(**arguments, ids=(7, 8))
    assert [(row.region, row.score) for row in rows] == [(0, np.float32(0.9)), (2, decayed(0.4, 0.25))]


def test_soft_equal_scores_keep_the_lower_index_first() -> None:
    (rows,) = run(**soft([HALF, UNIT], [0.8, 0.8]))
    assert [(row.region, row.score) for row in rows] == [(0, np.float32(0.8)), (1, decayed(0.8, 0.5))]


def test_soft_discarded_follow_decayed_by_everything_kept() -> None:
    # Predicted; above at first, but decayed; never above; decayed below the discard threshold; never above.
    boxes = [UNIT, HALF, OTHER_HALF, UNIT, [0.0, 0.5, 1.0, 1.0]]
    arguments = soft(boxes, [0.9, 0.8, 0.5, 0.15, 0.4], 0.6)
    (rows,) = run(**arguments, show_discarded=True)
    assert [(row.region, row.score, row.predicted) for row in rows] == [
        (0, np.float32(0.9), True),
        (1, decayed(0.8, 0.5), False),
        (2, decayed(0.5, 0.5, 0), False),
        # 0.4 by the prediction, by the other half, not at all, and wholly by the one that it equals.
        (4, decayed(0.4, 0.5, 0, 1), False),
    ]
    (rows,) = run(**arguments)
    assert regions(rows) == [0]


def test_weighted_box_is_the_mean_by_score_with_the_best_score() -> None:
    (rows,) = run(**weighted([UNIT, HALF], [0.75, 0.25]))
    assert [(row.region, row.score) for row in rows] == [(0, np.float32(0.75))]
    assert boxes_of(rows) == [[0.0, 0.0, 1.0, 0.875]]  # (0.75*1 + 0.25*0.5)/1


def test_weighted_boxes_must_overlap_the_best_as_it_was_and_count_once() -> None:
    # A chain: the second overlaps the first and the third, the third the second only.
    chain = [[0.0, 0.0, 0.4, 1.0], [0.1, 0.0, 0.5, 1.0], [0.25, 0.0, 0.65, 1.0]]
    (rows,) = run(**weighted(chain, [0.8, 0.4, 0.2]))
    assert regions(rows) == [0, 2]
    np.testing.assert_allclose(boxes_of(rows), [[0.1 / 3, 0, 1.3 / 3, 1], chain[2]], rtol=1e-6)


def test_weighted_takes_candidates_above_their_threshold_only() -> None:
    (rows,) = run(**weighted([UNIT, HALF], [0.75, 0.25], threshold=0.5), show_discarded=True)
    assert [(row.region, row.predicted) for row in rows] == [(0, True)]
    assert boxes_of(rows) == [UNIT]


def test_weighted_discarded_are_compared_with_the_merged_box() -> None:
    merged = weighted([UNIT, HALF, [0.0, 0.0, 1.0, 0.42]], [0.5, 0.5, 0.1], threshold=0.3)
    # IoU 0.42 with the best box as it was; 0.42/0.75 with the mean.
    (rows,) = run(**merged, show_discarded=True)
    assert regions(rows) == [0]
    merged["post"]["detection"]["nms_threshold"] = 0.45
    assert regions(run(**merged, show_discarded=True)[0]) == [0]
    merged["post"]["detection"]["thresholds"] = [0.49]
    merged["tensors"]["scores"] = [[0.5, 0.49, 0.1]]  # HALF is discarded, and suppressed by UNIT
    (rows,) = run(**merged, show_discarded=True)
    assert [(row.region, row.predicted) for row in rows] == [(0, True), (2, False)]


def test_weighted_box_without_area_is_its_own_group() -> None:
    (rows,) = run(**weighted([[0.5, 0.0, 0.5, 1.0], UNIT], [0.9, 0.8]))
    assert regions(rows) == [1]
    assert boxes_of(rows) == [UNIT]


def test_weighted_other_labels_are_left_alone_unless_class_agnostic() -> None:
    arguments = direct([[UNIT, HALF]], [[0.75, 0.25]], [[7, 8]], thresholds=[0.1, 0.1], nms_method="weighted")
    (rows,) = run(**arguments, ids=(7, 8))
    assert boxes_of(rows) == [UNIT, HALF]
    arguments["post"]["detection"]["class_agnostic"] = True
    (rows,) = run(**arguments, ids=(7, 8))
    assert [(row.label, row.region) for row in rows] == [(0, 0)]
    assert boxes_of(rows) == [[0.0, 0.0, 1.0, 0.875]]
