"""`yolov8_pose_output`: the boxes of `yolov8_output`, with the keypoints of those that are kept."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Iterator
from inspect import signature
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from postproc import (
    Detections,
    ImageTransform,
    KeypointDetections,
    PostProcessor,
    TensorError,
    Yolov8Output,
    Yolov8PoseOutput,
)
from postproc.results.keypoints import COCO_SKELETON
from postproc.schema import Detection
from tests.comparison import assert_equals_reference
from tests.pipeline.test_reference import EXAMPLES
from tests.pipelines import assert_same, post_processor, tensors_of
from tests.reference.pipeline import pixel_size
from tests.reference.points import keypoints
from tests.strategies import Case, cases, random_case

HEIGHT, WIDTH = 100, 200
LABELS = ["person", "dog"]


def post(**output: Any) -> PostProcessor:
    described = Yolov8PoseOutput(output_tensor="t", **{"keypoints": 2, **output})
    return PostProcessor.for_detection(
        LABELS, described, thresholds=0.5, nms_threshold=0.5, input_size=[HEIGHT, WIDTH]
    )


def table(*rows: list[float]) -> dict[str, Any]:
    """Return the tensor of one image."""
    return {"t": np.array([rows], np.float32)}


PERSON = [100, 50, 40, 20, 0.9, 0.1, 90, 45, 0.75, 220, -10, 0.25]
DOG = [20, 20, 10, 10, 0.2, 0.8, 20, 20, 1.0, 30, 25, 0.0]
TWICE = [101, 50, 40, 20, 0.8, 0.1, 1, 1, 1, 1, 1, 1]


def found(*rows: list[float], **output: Any) -> KeypointDetections:
    detections = post(layout="channels_last", **output)(table(*rows)).outputs[0]
    assert type(detections) is KeypointDetections
    return detections


def rows_of(case: Case, detections: Detections) -> Iterator[tuple[int, int, int]]:
    """Yield row, image and region of each detection."""
    for image in range(len(detections)):
        for row in range(int(detections.offsets[image]), int(detections.offsets[image + 1])):
            yield row, image, int(detections.regions[row])


def check_keypoints(case: Case, num_threads: int = 1) -> int:
    post = PostProcessor(case.spec, case.version, num_threads)
    (detections,) = post(case.tensors, **case.options).outputs
    assert isinstance(detections, KeypointDetections)
    detection = case.version["post_processings"][0]["detection"]
    (kind,) = (field for field in detection if field.endswith("_output"))
    output = detection[kind]
    assert detections.keypoints.dtype == np.float32
    has_dimensions = "dimensions" in Detection.alternatives[kind].model_fields
    dimensions = output.get("dimensions", 3) if has_dimensions else 2
    assert detections.keypoints.shape[1:] == (output["keypoints"], dimensions)
    transforms, labels = case.options["transforms"], len(case.spec["outputs"][0]["labels"]["labels"])
    for row, image, region in rows_of(case, detections):
        transform = transforms[image] if transforms else None
        size = pixel_size(detection, case.tensors, image, case.options["input_size"], transform)
        expected = keypoints(kind, output, case.tensors, labels, image, region, size, transform)
        assert_allclose(detections.keypoints[row], expected, rtol=1e-6, atol=0)
    return len(detections.labels)


@EXAMPLES
@given(case=cases("yolov8_pose"), num_threads=st.sampled_from([1, 2]))
def test_yolov8_pose_random_case_equals_reference(case: Case, num_threads: int) -> None:
    assert_equals_reference(case, num_threads)
    check_keypoints(case, num_threads)


def test_yolov8_pose_many_rows_equal_reference() -> None:
    rows = 0
    for seed in range(32):
        case = random_case("yolov8_pose", seed, rows=200)
        assert_equals_reference(case)
        rows += check_keypoints(case)
    assert rows > 100


def test_yolov8_pose_keypoints_are_relative_to_the_input_and_not_clipped() -> None:
    detections = found(PERSON, TWICE, DOG)
    assert_array_equal(detections.label_names, ["person", "dog"])
    expected = [[[0.45, 0.45, 0.75], [1.1, -0.1, 0.25]], [[0.1, 0.2, 1.0], [0.15, 0.25, 0.0]]]
    assert_array_equal(detections.keypoints, np.array(expected, np.float32), strict=True)


def test_yolov8_pose_of_two_dimensions_has_no_scores() -> None:
    detections = found([*PERSON[:6], 90, 45, 220, -10], dimensions=2)
    assert_array_equal(detections.keypoints, np.array([[[0.45, 0.45], [1.1, -0.1]]], np.float32))
    (row,) = detections.to_dicts()[0]["predicted"]
    assert [set(point) for point in row["roi"]["keypoints"]] == [{"x", "y"}] * 2
    assert detections.to_coco([1], (HEIGHT, WIDTH))[0]["keypoints"] == pytest.approx(
        [90, 45, 1, 220, -10, 1], rel=1e-6
    )


def test_yolov8_pose_boxes_equal_those_of_yolov8() -> None:
    tensors = tensors_of("yolov8_pose")
    poses = post_processor("yolov8_pose")(tensors, show_discarded=True).outputs[0]
    plain = post_processor("yolov8")({"table": tensors["table"][:, :7]}, show_discarded=True).outputs[0]
    assert isinstance(poses, Detections)
    for name in Detections._columns():
        assert_array_equal(getattr(poses, name), getattr(plain, name), strict=True)
    assert type(plain) is Detections


def test_yolov8_pose_layouts_agree() -> None:
    tensors = tensors_of("yolov8_pose")
    turned = {"table": np.ascontiguousarray(tensors["table"].transpose(0, 2, 1))}
    assert_same(post_processor("yolov8_pose")(turned), post_processor("yolov8_pose")(tensors))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", [6, 7, 8])
def test_yolov8_pose_point_that_is_not_finite_is_zeros(column: int, bad: float) -> None:
    row = [*PERSON]
    row[column] = bad
    detections = found(row)
    assert_array_equal(detections.keypoints[0, 0], np.zeros(3, np.float32), strict=True)
    assert detections.keypoints[0, 1].all()
    json.dumps(detections.to_dicts(), allow_nan=False)


def test_yolov8_pose_with_a_letterbox_is_relative_to_the_image() -> None:
    # 100 x 200 of an image of 200 x 200: it lies in columns 50 to 150.
    transform = ImageTransform.letterbox((HEIGHT, WIDTH), (200, 200))
    (detections,) = post(layout="channels_last")(table(PERSON), transforms=[transform]).outputs
    assert isinstance(detections, KeypointDetections)
    expected = np.array([[[0.4, 0.45, 0.75], [1.7, -0.1, 0.25]]], np.float32)
    assert_array_equal(detections.keypoints, expected)
    assert_array_equal(detections.keypoints_to_pixels((200, 200))[0, 0], np.array([80, 90, 0.75], np.float32))


PEOPLE = [100, 50, 40, 20, 0.9, *[90, 45, 0.75] * 17]


@pytest.mark.parametrize(
    ("labels", "keypoints", "skeleton", "expected"),
    [
        (["person"], 17, None, COCO_SKELETON),
        (["person"], 16, None, ()),
        (["cat"], 17, None, ()),
        (["person", "cat"], 17, None, ()),
        (["person"], 17, [], ()),
        (["cat"], 17, [[1, 2], [2, 17]], ((1, 2), (2, 17))),
    ],
    ids=["coco", "other-count", "other-label", "several-labels", "none-wanted", "given"],
)
def test_yolov8_pose_skeleton_is_the_documents_or_coco_s_of_persons(
    labels: list[str], keypoints: int, skeleton: Any, expected: Any
) -> None:
    output = Yolov8PoseOutput(output_tensor="t", keypoints=keypoints, skeleton=skeleton)
    processor = PostProcessor.for_detection(labels, output, thresholds=0.5, input_size=[HEIGHT, WIDTH])
    row = [*PEOPLE[:4], *[0.9] * len(labels), *PEOPLE[5:]][: 4 + len(labels) + 3 * keypoints]
    found = processor({"t": np.array([[row]] * 2, np.float32).transpose(0, 2, 1)}).outputs[0]
    assert isinstance(found, KeypointDetections)
    parts = found[0], found[1:], found[found.predicted], pickle.loads(pickle.dumps(found))
    for part in (found, *parts, KeypointDetections.concatenate(parts)):
        assert part.skeleton == expected


def test_coco_skeleton_joins_each_of_its_17_points_and_is_symmetric() -> None:
    # COCO's order: the nose, then left and right of eyes, ears, shoulders, elbows, wrists, hips, knees, ...
    mirrored = {1: 1, **{point: point + 1 if point % 2 == 0 else point - 1 for point in range(2, 18)}}
    limbs = {frozenset(limb) for limb in COCO_SKELETON}
    assert {point for limb in limbs for point in limb} == set(range(1, 18))
    assert len(limbs) == len(COCO_SKELETON) == 19
    assert {frozenset(mirrored[point] for point in limb) for limb in limbs} == limbs


def test_keypoint_detections_index_and_join_keep_their_points() -> None:
    whole = post_processor("yolov8_pose")(tensors_of("yolov8_pose"), show_discarded=True).outputs[0]
    assert isinstance(whole, KeypointDetections)
    parts = [whole[0], whole[1:]]
    assert_array_equal(parts[1].keypoints, whole.keypoints[whole.offsets[1] :])
    assert_array_equal(KeypointDetections.concatenate(parts).keypoints, whole.keypoints)
    mask = whole.labels == 1
    assert_array_equal(whole[mask].keypoints, whole.keypoints[mask])
    assert_array_equal(pickle.loads(pickle.dumps(whole)).keypoints, whole.keypoints)


def test_keypoint_detections_to_dicts_adds_points_to_the_roi() -> None:
    (image,) = found(PERSON, DOG).to_dicts()
    person, dog = image["predicted"]
    assert person["roi"]["keypoints"][0] == pytest.approx({"x": 0.45, "y": 0.45, "score": 0.75})
    assert set(dog["roi"]) == {"region_id", "bbox", "keypoints"}
    assert json.loads(json.dumps(image)) == image


def test_keypoint_detections_to_coco_has_points_of_the_predicted_in_pixels() -> None:
    detections = post(layout="channels_last")(table(DOG, PERSON), show_discarded=True).outputs[0]
    assert isinstance(detections, KeypointDetections)
    assert not detections.predicted.all()
    person, dog = detections.to_coco([5], (HEIGHT, WIDTH))
    assert (person["category_id"], dog["category_id"]) == (0, 1)
    assert person["keypoints"] == pytest.approx([90, 45, 0.75, 220, -10, 0.25], rel=1e-6)
    assert dog["keypoints"] == pytest.approx([20, 20, 1, 30, 25, 0], rel=1e-6)
    json.dumps([person, dog])


def test_keypoint_detections_without_rows_leave_in_every_form() -> None:
    detections = found([*PERSON[:4], 0, 0, *PERSON[6:]])
    assert detections.keypoints.shape == (0, 2, 3)
    assert detections.to_coco([1], (HEIGHT, WIDTH)) == []
    assert detections.to_dicts() == [{"predicted": [], "discarded": []}]


def test_keypoint_detections_to_supervision_has_points_in_pixels() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it would rather have OpenCV
        made = found(PERSON, DOG).to_supervision((HEIGHT, WIDTH))
    assert_allclose(made.data["keypoints"][0, 0], [90, 45, 0.75], rtol=1e-6)
    assert made[1:].data["keypoints"].shape == (1, 2, 3)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_to_supervision_keypoints_has_predicted_points_of_one_image_in_pixels(dimensions: int) -> None:
    person, dog = [*PERSON], [*DOG[:5], 0.3, *DOG[6:]]  # the dog is discarded
    if dimensions == 2:
        del person[11], person[8], dog[11], dog[8]
    processor = post(layout="channels_last", dimensions=dimensions)
    found = processor(table(dog, person), show_discarded=True).outputs[0]
    assert isinstance(found, KeypointDetections)
    assert len(found.labels) > found.predicted.sum() == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it would rather have OpenCV
        made = found.to_supervision_keypoints((2 * HEIGHT, 2 * WIDTH))
        is_new = "keypoint_confidence" in signature(type(made)).parameters  # from 0.29 on
        scores = made.keypoint_confidence if is_new else made.confidence
        shown = made[np.array([True])]
    assert_allclose(made.xy, [[[180, 90], [440, -20]]], rtol=1e-6)
    assert (scores is None) == (dimensions == 2)
    if scores is not None:
        assert_array_equal(scores, np.array([[0.75, 0.25]], np.float32))
    if is_new:
        assert_array_equal(made.detection_confidence, found.scores[:1], strict=True)
    assert_array_equal(made.class_id, [0])
    assert list(made.data["class_name"]) == list(shown.data["class_name"]) == ["person"]
    assert len(made) == 1


def test_to_supervision_keypoints_without_rows_is_empty() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = found([*PERSON[:4], 0, 0, *PERSON[6:]]).to_supervision_keypoints((HEIGHT, WIDTH))
        assert made.is_empty()
    assert len(made) == 0


def test_to_supervision_keypoints_several_images_are_a_tensor_error() -> None:
    several = post_processor("yolov8_pose")(tensors_of("yolov8_pose")).outputs[0]
    assert isinstance(several, KeypointDetections)
    with pytest.raises(TensorError, match=r"to_supervision_keypoints takes one image, as of detections\[i\]"):
        several.to_supervision_keypoints((HEIGHT, WIDTH))


def test_keypoints_to_pixels_wrong_sizes_are_a_tensor_error() -> None:
    with pytest.raises(TensorError, match="sizes must be"):
        found(PERSON).keypoints_to_pixels([(1, 2)] * 2)


def test_yolov8_output_tensor_of_a_pose_network_is_a_tensor_error() -> None:
    plain = PostProcessor.for_detection(LABELS, Yolov8Output(output_tensor="t"))
    with pytest.raises(TensorError, match="from 4 \\+ labels"):
        plain(table(PERSON, DOG))
