"""`end_to_end_output`: finished rows that hold more than boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from postproc import (
    EndToEndOutput,
    ImageTransform,
    KeypointDetections,
    OrientedDetections,
    PastedDetections,
    PostProcessor,
    TensorError,
)
from postproc.results.segmented import SegmentedDetections
from tests.comparison import assert_equals_reference
from tests.decoding.test_yolov8_obb import check_corners
from tests.decoding.test_yolov8_seg import check_image
from tests.pipeline.test_reference import EXAMPLES
from tests.reference.boxes import rounded, to_corners
from tests.reference.decode_rows import finished_rows
from tests.reference.masks import decoded_rle, frame_of, pasted_at, sums_at
from tests.reference.pipeline import pixel_size, unclipped
from tests.reference.points import placed_points
from tests.reference.tensors import as_float32, batched
from tests.strategies import Case, cases, near_tie, random_case


def check_more(case: Case, num_threads: int = 1) -> int:
    """Compare what comes with boxes, whatever it is; return how many boxes there are."""
    detection = case.version["post_processings"][0]["detection"]
    output = detection["end_to_end_output"]
    kind = EndToEndOutput.load(output).yields
    if kind == "oriented boxes":
        return check_corners(case, num_threads)
    (found,) = PostProcessor(case.spec, case.version, num_threads)(case.tensors, **case.options).outputs
    if kind == "boxes":
        return len(found.labels)
    transforms = case.options["transforms"]
    batch_size = case.options.get("batch_size") or (len(transforms) if transforms else None)
    images = finished_rows(output, case.tensors, batch_size)
    of_masks = SegmentedDetections if "prototypes_tensor" in output else PastedDetections
    assert isinstance(found, KeypointDetections if kind == "keypoints" else of_masks)
    for image, rows in enumerate(images):
        transform = transforms[image] if transforms else None
        size = pixel_size(detection, case.tensors, image, case.options["input_size"], transform)
        of_image = found[image]
        assert rows.more is not None
        more = rows.more[of_image.regions]
        if isinstance(of_image, KeypointDetections):
            shape = output["keypoints"], output.get("dimensions", 3)
            assert of_image.keypoints.shape[1:] == shape
            expected = [placed_points(one.reshape(shape), size, transform) for one in more]
            assert_allclose(of_image.keypoints, np.reshape(expected, (-1, *shape)), rtol=1e-6, atol=0)
        elif isinstance(of_image, PastedDetections):
            boxes = [rounded(to_corners(box, output.get("box_format", "xyxy"))) for box in rows.boxes]
            check_pasted(of_image, more, [boxes[region] for region in of_image.regions], size, transform)
        else:
            prototypes = as_float32(batched(case.tensors[output["prototypes_tensor"]], 4))
            assert isinstance(of_image, SegmentedDetections)
            assert_array_equal(of_image.coefficients, more)
            check_image(of_image, prototypes[image], frame_of(size, transform))
    return len(found.labels)


def check_pasted(
    one: PastedDetections, masks: NDArray[Any], boxes: list[NDArray[Any]], size: Any, transform: Any
) -> None:
    """Compare the masks of an image, pixel by pixel; of each there is one, or one for each label."""
    height, width = 9, 14
    drawn = one.masks((height, width))
    assert_array_equal(
        [decoded_rle(mask) for mask in one.to_rle((height, width))], drawn if len(drawn) else []
    )
    for mask, of_labels, label, box in zip(drawn, masks, one.labels, boxes, strict=True):
        grid = of_labels[label] if len(of_labels) > 1 else of_labels[0]
        if not np.isfinite(grid).all():
            continue
        if one.covers_image[0]:
            frame = frame_of(size, transform)
            values = sums_at(np.ones(1), grid[np.newaxis].astype(np.float64) - 0.5, frame, height, width)
        else:
            placed = [
                unclipped(float(side), axis, size, transform) * (width, height)[axis]
                for side, axis in zip(box, (0, 1, 0, 1), strict=True)
            ]
            if np.abs(placed).max() > 1e6:
                continue
            pasted, has = pasted_at(grid, placed, height, width)
            values = np.where(has, pasted, -1)
        sure = np.abs(values) > 1e-5 * np.abs(grid).max(initial=1)
        assert_array_equal(mask[sure], values[sure] > 0)


@EXAMPLES
@given(case=cases("end_to_end"), num_threads=st.sampled_from([1, 2]))
def test_end_to_end_random_case_equals_reference(case: Case, num_threads: int) -> None:
    assume(not near_tie(case))
    assert_equals_reference(case, num_threads)
    check_more(case, num_threads)


def test_end_to_end_many_rows_equal_reference() -> None:
    seen: dict[str, int] = {}
    for seed in range(80):
        case = random_case("end_to_end", seed, rows=60)
        if near_tie(case):
            continue
        assert_equals_reference(case)
        output = EndToEndOutput.load(case.version["post_processings"][0]["detection"]["end_to_end_output"])
        seen[output.yields] = seen.get(output.yields, 0) + check_more(case)
    assert min(seen.get(kind, 0) for kind in ("boxes", "keypoints", "masks", "oriented boxes")) > 50


HEIGHT, WIDTH = 100, 200
LABELS = ["person", "dog"]
# Corners, score, class; then two points with a score.
PERSON = [80, 40, 120, 60, 0.9, 0, 90, 45, 0.75, 220, -10, 0.25]
DOG = [15, 15, 25, 25, 0.8, 1, 20, 20, 1.0, 30, 25, 0.0]
PADDING = [0.0] * 12
COLUMNS: tuple[Any, ...] = ("box", "score", "class")


def post(output: EndToEndOutput, **decision: Any) -> PostProcessor:
    return PostProcessor.for_detection(
        LABELS, output, thresholds=0.5, **{"input_size": [HEIGHT, WIDTH], **decision}
    )


def found(output: EndToEndOutput, tensors: dict[str, Any], **options: Any) -> Any:
    arrays = {name: np.array(tensor, np.float32) for name, tensor in tensors.items()}
    (detections,) = post(output)(arrays, **options).outputs
    return detections


POSES = EndToEndOutput(output_tensor="rows", columns=(*COLUMNS, "keypoints"), keypoints=2)
POINTS = [[[0.45, 0.45, 0.75], [1.1, -0.1, 0.25]], [[0.1, 0.2, 1.0], [0.15, 0.25, 0.0]]]


def test_end_to_end_keypoints_are_relative_to_the_input_and_not_clipped() -> None:
    detections = found(POSES, {"rows": [[PADDING, PERSON, DOG]]})
    assert type(detections) is KeypointDetections
    assert_array_equal(detections.label_names, LABELS)
    assert_array_equal(detections.regions, [1, 2])
    assert_array_equal(detections.keypoints, np.array(POINTS, np.float32), strict=True)


@pytest.mark.parametrize("batch", [1, 2])
def test_end_to_end_keypoints_apart_are_those_of_their_rows(batch: int) -> None:
    """As of torchvision's Keypoint R-CNN, whose third number is 1."""
    output = EndToEndOutput(
        boxes_tensor="boxes", scores_tensor="scores", classes_tensor="labels",
        keypoints_tensor="keypoints", keypoints=2,
    )  # fmt: skip
    rows = np.array([[PERSON, DOG], [DOG, PERSON]], np.float32)[:batch]
    tensors = {
        "boxes": rows[..., :4],
        "scores": rows[..., 4],
        "labels": rows[..., 5],
        "keypoints": rows[..., 6:].reshape(batch, 2, 2, 3),
    }
    if batch == 1:
        tensors = {name: tensor[0] for name, tensor in tensors.items()}
    detections = found(output, tensors)
    assert_array_equal(detections.keypoints, np.array(POINTS * batch, np.float32), strict=True)
    assert_array_equal(detections.regions, [0, 1, 1, 0][: 2 * batch])


def test_end_to_end_lists_of_images_keep_keypoints_with_their_boxes() -> None:
    output = EndToEndOutput(output_tensor="rows", columns=("image", *COLUMNS, "keypoints"), keypoints=2)
    apart = EndToEndOutput(
        output_tensor="rows", columns=("image", "box", "score"), classes_tensor="labels",
        keypoints_tensor="keypoints", keypoints=2,
    )  # fmt: skip
    rows = np.array([[2, *DOG], [0, *PERSON], [2, *PERSON], [-1, *DOG], [0, *DOG]], np.float32)
    tensors = {"rows": rows[:, :6], "labels": rows[:, 6], "keypoints": rows[:, 7:].reshape(5, 2, 3)}
    for detections in (found(output, {"rows": rows}), found(apart, tensors)):
        assert_array_equal(detections.offsets, [0, 1, 1, 3])
        assert_array_equal(detections.regions, [0, 1, 0])
        assert_array_equal(detections.keypoints, np.array(POINTS[:1] + POINTS, np.float32))


def test_end_to_end_classes_apart_are_those_of_mmdeploy() -> None:
    output = EndToEndOutput(output_tensor="dets", columns=("box", "score"), classes_tensor="labels")
    dets, labels = np.array([[PERSON[:5], DOG[:5], [0] * 5]], np.float32), np.array([[0, 1, -1]])
    (detections,) = post(output)({"dets": dets, "labels": labels}).outputs
    assert_array_equal(detections.label_names, LABELS)
    packed = found(EndToEndOutput(output_tensor="rows"), {"rows": [[PERSON[:6], DOG[:6]]]})
    assert_array_equal(detections.boxes, packed.boxes)


ORIENTED = EndToEndOutput(output_tensor="rows", columns=(*COLUMNS, "angle"), box_format="cxcywh")
TURNED = [100, 50, 40, 20, 0.9, 0, np.pi / 2]
BESIDE = [100, 50, 20, 40, 0.8, 0, 0.0]
FLAT = [100, 50, 0, 40, 0.8, 0, 0.0]


def test_end_to_end_oriented_boxes_have_corners_and_no_nms_unless_it_is_asked_for() -> None:
    detections = found(ORIENTED, {"rows": [[TURNED, BESIDE, FLAT]]})
    assert type(detections) is OrientedDetections
    assert_allclose(detections.boxes, [[0.45, 0.3, 0.55, 0.7]] * 2, atol=1e-6)
    assert_array_equal(detections.angles, np.array([np.pi / 2, 0], np.float32))
    assert_allclose(detections.polygons[0], [[0.45, 0.7], [0.55, 0.7], [0.55, 0.3], [0.45, 0.3]], atol=1e-6)
    rows = {"rows": np.array([[TURNED, BESIDE]], np.float32)}
    assert len(post(ORIENTED, nms_threshold=0.9)(rows).outputs[0].labels) == 1


def test_end_to_end_oriented_boxes_are_in_pixels_of_what_a_call_says() -> None:
    processor = PostProcessor.for_detection(LABELS, ORIENTED, thresholds=0.5)
    rows = {"rows": np.array([[TURNED]], np.float32)}
    transform = ImageTransform.letterbox((HEIGHT, WIDTH), (200, 200))
    for options in ({"input_size": (HEIGHT, WIDTH)}, {"transforms": [transform]}):
        (detections,) = processor(rows, **options).outputs
        assert detections.boxes.max() < 1


SEGMENTS = EndToEndOutput(
    output_tensor="rows", columns=(*COLUMNS, "coefficients"), prototypes_tensor="prototypes"
)


@pytest.mark.parametrize("keep", [True, False])
def test_end_to_end_empty_masks_are_left_out_where_it_says_so(keep: bool) -> None:
    output = SEGMENTS.model_copy(update={"keep_empty_masks": keep})
    prototypes = np.ones((1, 1, 25, 50), np.float32)
    rows = [[*PERSON[:6], -1], [*DOG[:6], 1]]
    detections = found(output, {"rows": [rows], "prototypes": prototypes})
    assert type(detections) is SegmentedDetections
    assert_array_equal(detections.label_names, LABELS if keep else ["dog"])
    assert_array_equal(
        detections[0].masks((HEIGHT, WIDTH)).any(axis=(1, 2)), [False, True] if keep else [True]
    )


def test_end_to_end_prototypes_say_how_many_images_a_list_is_of() -> None:
    output = SEGMENTS.model_copy(update={"columns": ("image", *SEGMENTS.columns)})
    tensors = {"rows": [[1, *DOG[:6], 1]], "prototypes": np.ones((3, 1, 4, 4))}
    assert len(found(output, tensors)) == 3
    tensors["rows"][0][0] = 3
    with pytest.raises(TensorError, match="a whole number, 0 to 2 by the images of 'prototypes', or -1"):
        found(output, tensors)


@pytest.mark.parametrize(
    ("output", "shapes", "message"),
    [
        (
            POSES,
            {"rows": (1, 3, 13)},
            r"'rows' has shape (1, 3, 13); expected (B, N, 12) or (N, 12), the columns box, score, class, "
            "keypoints, of which box takes four, keypoints 6",
        ),
        (
            SEGMENTS,
            {"rows": (1, 3, 10), "prototypes": (1, 5, 4, 4)},
            "expected (B, N, 11) or (N, 11), the columns box, score, class, coefficients, of which box takes "
            "four, coefficients 5",
        ),
        (
            SEGMENTS,
            {"rows": (2, 3, 11), "prototypes": (1, 5, 4, 4)},
            "'prototypes' has shape (1, 5, 4, 4); expected (2, M, h, w), as many images as 'rows' has",
        ),
        (SEGMENTS, {"rows": (2, 3, 11), "prototypes": (5, 4)}, "expected (B, M, h, w)"),
        (
            EndToEndOutput(output_tensor="rows", columns=("box", "score"), classes_tensor="labels"),
            {"rows": (2, 3, 5), "labels": (2, 4)},
            "'labels' has shape (2, 4); expected (2, 3), one per row of 'rows' (2, 3, 5)",
        ),
        (
            EndToEndOutput(output_tensor="rows", keypoints_tensor="points", keypoints=2),
            {"rows": (2, 3, 6), "points": (2, 3, 2, 2)},
            "'points' has shape (2, 3, 2, 2); expected (2, 3, 2, 3), the keypoints of each row of 'rows' "
            "(2, 3, 6)",
        ),
    ],
    ids=str,
)
def test_end_to_end_wrong_shapes_name_what_is_expected(
    output: EndToEndOutput, shapes: dict[str, tuple[int, ...]], message: str
) -> None:
    with pytest.raises(TensorError) as error:
        found(output, {name: np.zeros(shape) for name, shape in shapes.items()})
    assert message in str(error.value)


@pytest.mark.parametrize("output", [POSES, ORIENTED, SEGMENTS], ids=lambda output: output.yields)
def test_end_to_end_warm_up_and_no_rows(output: EndToEndOutput) -> None:
    processor = post(output)
    processor.warmup()
    width = {"keypoints": 12, "oriented boxes": 7, "masks": 7}[output.yields]
    for shape in ((1, 0, width), (1, 4, width), (0, width)):
        tensors = {"rows": np.zeros(shape, np.float32), "prototypes": np.ones((1, 1, 4, 4), np.float32)}
        assert len(processor(tensors).outputs[0].labels) == 0
