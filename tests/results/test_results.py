"""Results: indexing, joining, and the formats that they leave in."""

from __future__ import annotations

import json
import pickle
import warnings
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from postproc import Classifications, Detections, Recognitions, TensorError
from postproc.results.labels import LabelTable

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it says that it would rather have OpenCV
    import supervision

TABLE = LabelTable(np.array([7, 3, 2**60]), ("cat", "dog", "owl"), (0.4, 0.6, 0.5))
# Three images: two predicted boxes and two discarded ones, none, one of each.
PREDICTED = [True, True, False, False, True, False]
BOXES = np.array(
    [
        [0.1, 0.2, 0.3, 0.4],
        [0.5, 0.5, 1.0, 1.0],
        [0.1, 0.2, 0.3, 0.4],
        [0.0, 0.0, 0.5, 0.25],
        [0.25, 0.5, 0.75, 1.0],
        [0.0, 0.0, 1.0, 1.0],
    ],
    np.float32,
)
IS_CUT = [True, False, True]
SCORES = np.array([0.75, 0.625, 0.5, 0.25, 0.875, 0.125], np.float32)


def detections() -> Detections:
    return Detections(
        scores=SCORES.copy(),
        labels=np.array([0, 1, 1, 2, 2, 0]),
        predicted=np.array(PREDICTED),
        offsets=np.array([0, 4, 4, 6]),
        table=TABLE,
        boxes=BOXES.copy(),
        regions=np.array([42, 5, 42, 9, 42, 0]),
        is_cut=np.array(IS_CUT),
    )


def classifications() -> Classifications:
    of = detections()
    return Classifications(of.scores, of.labels, of.predicted, of.offsets, TABLE, is_cut=of.is_cut)


def empty(images: int) -> Detections:
    """Images without boxes, or no images."""
    return Detections.concatenate([detections()[:0], *[detections()[1]] * images])


def rows_of(found: Classifications) -> list[list[float]]:
    """Scores, image by image."""
    return [part.tolist() for part in np.split(found.scores, found.offsets[1:-1])] if len(found) else []


IMAGES = [[0.75, 0.625, 0.5, 0.25], [], [0.875, 0.125]]


def test_detections_len_counts_images() -> None:
    assert len(detections()) == len(classifications()) == 3
    assert len(empty(0)) == 0


@pytest.mark.parametrize("make", [detections, classifications], ids=["detections", "classifications"])
@pytest.mark.parametrize("number", [int, np.int64, np.uint8, np.array], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("image", [0, 1, 2])
def test_results_image_number_gives_that_image(make: Any, number: Any, image: int) -> None:
    found = make()[number(image)]
    assert type(found) is type(make())
    assert (len(found), rows_of(found)) == (1, [IMAGES[image]])


@pytest.mark.parametrize("image", [-1, -2, -3])
def test_results_negative_image_number_counts_from_the_end(image: int) -> None:
    assert rows_of(detections()[image]) == [IMAGES[image]]
    numpy_image: Any = np.int32(image)
    assert rows_of(detections()[numpy_image]) == [IMAGES[image]]


def test_results_index_takes_every_column_along() -> None:
    last = detections()[2]
    assert_array_equal(last.boxes, BOXES[4:])
    assert_array_equal(last.labels, [2, 0])
    assert_array_equal(last.regions, [42, 0])
    assert_array_equal(last.predicted, [True, False])
    assert_array_equal(last.offsets, np.array([0, 2]), strict=True)
    assert last.table is TABLE


@pytest.mark.parametrize("make", [detections, classifications], ids=["detections", "classifications"])
def test_results_know_which_images_were_cut_however_they_are_indexed(make: Any) -> None:
    found = make()
    images = (found[0], found[1], found[-1], found[1:], found[3:])
    assert [part.is_cut.tolist() for part in images] == [[True], [False], [True], [False, True], []]
    assert found[found.scores > 0.7].is_cut.tolist() == IS_CUT
    assert found.take([]).is_cut.tolist() == IS_CUT
    joined = make().concatenate([found[2], found[1], found[1:]])
    assert_array_equal(joined.is_cut, np.array([True, False, False, True]), strict=True)


@pytest.mark.parametrize("make", [detections, classifications], ids=["detections", "classifications"])
@pytest.mark.parametrize("rows_type", [list, np.array, np.int32, np.uint8], ids=lambda kind: kind.__name__)
def test_take_groups_rows_by_image_and_keeps_their_order_within_one(make: Any, rows_type: Any) -> None:
    found = make().take(rows_type([5, 2, 0, 4, 2]))
    assert type(found) is type(make())
    assert rows_of(found) == [[0.5, 0.75, 0.5], [], [0.125, 0.875]]
    assert_array_equal(found.offsets, np.array([0, 3, 3, 5]), strict=True)


def test_take_takes_every_column_along() -> None:
    found = detections().take([3, 1])
    assert_array_equal(found.boxes, BOXES[[3, 1]], strict=True)
    assert_array_equal(found.labels, [2, 1])
    assert_array_equal(found.regions, [9, 5])
    assert_array_equal(found.predicted, [False, True])


def test_take_negative_numbers_count_rows_from_the_end() -> None:
    assert rows_of(detections().take([-1, -6])) == [[0.75], [], [0.125]]


@pytest.mark.parametrize("rows", [[], np.empty(0), np.empty(0, np.int64)], ids=["list", "floats", "integers"])
def test_take_no_rows_keeps_all_images(rows: Any) -> None:
    assert rows_of(detections().take(rows)) == [[], [], []]
    assert len(empty(0).take(rows)) == 0


@pytest.mark.parametrize("row", [6, -7, 2**40, np.uint64(2**63)])
def test_take_a_row_out_of_range_is_an_index_error(row: Any) -> None:
    with pytest.raises(IndexError, match=rf"row {row} is out of range: there are 6"):
        detections().take([row])


@pytest.mark.parametrize("rows", [[0.0], 1, [[1]], "1", [None], [[1], [1, 2]], [2**70]], ids=repr)
def test_take_what_are_no_row_numbers_is_an_index_error(rows: Any) -> None:
    with pytest.raises(IndexError, match=r"take needs row numbers, \(N,\) integers"):
        detections().take(rows)


def test_take_a_mask_is_an_index_error_that_says_how_to_use_it() -> None:
    mask: Any = [True] * 6
    with pytest.raises(IndexError, match=r"index with a mask instead: detections\[mask\]"):
        detections().take(mask)


def test_take_in_another_order_keeps_predicted_and_discarded_apart_in_json() -> None:
    first, _, last = detections().take([3, 1, 5, 4]).to_dicts()
    assert [row["label_name"] for row in first["predicted"]] == ["dog"]
    assert [row["label_name"] for row in first["discarded"]] == ["owl"]
    assert [row["label_name"] for row in last["predicted"]] == ["owl"]
    assert [row["label_name"] for row in last["discarded"]] == ["cat"]


def test_padded_gives_predicted_rows_in_a_fixed_shape() -> None:
    boxes, scores, labels, counts, is_cut = detections().padded(3)
    expected = np.zeros((3, 3, 4), np.float32)
    expected[0, :2], expected[2, 0] = BOXES[:2], BOXES[4]
    assert_array_equal(boxes, expected, strict=True)
    assert_array_equal(scores, np.float32([[0.75, 0.625, 0], [0, 0, 0], [0.875, 0, 0]]), strict=True)
    assert_array_equal(labels, np.array([[7, 3, -1], [-1, -1, -1], [2**60, -1, -1]]), strict=True)
    assert_array_equal(counts, np.array([2, 0, 1]), strict=True)
    assert_array_equal(is_cut, np.array([True, False, True]), strict=True)


def test_padded_says_what_it_leaves_out() -> None:
    found = replace(detections(), is_cut=np.zeros(3, np.bool_))
    padded = found.padded(1)
    assert padded.scores.tolist() == [[0.75], [0.0], [0.875]]
    assert padded.count.tolist() == [1, 0, 1]
    assert padded.is_cut.tolist() == [True, False, False]
    assert found.padded(2).is_cut.tolist() == [False, False, False]
    none = found.padded(0)
    assert (none.boxes.shape, none.labels.shape) == ((3, 0, 4), (3, 0))
    assert none.is_cut.tolist() == [True, False, True]


@pytest.mark.parametrize("images", [0, 2])
def test_padded_without_rows_is_all_padding(images: int) -> None:
    padded = empty(images).padded(np.int64(4))
    assert padded.boxes.shape == (images, 4, 4)
    assert (padded.labels == -1).all()
    assert padded.count.tolist() == [0] * images


@pytest.mark.parametrize("most", [-1, 1.0, True, None, "3", 2**62], ids=repr)
def test_padded_to_no_sensible_number_of_rows_is_a_tensor_error(most: Any) -> None:
    with pytest.raises(TensorError, match=r"most must be an integer|rows of 3 images are more than"):
        detections().padded(most)


@pytest.mark.parametrize(
    "images",
    [
        slice(None),
        slice(1),
        slice(1, None),
        slice(-2, None),
        slice(1, 2),
        slice(2, 1),
        slice(5, 9),
        slice(-9, 2),
    ],
    ids=str,
)
def test_results_slice_gives_those_images(images: slice) -> None:
    found = detections()[images]
    assert rows_of(found) == IMAGES[images]
    assert found.offsets[0] == 0
    assert len(found) == len(IMAGES[images])


@pytest.mark.parametrize("step", [2, -1])
def test_results_slice_with_a_step_is_an_index_error(step: int) -> None:
    with pytest.raises(IndexError, match=rf"with a step of 1; got a step of {step}"):
        detections()[::step]


@pytest.mark.parametrize("image", [3, -4, np.int64(3), 2**40])
def test_results_image_number_out_of_range_is_an_index_error(image: int) -> None:
    with pytest.raises(IndexError, match=rf"image {image} is out of range: the batch has 3"):
        detections()[image]


def test_results_without_images_have_no_image_0() -> None:
    with pytest.raises(IndexError, match="the batch has 0"):
        empty(0)[0]


@pytest.mark.parametrize("mask_type", [np.array, list], ids=["array", "list"])
def test_results_mask_keeps_rows_and_all_images(mask_type: Any) -> None:
    found = detections()[mask_type([False, True, True, False, False, True])]
    assert rows_of(found) == [[0.625, 0.5], [], [0.125]]
    assert_array_equal(found.offsets, np.array([0, 2, 2, 3]), strict=True)
    assert_array_equal(found.boxes, BOXES[[1, 2, 5]])
    assert_array_equal(found.regions, [5, 42, 0])


def test_results_mask_by_their_own_columns_reads_well() -> None:
    found = detections()
    assert rows_of(found[(found.label_ids == 3) & (found.scores > 0.6)]) == [[0.625], [], []]
    assert rows_of(found[found.predicted]) == [[0.75, 0.625], [], [0.875]]


@pytest.mark.parametrize("value", [True, False])
def test_results_mask_of_one_value_keeps_all_or_none(value: bool) -> None:
    found = detections()[np.full(6, value)]
    assert rows_of(found) == (IMAGES if value else [[], [], []])


@pytest.mark.parametrize("length", [0, 3, 7])
def test_results_mask_of_another_length_is_an_index_error(length: int) -> None:
    with pytest.raises(IndexError, match=rf"a mask needs one bool per row, 6; got {length}"):
        detections()[np.ones(length, bool)]


@pytest.mark.parametrize(
    "index",
    [1.0, "1", None, [0, 1], np.array([0, 1]), np.ones((2, 3), bool), True, (0, 1), np.array([0.5])],
    ids=repr,
)
def test_results_other_index_is_an_index_error(index: Any) -> None:
    with pytest.raises(IndexError, match=r"image number, a slice of images or a bool mask of shape \(6,\)"):
        detections()[index]


def test_results_are_iterable_image_by_image() -> None:
    found: Any = detections()
    assert [rows_of(image) for image in found] == [[rows] for rows in IMAGES]


@pytest.mark.parametrize("make", [detections, classifications], ids=["detections", "classifications"])
def test_concatenate_images_one_by_one_gives_the_batch(make: Any) -> None:
    whole = make()
    joined = type(whole).concatenate([whole[:0], whole[0], whole[1:]])
    assert type(joined) is type(whole)
    for name in (
        "scores",
        "labels",
        "predicted",
        "offsets",
        *(["boxes", "regions"] if whole is Detections else []),
    ):
        assert_array_equal(getattr(joined, name), getattr(whole, name), strict=True)


def test_concatenate_batches_appends_their_images() -> None:
    joined = Detections.concatenate([detections(), detections()[2], empty(0), detections()[1]])
    assert rows_of(joined) == [*IMAGES, IMAGES[2], IMAGES[1]]
    assert_array_equal(joined.boxes, np.concatenate([BOXES, BOXES[4:]]), strict=True)
    assert_array_equal(joined.regions, [42, 5, 42, 9, 42, 0, 42, 0])
    assert joined.offsets.dtype == np.int64


def test_results_label_columns_come_from_the_table() -> None:
    found = detections()
    assert_array_equal(found.label_ids, np.array([7, 3, 3, 2**60, 2**60, 7]), strict=True)
    assert found.label_names == ["cat", "dog", "dog", "owl", "owl", "cat"]
    expected = np.array([0.4, 0.6, 0.6, 0.5, 0.5, 0.4], np.float32)
    assert_array_equal(found.thresholds, expected, strict=True)


def test_to_dicts_detections_number_regions_by_image() -> None:
    first, none, last = json.loads(json.dumps(detections().to_dicts()))
    assert none == {"predicted": [], "discarded": []}
    assert first["predicted"][0] == {
        "label_id": 7,
        "label_name": "cat",
        "score": 0.75,
        "threshold": 0.4,
        "roi": {
            "region_id": 1,
            "bbox": dict(zip(("xmin", "ymin", "xmax", "ymax"), BOXES[0].tolist(), strict=True)),
        },
    }
    # The discarded dog came from the region of the predicted cat.
    assert [row["roi"]["region_id"] for row in first["predicted"] + first["discarded"]] == [1, 2, 1, 3]
    assert [row["roi"]["region_id"] for row in last["predicted"] + last["discarded"]] == [1, 2]
    assert [row["label_name"] for row in first["discarded"]] == ["dog", "owl"]


def test_to_dicts_classifications_have_no_roi() -> None:
    first, none, last = classifications().to_dicts()
    assert none == {"predicted": [], "discarded": []}
    assert first["predicted"][1] == {"label_id": 3, "label_name": "dog", "score": 0.625, "threshold": 0.6}
    assert [row["label_id"] for row in last["predicted"] + last["discarded"]] == [2**60, 7]


def test_to_dicts_no_images_is_an_empty_list() -> None:
    assert empty(0).to_dicts() == []
    assert empty(2).to_dicts() == [{"predicted": [], "discarded": []}] * 2


def test_to_pixels_one_size_serves_all_images() -> None:
    pixels = detections().to_pixels([200, 400])
    assert pixels.dtype == np.float32
    assert_allclose(pixels, BOXES * [400, 200, 400, 200], rtol=1e-6)


@pytest.mark.parametrize("as_type", [list, np.array], ids=["list", "array"])
def test_to_pixels_size_per_image(as_type: Any) -> None:
    pixels = detections().to_pixels(as_type([(100, 10), (1, 1), (480, 640)]))
    assert_array_equal(pixels[1], [5, 50, 10, 100])
    assert_array_equal(pixels[4], [160, 240, 480, 480])


def boxes_at(corners: NDArray[Any], size: tuple[int, int]) -> Detections:
    """One image with a box of each row of corners, which are in pixels of a size."""
    height, width = size
    count = len(corners)
    return Detections(
        np.ones(count, np.float32),
        np.zeros(count, np.int64),
        np.ones(count, np.bool_),
        np.array([0, count]),
        TABLE,
        (corners / np.array([width, height, width, height])).astype(np.float32),
        np.arange(count),
        is_cut=np.array([False]),
    )


@pytest.mark.parametrize("side", [1, 2, 3, 7, 100, 333, 640, 1080, 1333, 1920, 4000, 12345, 65536, 1000003])
def test_to_pixels_rounded_gives_every_whole_corner_back(side: int) -> None:
    whole = np.arange(0, side + 1, max(1, side // 20000))
    corners = np.stack([whole, whole[::-1], whole, whole[::-1]], axis=1)
    found = boxes_at(corners, (side, side))
    assert_array_equal(found.to_pixels((side, side), rounded=True), corners, strict=True)


def test_to_pixels_rounded_is_for_where_int_loses_pixels() -> None:
    """Of the inner corners of an image 1333 wide 84 are a step low in float32."""
    whole = np.arange(5, 1329)
    found = boxes_at(np.stack([whole] * 4, axis=1), (1333, 1333))
    assert (found.to_pixels((1333, 1333)).astype(int)[:, 0] != whole).sum() == 84
    assert (found.to_pixels((1333, 1333), rounded=True)[:, 0] == whole).all()


def test_to_pixels_rounded_goes_to_the_nearest_and_halves_go_up() -> None:
    corners = np.array([[0.5, 1.5, 2.5, 3.5], [0.25, 1.75, 2.375, 3.625]])
    pixels = boxes_at(corners, (4, 4)).to_pixels([(4, 4)], rounded=True)
    assert_array_equal(pixels, np.array([[1, 2, 3, 4], [0, 2, 2, 4]]), strict=True)
    assert empty(2).to_pixels([10, 10], rounded=True).shape == (0, 4)


@pytest.mark.parametrize(
    "sizes",
    [[100], [1, 2, 3], [[1, 2], [3, 4]], [[1, 2, 3]] * 3, 100],
    ids=["one", "3", "2x2", "3x3", "number"],
)
def test_to_pixels_other_shapes_are_a_tensor_error(sizes: Any) -> None:
    with pytest.raises(
        TensorError, match=r"sizes must be \[height, width\] or one such pair per image, \(3, 2\)"
    ):
        detections().to_pixels(sizes)


def test_to_pixels_empty_results_give_no_boxes() -> None:
    assert empty(2).to_pixels([10, 10]).shape == (0, 4)
    assert empty(0).to_pixels([10, 10]).shape == (0, 4)


@pytest.mark.parametrize("ids_type", [list, tuple, np.array], ids=["list", "tuple", "array"])
def test_to_coco_predicted_boxes_in_pixels(ids_type: Any) -> None:
    rows = json.loads(json.dumps(detections().to_coco(ids_type([139, 285, 632]), [200, 400])))
    assert [row["image_id"] for row in rows] == [139, 139, 632]
    assert [row["category_id"] for row in rows] == [7, 3, 2**60]
    assert [row["score"] for row in rows] == [0.75, 0.625, 0.875]
    assert rows[1]["bbox"] == [200, 100, 200, 100]
    assert_allclose(rows[0]["bbox"], [40, 40, 80, 40], rtol=1e-6)
    assert set(rows[0]) == {"image_id", "category_id", "bbox", "score"}


def test_to_coco_size_per_image() -> None:
    rows = detections().to_coco([1, 2, 3], [(100, 10), (1, 1), (480, 640)])
    assert rows[-1]["bbox"] == [160, 240, 320, 240]


def test_to_coco_without_boxes_is_an_empty_list() -> None:
    assert empty(2).to_coco([1, 2], [10, 10]) == []


@pytest.mark.parametrize("ids", [[1, 2], [1, 2, 3, 4], []], ids=len)
def test_to_coco_other_count_of_image_ids_is_a_tensor_error(ids: list[int]) -> None:
    with pytest.raises(TensorError, match=rf"expected one image id per image, 3; got {len(ids)}"):
        detections().to_coco(ids, [10, 10])


def test_to_supervision_predicted_boxes_of_one_image() -> None:
    made = detections()[0].to_supervision((200, 400))
    assert isinstance(made, supervision.Detections)
    found: Any = made
    assert_allclose(found.xyxy, BOXES[:2] * [400, 200, 400, 200], rtol=1e-6)
    assert_array_equal(found.confidence, SCORES[:2])
    assert_array_equal(found.class_id, [7, 3])
    assert found.data["class_name"].tolist() == ["cat", "dog"]
    assert len(found[found.confidence > 0.7]) == 1


def test_to_supervision_empty_image_is_empty() -> None:
    found = detections()[1].to_supervision((200, 400))
    assert (len(found), found.xyxy.shape) == (0, (0, 4))
    merged = supervision.Detections.merge([found, detections()[2].to_supervision((200, 400))])
    assert len(merged) == 1


def test_to_supervision_several_images_are_a_tensor_error() -> None:
    with pytest.raises(TensorError, match=r"one image, as of detections\[i\]; these are 3"):
        detections().to_supervision((200, 400))


@pytest.mark.parametrize("name", ["scores", "offsets", "table", "boxes"])
def test_results_fields_cannot_be_replaced(name: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(detections(), name, None)


def test_results_compare_by_identity() -> None:
    """Comparing arrays field by field would raise: an array has no truth value."""
    found = detections()
    assert found == found
    assert found != detections()
    assert len({found, detections()}) == 2


def test_results_survive_pickling() -> None:
    batch = Recognitions((detections(), classifications()))
    again = pickle.loads(pickle.dumps(batch))
    assert again.to_dicts() == batch.to_dicts()
    assert type(again.outputs[0]) is Detections


def test_recognitions_index_images_of_all_outputs() -> None:
    batch = Recognitions((detections(), classifications()))
    assert len(batch) == 3
    for part, rows in [(batch[2], [IMAGES[2]]), (batch[-3], [IMAGES[0]]), (batch[1:], IMAGES[1:])]:
        assert [rows_of(output) for output in part.outputs] == [rows, rows]
        assert [type(output) for output in part.outputs] == [Detections, Classifications]


def test_recognitions_to_dicts_nests_outputs_in_images() -> None:
    batch = Recognitions((detections(), classifications()))
    images = batch.to_dicts()
    assert [set(image) for image in images] == [{"outputs"}] * 3
    boxes, labels = detections().to_dicts(), classifications().to_dicts()
    for image, box, label in zip(images, boxes, labels, strict=True):
        assert image["outputs"] == [{"labels": box}, {"labels": label}]


def test_recognitions_concatenate_joins_each_output() -> None:
    batch = Recognitions((detections(), classifications()))
    joined = Recognitions.concatenate([batch[1:], batch[:1]])
    assert [rows_of(output) for output in joined.outputs] == [[*IMAGES[1:], IMAGES[0]]] * 2
    assert [type(output) for output in joined.outputs] == [Detections, Classifications]


@pytest.mark.parametrize("kind", [Recognitions, Detections, Classifications], ids=lambda kind: kind.__name__)
def test_concatenate_nothing_is_a_tensor_error(kind: Any) -> None:
    with pytest.raises(TensorError, match="concatenate needs one part at least"):
        kind.concatenate([])
