"""Arguments that make no sense to `postproc.ops`, and to what results compute on request."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from postproc import Detections, TensorError, ops
from postproc.results.segmented import SegmentedDetections
from tests import reference
from tests.pipeline.test_hostile_arrays import REFUSED, SAME
from tests.pipeline.test_hostile_values import HOSTILE
from tests.pipelines import post_processor, tensors_of

BOXES = np.array([[0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]], np.float32)
SCORES = np.array([0.5, 0.9, 0.7], np.float32)
IDXS = np.array([1, 1, 2])
ORIENTED = np.hstack([BOXES, SCORES[:, np.newaxis]])

CALLS: dict[str, Any] = {
    "nms boxes": (lambda boxes: ops.nms(boxes, SCORES, 0.5), BOXES),
    "nms scores": (lambda scores: ops.nms(BOXES, scores, 0.5), SCORES),
    "batched_nms boxes": (lambda boxes: ops.batched_nms(boxes, SCORES, IDXS, 0.5), BOXES),
    "batched_nms scores": (lambda scores: ops.batched_nms(BOXES, scores, IDXS, 0.5), SCORES),
    "batched_nms idxs": (lambda idxs: ops.batched_nms(BOXES, SCORES, idxs, 0.5), IDXS),
    "box_iou boxes1": (lambda boxes: ops.box_iou(boxes, BOXES), BOXES),
    "box_iou boxes2": (lambda boxes: ops.box_iou(BOXES, boxes), BOXES),
    "oriented_box_iou boxes1": (lambda boxes: ops.oriented_box_iou(boxes, ORIENTED), ORIENTED),
    "oriented_box_iou boxes2": (lambda boxes: ops.oriented_box_iou(ORIENTED, boxes), ORIENTED),
    "box_area boxes": (ops.box_area, BOXES),
    "box_convert boxes": (lambda boxes: ops.box_convert(boxes, "xyxy", "cxcywh"), BOXES),
    "clip_boxes boxes": (lambda boxes: ops.clip_boxes(boxes, (9, 9)), BOXES),
}


@pytest.mark.parametrize("form", REFUSED)
@pytest.mark.parametrize("call", CALLS)
def test_operation_on_what_is_no_such_array_is_an_error_that_names_it(call: str, form: str) -> None:
    function, array = CALLS[call]
    with pytest.raises(TensorError, match=call.split()[1]):
        function(REFUSED[form](array))


@pytest.mark.parametrize("form", SAME)
@pytest.mark.parametrize("call", CALLS)
def test_operation_on_odd_arrays_gives_the_same_and_leaves_them(call: str, form: str, tmp_path: Any) -> None:
    function, array = CALLS[call]
    odd = SAME[form](array, tmp_path / "map")
    before = np.asarray(odd).tobytes()
    assert_array_equal(function(odd), function(array), strict=True)
    assert np.asarray(odd).tobytes() == before


@pytest.mark.parametrize("count", [30, 200, 1500])
@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_nms_hostile_boxes_and_scores_equal_reference(count: int, threshold: float) -> None:
    """Few, some on lists, many on a grid; of many only the first are met, since the reference is slow."""
    rng = np.random.default_rng(count)
    low = rng.uniform(0, 40, (count, 2)).astype(np.float32)
    boxes = np.hstack([low, low + rng.uniform(1, 9, (count, 2)).astype(np.float32)])
    boxes = np.where(rng.random(boxes.shape) < 0.1, rng.choice(HOSTILE, boxes.shape), boxes)
    scores = np.where(rng.random(count) < 0.3, rng.choice(HOSTILE, count), rng.random(count, np.float32))
    kept = ops.nms(boxes, scores, threshold)
    groups = np.zeros(count, np.int64)
    assert_array_equal(ops.batched_nms(boxes, scores, groups, threshold), kept)
    if count <= 200:
        with np.errstate(all="ignore"):
            assert_array_equal(kept, reference.nms(boxes, scores, threshold))
    else:
        with np.errstate(all="ignore"):
            best = kept[:60]
            overlaps = reference.box_iou(boxes[best], boxes[best])
            assert not (np.triu(overlaps, 1) > np.float32(threshold)).any()
        assert_array_equal(ops.nms(boxes[kept], scores[kept], threshold), np.arange(len(kept)))


def test_box_operations_on_hostile_boxes_equal_reference_without_a_warning() -> None:
    rng = np.random.default_rng(0)
    boxes = rng.choice(HOSTILE, (60, 4))
    with np.errstate(all="ignore"):
        area = np.array([reference.area(box) for box in boxes])
        overlaps = reference.box_iou(boxes, boxes)
    finite = np.isfinite(boxes).all(axis=1)
    assert_array_equal(ops.box_area(boxes)[finite], area[finite])
    mine = ops.box_iou(boxes, boxes)
    assert_array_equal(mine[finite][:, finite], overlaps[finite][:, finite])
    assert not np.isinf(ops.box_iou(boxes, boxes)).any()
    ops.oriented_box_iou(rng.choice(HOSTILE, (60, 5)), rng.choice(HOSTILE, (60, 5)))
    ops.clip_boxes(boxes, (5, 5))
    ops.box_convert(boxes, "cxcywh", "xywh")


@pytest.mark.parametrize("call", [ops.box_iou, ops.oriented_box_iou])
def test_iou_of_more_pairs_than_memory_holds_is_an_error(call: Any) -> None:
    numbers = 4 if call is ops.box_iou else 5
    with pytest.raises(TensorError, match="no memory for the Jaccard indices of 16000000 x 16000000 boxes"):
        call(np.zeros((16_000_000, numbers), np.float32), np.zeros((16_000_000, numbers), np.float32))


@pytest.mark.parametrize("threshold", [np.nan, -0.1, 1.1, 10**400, None, "high", [0.5, 0.5], 1j], ids=repr)
def test_nms_threshold_that_is_none_is_an_error(threshold: Any) -> None:
    with pytest.raises(TensorError, match="iou_threshold must be a number from 0 to 1"):
        ops.nms(BOXES, SCORES, threshold)


@pytest.mark.parametrize(
    "size",
    [[np.nan, 1], [1, -1], [np.inf, 1], [1e300, 1], [1, 2, 3], ["1", "2"], None, [[1], [1, 2]]],
    ids=repr,
)
def test_clip_boxes_size_that_is_none_is_an_error(size: Any) -> None:
    with pytest.raises(TensorError, match="size"):
        ops.clip_boxes(BOXES, size)


@pytest.mark.parametrize("box_format", ["", "XYXY", None, [], {}, 5], ids=repr)
def test_box_convert_format_that_is_none_is_an_error(box_format: Any) -> None:
    with pytest.raises(TensorError, match="in_fmt must be one of"):
        ops.box_convert(BOXES, box_format, "xyxy")


def segmented() -> SegmentedDetections:
    found = post_processor("yolov8_seg")(tensors_of("yolov8_seg", images=2)).outputs[0]
    assert isinstance(found, SegmentedDetections)
    return found


SIZES: dict[str, Any] = {
    **{repr(size): size for size in ([np.nan, 1], [-1, 5], [0, 5], [np.inf, 5], [2**40, 2], [10**400, 5])},
    **{repr(size): size for size in (None, 5, [], [5], [1, 2, 3], "ab", ["a", "b"], [[1], [2, 3]], {}, 1j)},
    "three images": [[4, 4]] * 3,
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("method", ["to_pixels", "to_coco", "to_rle", "masks"])
def test_result_size_that_is_none_is_an_error(method: str, size: str) -> None:
    found = segmented()
    if method == "masks":
        found = found[0]
    arguments = ([1, 2], SIZES[size]) if method == "to_coco" else (SIZES[size],)
    with pytest.raises(TensorError, match="size"):
        getattr(found, method)(*arguments)


@pytest.mark.parametrize("kind", ["yolov8_pose", "yolov8_obb"])
@pytest.mark.parametrize("size", SIZES)
def test_result_size_for_points_that_is_none_is_an_error(kind: str, size: str) -> None:
    found: Any = post_processor(kind)(tensors_of(kind, images=2)).outputs[0]
    convert = found.keypoints_to_pixels if kind == "yolov8_pose" else found.polygons_to_pixels
    with pytest.raises(TensorError, match="sizes must be"):
        convert(SIZES[size])


@pytest.mark.parametrize("size", [(2**31 - 1, 2**31 - 1), (2**20, 2**20), (100_000, 100_000)], ids=str)
def test_masks_that_no_memory_holds_are_refused_before_it_is_asked_for(size: tuple[int, int]) -> None:
    found = segmented()[0]
    with pytest.raises(TensorError, match=r"masks of .* are more than 8589934592 pixels; ask for"):
        found.masks(size)
    with pytest.raises(TensorError, match="has more pixels than COCO's run lengths count"):
        found.to_rle(size)


def test_masks_of_detections_made_by_hand_that_are_not_finite_are_no_crash() -> None:
    found = segmented()[0]
    for bad in (np.nan, np.inf, -np.inf, 1e30, -1e30):
        broken = type(found)(
            found.scores, found.labels, found.predicted, found.offsets, found.table,
            np.full_like(found.boxes, bad), found.regions, found.coefficients, found.prototypes,
            np.full_like(found.frames, bad), is_cut=found.is_cut,
        )  # fmt: skip
        assert broken.masks((7, 9)).shape == (len(found.labels), 7, 9)
        assert len(broken.to_rle((7, 9))) == len(broken.mask_polygons()) == len(found.labels)


@pytest.mark.parametrize("ids", [5, None, "ab", [[1, 2]], [1], [1, 2, 3], {1, 2}, [[1], [2, 3]]], ids=repr)
def test_to_coco_image_ids_that_are_none_are_an_error(ids: Any) -> None:
    with pytest.raises(TensorError, match="image id"):
        segmented().to_coco(ids, (4, 4))


@pytest.mark.parametrize(
    "index",
    [
        *(
            "a",
            1.5,
            None,
            10**30,
            2,
            -3,
            object(),
            {},
            (0, 1),
            [0, 1],
            [[1], [2, 3]],
            np.zeros(3, bool),
            True,
        ),
        *(np.zeros((2, 2), bool), np.uint64(2**63), np.nan, slice(None, None, 2), slice(None, None, -1)),
    ],
    ids=lambda index: repr(index)[:20],
)
def test_result_index_that_is_none_is_an_index_error(index: Any) -> None:
    with pytest.raises(IndexError):
        segmented()[index]


def test_result_masked_index_is_refused_and_one_with_nothing_masked_is_not() -> None:
    found = segmented()
    assert isinstance(found, Detections)
    good = np.ma.masked_array(found.scores > 0.5, np.zeros(len(found.labels), bool))
    assert_array_equal(found[good].scores, found.scores[found.scores > 0.5])
    good[0] = np.ma.masked
    with pytest.raises(IndexError, match="masked"):
        found[good]
