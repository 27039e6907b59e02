"""`yolov8_seg_output`: the boxes of `yolov8_output`, with the masks of those that are kept."""

from __future__ import annotations

import json
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from postproc import (
    Detections,
    ImageTransform,
    PostProcessor,
    SegmentedDetections,
    TensorError,
    Yolov8SegOutput,
)
from tests.comparison import assert_equals_reference
from tests.pipeline.test_reference import EXAMPLES
from tests.pipelines import assert_same, post_processor, tensors_of
from tests.reference.masks import (
    cells_in_box,
    coefficients,
    decoded_rle,
    frame_of,
    inside_box,
    is_inside,
    sums_at,
)
from tests.reference.pipeline import pixel_size
from tests.reference.tensors import as_float32, batched
from tests.shares import examples
from tests.strategies import Case, cases, random_case

HEIGHT, WIDTH = 40, 80
LABELS = ["cat", "dog"]


def post(**decision: Any) -> PostProcessor:
    output = Yolov8SegOutput(output_tensor="t", prototypes_tensor="p", layout="channels_last")
    decision = {"input_size": [HEIGHT, WIDTH], **decision}
    return PostProcessor.for_detection(LABELS, output, thresholds=0.5, nms_threshold=0.5, **decision)


def tensors(rows: list[list[float]], prototypes: Any) -> dict[str, Any]:
    """Return the tensors of one image."""
    return {"t": np.array([rows], np.float32), "p": np.array([prototypes], np.float32)}


def found(rows: list[list[float]], prototypes: Any, **options: Any) -> SegmentedDetections:
    detections = post()(tensors(rows, prototypes), **options).outputs[0]
    assert type(detections) is SegmentedDetections
    return detections


WHOLE = [40, 20, 80, 40, 0.9, 0.1]  # a box around the whole input


def cells(text: str) -> NDArray[np.float32]:
    """Return prototypes (1, h, w) of 1 and -1."""
    return np.array(
        [[[1.0 if letter == "#" else -1.0 for letter in line] for line in text.split()]], np.float32
    )


def check_masks(case: Case, num_threads: int = 1) -> int:
    (detections,) = PostProcessor(case.spec, case.version, num_threads)(case.tensors, **case.options).outputs
    assert isinstance(detections, SegmentedDetections)
    detection = case.version["post_processings"][0]["detection"]
    (kind,) = (field for field in detection if field.endswith("_output"))
    output, transforms = detection[kind], case.options["transforms"]
    labels = len(case.spec["outputs"][0]["labels"]["labels"])
    prototypes = as_float32(batched(case.tensors[output["prototypes_tensor"]], 4))
    covered = 0
    for image in range(len(detections)):
        transform = transforms[image] if transforms else None
        size = pixel_size(detection, case.tensors, image, case.options["input_size"], transform)
        for region, numbers in zip(detections[image].regions, detections[image].coefficients, strict=True):
            assert_array_equal(numbers, coefficients(kind, output, case.tensors, labels, image, region))
        covered += check_image(detections[image], prototypes[image], frame_of(size, transform))
    return covered


def check_image(one: SegmentedDetections, prototypes: NDArray[Any], frame: Any) -> int:
    assert one.prototypes[0].shape == prototypes.shape
    covered = 0
    for height, width in ((9, 14), (1, 1)):
        masks = one.masks((height, width))
        assert (masks.dtype, masks.shape) == (np.bool_, (len(one.labels), height, width))
        for row, mask in enumerate(masks):
            with np.errstate(all="ignore"):
                sums = sums_at(one.coefficients[row], prototypes, frame, height, width)
            expected = (sums > 0) & inside_box(one.boxes[row], height, width)
            sure = ~(np.abs(sums) < 1e-4 * (1 + np.nan_to_num(np.abs(one.coefficients[row]).sum())))
            assert_array_equal(mask[sure], expected[sure])
            covered += int(mask.sum())
        encoded = one.to_rle((height, width))
        assert_array_equal([decoded_rle(mask) for mask in encoded], masks if len(masks) else [])
    height, width = prototypes.shape[1:]
    (fx, ox), (fy, oy) = frame
    for row, rings in enumerate(one.mask_polygons()):
        with np.errstate(all="ignore"):
            sums = np.tensordot(one.coefficients[row].astype(np.float64), prototypes.astype(np.float64), 1)
        expected = (sums > 0) & cells_in_box(one.boxes[row], frame, height, width)
        for y in range(height):
            for x in range(width):
                place = ((x + 0.5) / width - ox) / fx, ((y + 0.5) / height - oy) / fy
                if abs(sums[y, x]) < 1e-4 or not (min(place) > 0 and max(place) < 1):
                    continue
                assert is_inside(rings, *place) == expected[y, x]
        assert all(ring.shape[0] >= 4 and ring.min() >= 0 and ring.max() <= 1 for ring in rings)
    return covered


@EXAMPLES
@given(case=cases("yolov8_seg"), num_threads=st.sampled_from([1, 2]))
def test_yolov8_seg_random_case_equals_reference(case: Case, num_threads: int) -> None:
    assert_equals_reference(case, num_threads)


@examples(60)
@given(case=cases("yolov8_seg"), num_threads=st.sampled_from([1, 2]))
def test_yolov8_seg_masks_of_a_random_case_equal_reference(case: Case, num_threads: int) -> None:
    check_masks(case, num_threads)


def test_yolov8_seg_many_rows_equal_reference() -> None:
    covered = 0
    for seed in range(12):
        case = random_case("yolov8_seg", seed, rows=200)
        assert_equals_reference(case)
        covered += check_masks(case)
    assert covered > 100


def test_yolov8_seg_boxes_equal_those_of_yolov8() -> None:
    given_tensors = tensors_of("yolov8_seg")
    segmented = post_processor("yolov8_seg")(given_tensors).outputs[0]
    plain = post_processor("yolov8")({"table": given_tensors["table"][:, :7]}).outputs[0]
    for name in Detections._columns():
        assert_array_equal(getattr(segmented, name), getattr(plain, name), strict=True)


def test_yolov8_seg_layouts_agree() -> None:
    given_tensors = tensors_of("yolov8_seg")
    turned = {**given_tensors, "table": np.ascontiguousarray(given_tensors["table"].transpose(0, 2, 1))}
    assert_same(post_processor("yolov8_seg")(turned), post_processor("yolov8_seg")(given_tensors))


def test_yolov8_seg_mask_in_the_resolution_of_the_prototypes_is_their_sign() -> None:
    shape = cells("#.#. .##. ...#")
    (mask,) = found([[*WHOLE, 2.0]], shape).masks((3, 4))
    assert_array_equal(mask, shape[0] > 0, strict=True)
    (other,) = found([[*WHOLE, -0.5]], shape).masks((3, 4))
    assert_array_equal(other, shape[0] < 0)


def test_yolov8_seg_mask_sums_all_prototypes() -> None:
    prototypes = [[[1.0, 0.0]], [[-2.0, 1.0]], [[0.0, -3.0]]]
    (mask,) = found([[*WHOLE, 3, 1, 0.5]], prototypes).masks((1, 2))
    assert_array_equal(mask, [[True, False]])


def test_yolov8_seg_mask_is_interpolated_between_centres_of_cells() -> None:
    # From 1 at 1/4 to -3 at 3/4: 0 lies at 3/8 of the width, at the border the nearest cell counts.
    (mask,) = found([[*WHOLE, 1]], [[[1.0, -3.0]]]).masks((1, 16))
    assert_array_equal(mask[0], np.arange(16) < 6)


def test_yolov8_seg_mask_is_cropped_to_the_box_in_its_own_size() -> None:
    detections = found([[20, 20, 20, 10, 0.9, 0.1, 1]], [[[1.0]]])
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[15:25, 10:30] = True
    assert_array_equal(detections.masks((HEIGHT, WIDTH))[0], expected)
    # 2.5 to 7.5 and 3.75 to 6.25: what a pixel's number is not below, and is below.
    assert_array_equal(np.nonzero(detections.masks((10, 20))[0].any(axis=0))[0], [3, 4, 5, 6, 7])
    assert_array_equal(np.nonzero(detections.masks((10, 20))[0].any(axis=1))[0], [4, 5, 6])


def test_yolov8_seg_with_a_letterbox_leaves_the_padding_out() -> None:
    # An image of 20 x 20 lies in columns 20 to 60 of 80: the middle two cells of four.
    transform = ImageTransform.letterbox((HEIGHT, WIDTH), (20, 20))
    detections = found([[*WHOLE, 1]], cells("###. .#.#"), transforms=[transform])
    assert_array_equal(detections.masks((2, 2))[0], [[True, True], [True, False]])
    ((ring,),) = detections.mask_polygons()
    expected = [[0, 0], [1, 0], [1, 0.5], [0.5, 0.5], [0.5, 1], [0, 1]]
    assert_array_equal(ring, np.float32(expected))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_yolov8_seg_coefficient_that_is_not_finite_is_no_crash(bad: float) -> None:
    detections = found([[*WHOLE, bad]], cells("#. .#"))
    detections.masks((3, 3))
    assert len(detections.to_rle((3, 3))) == 1
    json.dumps(detections.to_dicts(), allow_nan=False)
    nothing = found([[*WHOLE, np.nan]], cells("#. .#"))
    assert not nothing.masks((3, 3)).any()
    assert nothing.mask_polygons() == [[]]


@pytest.mark.parametrize(
    ("shape", "counts"),
    [
        ("....", [4]),
        ("####", [0, 4]),
        ("#...", [0, 1, 3]),
        ("...#", [3, 1]),
        ("#.#.", [0, 1, 1, 1, 1]),
    ],
)
def test_yolov8_seg_rle_counts_runs(shape: str, counts: list[int]) -> None:
    (encoded,) = found([[*WHOLE, 1]], cells(shape)).to_rle((1, 4))
    assert encoded["size"] == [1, 4]
    differences = [count - counts[place - 2] if place > 2 else count for place, count in enumerate(counts)]
    assert encoded["counts"] == "".join(chr(48 + (number & 31)) for number in differences)
    assert_array_equal(decoded_rle(encoded), cells(shape)[0] > 0)


def test_yolov8_seg_rle_of_large_masks_equals_the_masks() -> None:
    rng = np.random.default_rng(0)
    rows = [
        [*rng.uniform(0, [WIDTH, HEIGHT]), *rng.uniform(2, 60, 2), 0.6 + 0.01 * i, 0, *rng.normal(0, 1, 3)]
        for i in range(30)
    ]
    detections = found([*rows, [*WHOLE, 1, 1, 1]], rng.normal(0, 1, (3, 20, 40)))
    for size in ((300, 417), (7, 999), (500, 1)):
        masks, encoded = detections.masks(size), detections.to_rle(size)
        assert masks.any()
        assert_array_equal([decoded_rle(mask) for mask in encoded], masks)


def test_yolov8_seg_rle_equals_pycocotools() -> None:
    mask_api = pytest.importorskip("pycocotools.mask")
    detections = post_processor("yolov8_seg")(tensors_of("yolov8_seg")).outputs[0][0]
    assert isinstance(detections, SegmentedDetections)
    for mask, encoded in zip(detections.masks((60, 50)), detections.to_rle((60, 50)), strict=True):
        assert (
            mask_api.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode() == encoded["counts"]
        )


@pytest.mark.parametrize(
    ("shape", "rings"),
    [
        (".... .##. ....", [[[1, 1], [3, 1], [3, 2], [1, 2]]]),
        (
            "###. #.#. ###.",
            [[[0, 0], [3, 0], [3, 3], [0, 3]], [[1, 2], [2, 2], [2, 1], [1, 1]]],
        ),
        (
            "#... .#.. ....",
            [[[0, 0], [1, 0], [1, 1], [0, 1]], [[1, 1], [2, 1], [2, 2], [1, 2]]],
        ),
        ("##.. #... ....", [[[0, 0], [2, 0], [2, 1], [1, 1], [1, 2], [0, 2]]]),
        (".... .... ....", []),
    ],
    ids=["rectangle", "hole", "corner", "angle", "nothing"],
)
def test_yolov8_seg_polygons_follow_the_edges_of_cells(shape: str, rings: Any) -> None:
    (outlines,) = found([[*WHOLE, 1]], cells(shape)).mask_polygons()
    assert len(outlines) == len(rings)
    for ring, expected in zip(outlines, rings, strict=True):
        assert ring.dtype == np.float32
        assert_allclose(ring * [4, 3], expected, atol=1e-5)


def test_yolov8_seg_masks_of_several_images_are_a_tensor_error() -> None:
    detections = post_processor("yolov8_seg")(tensors_of("yolov8_seg")).outputs[0]
    assert isinstance(detections, SegmentedDetections)
    with pytest.raises(TensorError, match="masks takes one image, as of detections\\[i\\]; these are 3"):
        detections.masks((4, 4))


@pytest.mark.parametrize("size", [(0, 4), (4,), (4.5, 4), (np.nan, 4), ("4", "4"), (-1, 4), 4], ids=str)
def test_yolov8_seg_masks_of_no_size_are_a_tensor_error(size: Any) -> None:
    detections = found([[*WHOLE, 1]], cells("#."))
    with pytest.raises(TensorError, match=r"must be (\[height, width\]|positive)"):
        detections.masks(size)
    with pytest.raises(TensorError, match=r"must be (\[height, width\]|positive)"):
        detections.to_rle(size)


def test_segmented_detections_index_and_join_keep_their_masks() -> None:
    whole = post_processor("yolov8_seg")(tensors_of("yolov8_seg"), show_discarded=True).outputs[0]
    assert isinstance(whole, SegmentedDetections)
    sizes = [(9, 8), (7, 6), (5, 4)]
    encoded = whole.to_rle(sizes)
    joined = SegmentedDetections.concatenate([whole[0], whole[1:]])
    for same in (joined, whole[:], pickle.loads(pickle.dumps(whole))):
        assert same.to_rle(sizes) == encoded
    assert whole[1].to_rle(sizes[1]) == encoded[whole.offsets[1] : whole.offsets[2]]
    mask = whole.labels == 1
    assert whole[mask].to_rle(sizes) == [one for one, kept in zip(encoded, mask, strict=True) if kept]
    assert whole[:0].to_rle((4, 4)) == whole[:0].mask_polygons() == []


def test_segmented_detections_hold_the_prototypes_themselves() -> None:
    given_tensors = tensors_of("yolov8_seg")
    for num_threads in (1, 2):
        detections = post_processor("yolov8_seg", num_threads)(given_tensors).outputs[0]
        assert isinstance(detections, SegmentedDetections)
        assert all(np.shares_memory(image, given_tensors["prototypes"]) for image in detections.prototypes)


def test_segmented_detections_to_dicts_adds_polygons_to_the_roi() -> None:
    (image,) = found([[*WHOLE, 1]], cells("#...")).to_dicts()
    roi = image["predicted"][0]["roi"]
    assert set(roi) == {"region_id", "bbox", "polygons"}
    assert roi["polygons"] == [[{"x": 0, "y": 0}, {"x": 0.25, "y": 0}, {"x": 0.25, "y": 1}, {"x": 0, "y": 1}]]
    assert json.loads(json.dumps(image)) == image


def test_segmented_detections_to_coco_has_the_rle_of_the_predicted() -> None:
    rows = [[*WHOLE, 1], [20, 20, 10, 10, 0.2, 0.6, -1]]
    detections = found(rows, cells("#..."), show_discarded=True)
    assert not detections.predicted.all()
    first, second = detections.to_coco([5], (HEIGHT, WIDTH))
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[:, :20] = True
    assert_array_equal(decoded_rle(first["segmentation"]), expected)
    assert second["category_id"] == 1
    json.dumps([first, second])


def test_segmented_detections_to_supervision_has_the_masks() -> None:
    detections = found([[*WHOLE, 1]], cells("#..."), show_discarded=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it would rather have OpenCV
        made = detections.to_supervision((HEIGHT, WIDTH))
    assert_array_equal(made.mask, detections[detections.predicted].masks((HEIGHT, WIDTH)))
