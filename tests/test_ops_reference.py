"""`postproc.ops` against the slow reference, and the properties that define greedy NMS."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from postproc import ops
from tests import reference
from tests.shares import examples
from tests.strategies import CandidateSet, candidate_sets

FORMATS = ("xyxy", "xywh", "cxcywh", "yxyx")
EXAMPLES = examples(100)


@EXAMPLES
@given(candidates=candidate_sets(), nan_every=st.sampled_from([100, 3]))
def test_nms_random_candidates_equals_reference(candidates: CandidateSet, nan_every: int) -> None:
    boxes, scores, threshold = candidates.boxes, candidates.scores.copy(), candidates.iou_threshold
    scores[nan_every - 1 :: nan_every] = np.nan
    kept = ops.nms(boxes, scores, threshold)
    assert_array_equal(kept, reference.nms(boxes, scores, threshold), strict=True)


@EXAMPLES
@given(candidates=candidate_sets(), nan_every=st.sampled_from([100, 3]))
def test_batched_nms_random_candidates_equals_reference(candidates: CandidateSet, nan_every: int) -> None:
    boxes, scores, threshold = candidates.boxes, candidates.scores.copy(), candidates.iou_threshold
    scores[nan_every - 1 :: nan_every] = np.nan
    kept = ops.batched_nms(boxes, scores, candidates.idxs, threshold)
    expected = reference.batched_nms(boxes, scores, candidates.idxs, threshold)
    assert_array_equal(kept, expected, strict=True)


@examples(300)
@given(seed=st.integers(0, 2**32 - 1))
def test_nms_threshold_is_compared_to_the_last_bit(seed: int) -> None:
    corners = np.random.default_rng(seed).uniform([0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1], (2, 4))
    boxes = corners.astype(np.float32)
    overlap = reference.box_iou(boxes[:1], boxes[1:])[0, 0]
    assert_array_equal(ops.nms(boxes, [0.9, 0.8], float(overlap)), [0, 1])
    assert_array_equal(ops.nms(boxes, [0.9, 0.8], float(np.nextafter(overlap, np.float32(0)))), [0])


@EXAMPLES
@given(rows=candidate_sets(), columns=candidate_sets())
def test_box_iou_random_boxes_equals_reference(rows: CandidateSet, columns: CandidateSet) -> None:
    few = rows.boxes[:20], columns.boxes[:20]
    assert_array_equal(ops.box_iou(*few), reference.box_iou(*few), strict=True)


@EXAMPLES
@given(candidates=candidate_sets())
def test_box_area_random_boxes_equals_reference(candidates: CandidateSet) -> None:
    expected = np.array([reference.area(box) for box in candidates.boxes], np.float32)
    assert_array_equal(ops.box_area(candidates.boxes), expected, strict=True)


@pytest.mark.parametrize("in_fmt", FORMATS)
@pytest.mark.parametrize("out_fmt", FORMATS)
@examples(10)
@given(candidates=candidate_sets())
def test_box_convert_random_boxes_equals_reference(
    candidates: CandidateSet, in_fmt: str, out_fmt: str
) -> None:
    converted = ops.box_convert(candidates.boxes, in_fmt, out_fmt)
    expected = reference.box_convert(candidates.boxes, in_fmt, out_fmt)
    assert_array_equal(converted, expected, strict=True)


@EXAMPLES
@given(candidates=candidate_sets(), size=st.sampled_from([(1, 1), (20, 40), (0.5, 31.3)]))
def test_clip_boxes_random_boxes_equals_reference(
    candidates: CandidateSet, size: tuple[float, float]
) -> None:
    clipped = ops.clip_boxes(candidates.boxes, size)
    assert_array_equal(clipped, reference.clip_boxes(candidates.boxes, size), strict=True)


@EXAMPLES
@given(candidates=candidate_sets())
def test_batched_nms_keeps_no_overlap_and_drops_only_overlaps(candidates: CandidateSet) -> None:
    kept = ops.batched_nms(candidates.boxes, candidates.scores, candidates.idxs, candidates.iou_threshold)
    overlaps = reference.box_iou(candidates.boxes, candidates.boxes) > np.float32(candidates.iou_threshold)
    rivals = overlaps & (candidates.idxs[:, np.newaxis] == candidates.idxs)
    np.fill_diagonal(rivals, val=False)
    assert not rivals[np.ix_(kept, kept)].any()
    for dropped in np.setdiff1d(np.arange(len(candidates.boxes)), kept):
        stronger = kept[candidates.scores[kept] >= candidates.scores[dropped]]
        assert rivals[dropped, stronger].any()


@EXAMPLES
@given(candidates=candidate_sets())
def test_batched_nms_twice_changes_nothing(candidates: CandidateSet) -> None:
    boxes, scores, idxs = candidates.boxes, candidates.scores, candidates.idxs
    kept = ops.batched_nms(boxes, scores, idxs, candidates.iou_threshold)
    again = ops.batched_nms(boxes[kept], scores[kept], idxs[kept], candidates.iou_threshold)
    assert_array_equal(again, np.arange(len(kept)))


@EXAMPLES
@given(candidates=candidate_sets(ties=False), seed=st.integers(0, 2**32 - 1))
def test_batched_nms_distinct_scores_ignores_the_order_of_candidates(
    candidates: CandidateSet, seed: int
) -> None:
    boxes, scores, idxs = candidates.boxes, candidates.scores, candidates.idxs
    order = np.random.default_rng(seed).permutation(len(boxes))
    kept = ops.batched_nms(boxes, scores, idxs, candidates.iou_threshold)
    shuffled = ops.batched_nms(boxes[order], scores[order], idxs[order], candidates.iou_threshold)
    assert_array_equal(order[shuffled], kept)
