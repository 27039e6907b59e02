"""`yolov8_obb_output`: boxes that are turned, suppressed by what the rectangles share."""

from __future__ import annotations

import json
import math
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from postproc import (
    ImageTransform,
    OrientedDetections,
    PostProcessor,
    TensorError,
    Yolov8ObbOutput,
    Yolov8Output,
    ops,
)
from tests import reference
from tests.comparison import assert_equals_reference
from tests.pipeline.test_reference import EXAMPLES
from tests.pipelines import assert_same, post_processor, tensors_of
from tests.reference.pipeline import pixel_size
from tests.reference.points import place_point
from tests.reference.rectangles import corners, probiou, rectangle_iou
from tests.reference.tensors import as_float32
from tests.strategies import Case, cases, near_tie, random_case

WAYS = pytest.mark.parametrize(
    "way",
    [
        {"iou": iou, "suppression": suppression}
        for iou in ("exact", "probiou")
        for suppression in ("greedy", "fast")
    ],
    ids=lambda way: ", ".join(way.values()),
)
HEIGHT, WIDTH = 100, 200
LABELS = ["ship", "plane"]
QUARTER = math.pi / 4

sides = st.floats(0.5, 50, width=32)
rectangles = st.tuples(
    st.floats(-30, 30, width=32), st.floats(-30, 30, width=32), sides, sides, st.floats(-7, 7, width=32)
)


def iou(a: Any, b: Any) -> float:
    return float(ops.oriented_box_iou(np.array([a], np.float64), np.array([b], np.float64))[0, 0])


@EXAMPLES
@given(a=rectangles, b=rectangles)
def test_oriented_box_iou_equals_reference_and_is_symmetric(a: Any, b: Any) -> None:
    assert iou(a, b) == pytest.approx(rectangle_iou(a, b), abs=1e-9)
    assert iou(a, b) == pytest.approx(iou(b, a), abs=1e-12)
    assert 0 <= iou(a, b) <= 1 + 1e-12


@EXAMPLES
@given(a=rectangles, b=rectangles)
def test_oriented_box_iou_equals_shapely(a: Any, b: Any) -> None:
    shapely = pytest.importorskip("shapely")
    one, other = shapely.Polygon(corners(a)), shapely.Polygon(corners(b))
    expected = one.intersection(other).area / one.union(other).area
    assert iou(a, b) == pytest.approx(expected, abs=1e-9)


@EXAMPLES
@given(box=rectangles, turns=st.integers(-2, 2))
def test_oriented_box_iou_of_a_box_with_itself_is_1_however_it_is_written(box: Any, turns: int) -> None:
    cx, cy, width, height, angle = box
    assert iou(box, box) == pytest.approx(1, abs=1e-12)
    angle = np.float32(angle)
    assert iou(box, (cx, cy, width, height, angle + turns * math.pi)) == pytest.approx(1, abs=1e-4)
    assert iou(box, (cx, cy, height, width, angle + math.pi / 2)) == pytest.approx(1, abs=1e-4)


@EXAMPLES
@given(a=rectangles, b=rectangles, signs=st.tuples(*[st.sampled_from([1, -1])] * 4))
def test_oriented_box_iou_does_not_ask_for_signs_of_sides(a: Any, b: Any, signs: Any) -> None:
    signed = [
        (cx, cy, width * w, height * h, angle)
        for (cx, cy, width, height, angle), (w, h) in zip((a, b), (signs[:2], signs[2:]), strict=True)
    ]
    assert iou(*signed) == pytest.approx(iou(a, b), abs=1e-12)
    assert rectangle_iou(*signed) == pytest.approx(iou(a, b), abs=1e-9)


@EXAMPLES
@given(a=rectangles, b=rectangles, turn=st.floats(-4, 4), shift=st.floats(-50, 50))
def test_oriented_box_iou_stays_when_both_are_turned_and_shifted(
    a: Any, b: Any, turn: float, shift: float
) -> None:
    def moved(box: Any) -> tuple[float, ...]:
        cx, cy, width, height, angle = box
        cos, sin = math.cos(turn), math.sin(turn)
        return cx * cos - cy * sin + shift, cx * sin + cy * cos - shift, width, height, angle + turn

    assert iou(moved(a), moved(b)) == pytest.approx(iou(a, b), abs=1e-4)


@EXAMPLES
@given(a=rectangles, b=rectangles)
def test_oriented_box_iou_at_angle_0_is_that_of_boxes(a: Any, b: Any) -> None:
    boxes = [reference.box_convert([box[:4]], "cxcywh", "xyxy") for box in (a, b)]
    assert iou((*a[:4], 0), (*b[:4], 0)) == pytest.approx(ops.box_iou(*boxes)[0, 0], abs=2e-5)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 2, 2, 0), (0, 0, 2, 2, QUARTER), math.sqrt(0.5)),  # an octagon
        ((0, 0, 4, 2, 0), (0, 0, 4, 2, 2 * QUARTER), 1 / 3),  # a cross
        ((0, 0, 2, 2, 0), (2, 0, 2, 2, 0), 0.0),  # an edge
        ((0, 0, 2, 2, 0), (0.5, 0, 1, 2, 0), 0.5),  # a half
        ((0, 0, 2, 2, 0), (9, 0, 2, 2, 1), 0.0),
        ((0, 0, 9, 9, 0.3), (1, 1, 1, 2, 1), 2 / 81),  # inside
        ((0, 0, 2, 0, 0), (0, 0, 2, 2, 0), 0.0),
        ((0, 0, -2, -2, 0), (0, 0, 2, 2, 0), 1.0),
        ((0, 0, -2, 2, 0), (0.5, 0, 1, -2, 0), 0.5),
        ((1e30, 0, 1e30, 1e30, 0), (1e30, 0, 1e30, 1e30, 0), 1.0),
        ((0, 0, 1e-30, 1e-30, 0), (0, 0, 1e-30, 1e-30, 0), 1.0),
    ],
    ids=str,
)
def test_oriented_box_iou_of_simple_boxes(a: Any, b: Any, expected: float) -> None:
    assert iou(a, b) == pytest.approx(expected, abs=1e-7)


def test_oriented_box_iou_shape_and_dtype() -> None:
    table = ops.oriented_box_iou(np.zeros((3, 5), np.float16), np.zeros((0, 5)))
    assert_array_equal(table, np.empty((3, 0), np.float64), strict=True)
    with pytest.raises(TensorError, match=r"expected \(N, 5\)"):
        ops.oriented_box_iou(np.zeros((3, 4)), np.zeros((3, 5)))


def post(thresholds: float = 0.5, nms_threshold: float = 0.3, **decision: Any) -> PostProcessor:
    output = Yolov8ObbOutput(output_tensor="t", layout="channels_last")
    decision = {"input_size": [HEIGHT, WIDTH], "nms_threshold": nms_threshold, **decision}
    return PostProcessor.for_detection(LABELS, output, thresholds=thresholds, **decision)


def table(*rows: list[float]) -> dict[str, Any]:
    """Return the tensor of one image."""
    return {"t": np.array([rows], np.float32)}


def found(*rows: list[float], show_discarded: bool = False, **decision: Any) -> OrientedDetections:
    detections = post(**decision)(table(*rows), show_discarded=show_discarded).outputs[0]
    assert type(detections) is OrientedDetections
    return detections


def check_corners(case: Case, num_threads: int = 1) -> int:
    (detections,) = PostProcessor(case.spec, case.version, num_threads)(case.tensors, **case.options).outputs
    assert isinstance(detections, OrientedDetections)
    assert detections.polygons.dtype == detections.angles.dtype == np.float32
    detection = case.version["post_processings"][0]["detection"]
    options = {name: case.options[name] for name in ("input_size", "transforms")}
    (images,) = reference.hypotheses(case.spec, case.version, case.tensors, **options)
    for image, hypotheses in enumerate(images):
        transform = options["transforms"][image] if options["transforms"] else None
        size = pixel_size(detection, case.tensors, image, options["input_size"], transform)
        of_region = {one.region: one.rectangle for one in hypotheses}
        for row in range(int(detections.offsets[image]), int(detections.offsets[image + 1])):
            rectangle = of_region[int(detections.regions[row])]
            assert rectangle is not None
            expected = [place_point(x, y, size, transform) for x, y in corners(rectangle)]
            assert_allclose(detections.polygons[row], expected, rtol=2e-6, atol=1e-6)
            assert detections.angles[row] == as_float32(np.array(rectangle[4]))
    return len(detections.labels)


@EXAMPLES
@given(case=cases("yolov8_obb"), num_threads=st.sampled_from([1, 2]))
def test_yolov8_obb_random_case_equals_reference(case: Case, num_threads: int) -> None:
    assume(not near_tie(case))
    assert_equals_reference(case, num_threads)
    check_corners(case, num_threads)


@WAYS
def test_yolov8_obb_many_rows_equal_reference(way: dict[str, str]) -> None:
    rows = 0
    for seed in (4, 9):  # of which many are kept
        case = random_case("yolov8_obb", seed, rows=200)
        case.version["post_processings"][0]["detection"].update(way)
        if not near_tie(case):
            assert_equals_reference(case)
            rows += check_corners(case)
    assert rows > 100


@WAYS
def test_yolov8_obb_more_kept_boxes_than_there_is_room_at_first_equal_reference(way: dict[str, str]) -> None:
    rng = np.random.default_rng(5)
    rows = np.zeros((2, 130, 6), np.float32)
    rows[..., :2] = rng.uniform(0, 600, (2, 130, 2))
    rows[..., 2:4] = rng.uniform(5, 60, (2, 130, 2))
    rows[..., 4] = rng.random((2, 130))
    rows[..., 5] = rng.uniform(-2, 2, (2, 130))
    labels = {"labels": [{"id": 7, "name": "seven"}], "exclusive": False, "roi": "BBOX"}
    detection = {"yolov8_obb_output": {"output_tensor": "t"}, "thresholds": [0.1], "input_size": [1000, 1000]}
    detection.update(way)
    case = Case(
        {"outputs": [{"labels": labels}]},
        {"post_processings": [{"detection": detection}]},
        {"t": rows},
        {"show_discarded": True, "max_predictions": 1000, "input_size": None, "transforms": None},
    )
    assert not near_tie(case)
    assert_equals_reference(case)
    assert check_corners(case) > 200


# Three in a row: the second overlaps the first, and the third the second only.
ROW = [100, 50, 40, 20, 0.9, 0.0, 0.2], [107, 50, 40, 20, 0.8, 0.0, 0.2], [114, 50, 40, 20, 0.7, 0.0, 0.2]


@pytest.mark.parametrize("iou", ["exact", "probiou"])
def test_yolov8_obb_fast_suppression_lets_suppressed_boxes_suppress(iou: str) -> None:
    assert_array_equal(found(*ROW, iou=iou, nms_threshold=0.6).regions, [0, 2])
    assert_array_equal(found(*ROW, iou=iou, nms_threshold=0.6, suppression="fast").regions, [0])


def test_yolov8_obb_fast_suppression_never_changes_a_prediction_for_discarded_ones() -> None:
    # The third is discarded: suppressed by the second, which is suppressed itself.
    decision: dict[str, Any] = {"thresholds": 0.75, "nms_threshold": 0.6, "suppression": "fast"}
    assert_array_equal(found(*ROW, show_discarded=True, **decision).regions, [0])
    above = [100, 50, 40, 20, 0.5, 0.0, 0.2], [107, 50, 40, 20, 0.0, 0.8, 0.2]
    # By scores the first comes second, but predictions are first: of each label, or of all.
    for agnostic, regions in ((False, [1, 0]), (True, [1])):
        both = found(*above, show_discarded=True, class_agnostic=agnostic, **decision)
        assert_array_equal(both.regions, regions)


def test_yolov8_obb_fast_suppression_goes_by_all_candidates_of_wider_scans() -> None:
    # Thousands at one place, each suppressed by the first: the scan has to be widened to find the last.
    rng = np.random.default_rng(0)
    rows = np.zeros((9000, 6), np.float32)
    rows[:, :5] = [100, 50, 40, 20, 0.0]
    rows[:, 4] = 0.9 - rng.permutation(9000) / 20000
    rows[:, 5] = 0.2
    # A chain away from there: every second one would be kept by the greedy way, none but the first by this.
    chain = np.arange(20)
    rows[-20:, 0] = 100 + 7 * chain
    rows[-20:, 4] = 0.3 - chain / 100
    post = PostProcessor.for_detection(
        ["ship"], Yolov8ObbOutput(output_tensor="t"), thresholds=0.05, nms_threshold=0.6, suppression="fast",
        input_size=[HEIGHT, WIDTH],
    )  # fmt: skip
    detections = post({"t": rows[None]}, max_predictions=5).outputs[0]
    assert_array_equal(detections.regions, [int(rows[:, 4].argmax())])
    assert not detections.is_cut[0]
    greedy = PostProcessor.for_detection(
        ["ship"], Yolov8ObbOutput(output_tensor="t"), thresholds=0.05, nms_threshold=0.6,
        input_size=[HEIGHT, WIDTH],
    )({"t": rows[None]}, max_predictions=5).outputs[0]  # fmt: skip
    assert len(greedy.scores) == 5
    assert greedy.is_cut[0]


def test_yolov8_obb_probiou_is_of_gaussians() -> None:
    # Two squares of a size have one Gaussian however they are turned; their Jaccard index is 0.71.
    squares = [100, 50, 40, 40, 0.9, 0.0, 0.0], [100, 50, 40, 40, 0.8, 0.0, QUARTER]
    assert len(found(*squares, nms_threshold=0.8).scores) == 2
    assert len(found(*squares, nms_threshold=0.8, iou="probiou").scores) == 1
    assert len(found(*squares, nms_threshold=1.0, iou="probiou").scores) == 2
    # They touch nowhere, and have an index all the same, which both keep where it is the threshold.
    apart = [100, 50, 40, 20, 0.9, 0.0, 0.0], [100, 71, 40, 20, 0.8, 0.0, 0.0]
    index = float(
        ops.oriented_box_iou([[100.0, 50, 40, 20, 0]], [[100.0, 71, 40, 20, 0]], iou="probiou")[0, 0]
    )
    assert 0.1 < index < 0.2
    for way in ("greedy", "fast"):
        decision = {"iou": "probiou", "suppression": way}
        assert len(found(*apart, nms_threshold=index, **decision).scores) == 2
        assert len(found(*apart, nms_threshold=index - 1e-7, **decision).scores) == 1
    assert len(found(*apart, nms_threshold=0.0).scores) == 2


@EXAMPLES
@given(
    seed=st.integers(0, 2**32 - 1),
    limit=st.sampled_from([0.0, 1e-6, 0.01, 0.3, 0.7, 0.95, 0.9995, 0.9999]),
    longest=st.sampled_from([2, 31, 33, 1000]),
    size=st.sampled_from([1e-3, 0.3, 1.0, 50.0, 1e7]),
    suppression=st.sampled_from(["greedy", "fast"]),
)
def test_yolov8_obb_probiou_decides_by_the_index_alone(
    seed: int, limit: float, longest: float, size: float, suppression: str
) -> None:
    # Whatever is told from afar, or without a logarithm, is as the very index has it, to the bit.
    rng = np.random.default_rng(seed)
    rows = np.zeros((30, 6), np.float32)
    rows[:, 2] = size * rng.lognormal(0, 0.2, 30)
    rows[:, 3] = rows[:, 2] / np.exp(rng.uniform(0, np.log(longest), 30))
    rows[:, :2] = size * (20 + rng.choice([0.1, 1, 3]) * rng.normal(0, 1, (30, 2)))
    rows[:, 4] = rng.permutation(30) / 40 + 0.2
    rows[:, 5] = rng.choice([0.1, 4]) * rng.normal(0, 1, 30) + rng.choice([0, QUARTER])
    post = PostProcessor.for_detection(
        ["ship"], Yolov8ObbOutput(output_tensor="t", layout="channels_last"), thresholds=0.1,
        nms_threshold=limit, iou="probiou", suppression=suppression, input_size=[max(int(40 * size), 1)] * 2,
    )  # fmt: skip
    detections = post({"t": rows[None]}).outputs[0]
    order = np.argsort(-rows[:, 4])
    boxes = rows[order][:, [0, 1, 2, 3, 5]]
    above = ops.oriented_box_iou(boxes, boxes, iou="probiou").astype(np.float32) > np.float32(limit)
    kept: list[int] = []
    for row in range(30):
        rivals = range(row) if suppression == "fast" else kept
        if not any(above[other, row] for other in rivals):
            kept.append(row)
    assert_array_equal(detections.regions, order[kept])


@pytest.mark.parametrize("way", [{}, {"suppression": "fast"}], ids=str)
def test_yolov8_obb_probiou_that_is_not_a_number_suppresses_nothing(way: dict[str, str]) -> None:
    # Squares of their sides are beyond float32.
    huge = [0, 0, 1e30, 1e30, 0.9, 0, 0.1], [0, 0, 1e30, 1e30, 0.8, 0, 0.1]
    assert np.isnan(
        ops.oriented_box_iou([[0.0, 0, 1e30, 1e30, 0.1]], [[0.0, 0, 1e30, 1e30, 0.1]], iou="probiou")
    )
    assert len(found(*huge, iou="probiou", **way).scores) == 2
    assert len(found(*huge, **way).scores) == 1


@EXAMPLES
@given(a=rectangles, b=rectangles)
def test_oriented_box_iou_of_gaussians_equals_reference_and_is_symmetric(a: Any, b: Any) -> None:
    table = ops.oriented_box_iou([a, b], [a, b], iou="probiou")
    assert table[0, 1] == table[1, 0]
    assert_array_equal(table, table.astype(np.float32))
    longest = max(max(box[2:4]) / min(box[2:4]) for box in (a, b))
    # By the square of the distance, which float32 holds: its root magnifies the last bits.
    expected = (1 - probiou(a, b)) ** 2
    assert (1 - table[0, 1]) ** 2 == pytest.approx(expected, abs=1e-6 * longest**2)


def test_oriented_box_iou_of_another_index_is_a_tensor_error() -> None:
    with pytest.raises(TensorError, match=r'iou must be "exact" or "probiou"; got "giou"'):
        ops.oriented_box_iou(np.zeros((1, 5)), np.zeros((1, 5)), iou="giou")  # type: ignore[arg-type]


def test_yolov8_obb_crossing_boxes_stay_though_their_upright_boxes_are_one() -> None:
    # Two long ships across each other.
    ships = [100, 50, 60, 10, 0.9, 0.0, QUARTER], [100, 50, 60, 10, 0.8, 0.0, -QUARTER]
    both = found(*ships)
    assert_array_equal(both.scores, np.float32([0.9, 0.8]))
    assert_allclose(both.boxes[0], both.boxes[1])
    assert len(found(*ships, nms_threshold=0.05).scores) == 1


def test_yolov8_obb_suppresses_by_label_unless_agnostic() -> None:
    same = [100, 50, 60, 10, 0.9, 0.0, 0.3], [100, 50, 60, 10, 0.0, 0.8, 0.3]
    assert len(found(*same).scores) == 2
    assert len(found(*same, class_agnostic=True).scores) == 1
    assert len(found(*same, class_agnostic=True, nms_threshold=1.0).scores) == 2


def test_yolov8_obb_index_equal_to_the_threshold_keeps_both() -> None:
    # They share just half of the first, at an angle of 0.
    halves = [100, 50, 40, 40, 0.9, 0.0, 0.0], [110, 50, 20, 40, 0.8, 0.0, 0.0]
    assert len(found(*halves, nms_threshold=0.5).scores) == 2
    assert len(found(*halves, nms_threshold=0.49).scores) == 1


def test_yolov8_obb_boxes_enclose_and_are_clipped_but_polygons_are_not() -> None:
    side = 20 * math.sqrt(0.5)
    detections = found([0, 50, 20, 20, 0.9, 0, QUARTER])
    assert_allclose(detections.boxes, [[0, (50 - side) / 100, side / 200, (50 + side) / 100]], rtol=1e-6)
    expected = [[0, (50 + side) / 100], [side / 200, 0.5], [0, (50 - side) / 100], [-side / 200, 0.5]]
    assert_allclose(detections.polygons[0], expected, atol=1e-6)
    assert_array_equal(detections.angles, np.float32([QUARTER]))


def test_yolov8_obb_corners_go_around_from_the_lower_right_one() -> None:
    detections = found([100, 50, 40, 20, 0.9, 0, 0])
    assert_allclose(detections.polygons[0], [[0.6, 0.6], [0.6, 0.4], [0.4, 0.4], [0.4, 0.6]], rtol=1e-6)


def test_yolov8_obb_corners_far_outside_of_the_image_stay_finite() -> None:
    # In the original image, of a hundredth of the scale, they lie beyond what float32 holds.
    transform = ImageTransform((0.01, 0.01), (0.0, 0.0), (HEIGHT, WIDTH), (1, 1))
    (detections,) = post()(table([0, 0, 2e38, 1e38, 0.9, 0, 0]), transforms=[transform]).outputs
    assert isinstance(detections, OrientedDetections)
    far = np.float32(3e38)
    assert_array_equal(detections.polygons, [[[far, far], [far, -far], [-far, -far], [-far, far]]])
    assert_array_equal(detections.boxes, np.float32([[0, 0, 1, 1]]))
    json.dumps(detections.to_dicts(), allow_nan=False)


@WAYS
def test_yolov8_obb_sides_below_0_are_sides(way: dict[str, str]) -> None:
    """Sums of YOLO26's distances may be below 0: ultralytics keeps these boxes, and they suppress others."""
    rng = np.random.default_rng(6)
    rows = np.zeros((60, 7), np.float32)
    rows[:, :2] = rng.uniform(30, 70, (60, 2))
    rows[:, 2:4] = rng.uniform(10, 40, (60, 2))
    rows[:, 4] = 0.6 + rng.permutation(60) / 200
    rows[:, 6] = rng.uniform(-2, 2, 60)
    signed = rows.copy()
    signed[:, 2:4] *= rng.choice([1, -1], (60, 2))
    expected, signs = found(*rows.tolist(), **way), found(*signed.tolist(), **way)
    assert 2 < len(expected.scores) < 55
    for name in ("regions", "scores", "labels", "boxes", "angles"):
        assert_array_equal(getattr(signs, name), getattr(expected, name))
    for polygon, region in zip(signs.polygons, signs.regions, strict=True):
        pixels = corners(signed[region, [0, 1, 2, 3, 6]]) / np.array([WIDTH, HEIGHT])
        assert_allclose(polygon, pixels, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("width", [0, np.nan, np.inf])
def test_yolov8_obb_box_without_an_area_or_an_end_is_left_out(width: float) -> None:
    assert len(found([100, 50, width, 20, 0.9, 0, 0.5], show_discarded=True).scores) == 0


@pytest.mark.parametrize("angle", [np.nan, np.inf, -np.inf])
def test_yolov8_obb_angle_that_is_not_finite_drops_the_box(angle: float) -> None:
    detections = found([100, 50, 10, 20, 0.9, 0, angle], [20, 20, 10, 10, 0.6, 0, 0])
    assert_array_equal(detections.regions, [1])


def test_yolov8_obb_outside_of_the_image_still_suppresses() -> None:
    # Of the first nothing is inside of the image.
    outside = [-12, 50, 20, 20, 0.9, 0, 0.0], [-9, 50, 20, 20, 0.8, 0, 0.0]
    assert_array_equal(found(*outside, nms_threshold=0.6).scores, [])
    assert_array_equal(found(*outside, nms_threshold=0.8).scores, np.float32([0.8]))


def test_yolov8_obb_max_predictions_stops_at_the_best() -> None:
    rows = [[10 + 15 * i, 50, 10, 10, 0.51 + i / 100, 0, 0.1] for i in range(10)]
    detections = post()(table(*rows), max_predictions=3).outputs[0]
    assert_array_equal(detections.scores, np.float32([0.6, 0.59, 0.58]))
    assert len(post()(table(*rows), max_predictions=0).outputs[0].scores) == 0


def test_yolov8_obb_with_a_squashed_image_yields_its_parallelogram() -> None:
    transform = ImageTransform.squash((HEIGHT, WIDTH), (200, 200))
    (detections,) = post()(table([100, 50, 40, 40, 0.9, 0, QUARTER]), transforms=[transform]).outputs
    assert isinstance(detections, OrientedDetections)
    side = 20 * math.sqrt(2)
    pixels = [[100, 100 + 2 * side], [100 + side, 100], [100, 100 - 2 * side], [100 - side, 100]]
    assert_allclose(detections.polygons_to_pixels((200, 200))[0], pixels, rtol=1e-5)


def test_yolov8_obb_layouts_agree() -> None:
    tensors = tensors_of("yolov8_obb")
    turned = {"table": np.ascontiguousarray(tensors["table"].transpose(0, 2, 1))}
    assert_same(post_processor("yolov8_obb")(turned), post_processor("yolov8_obb")(tensors))


def test_oriented_detections_index_and_join_keep_their_corners() -> None:
    whole = post_processor("yolov8_obb")(tensors_of("yolov8_obb"), show_discarded=True).outputs[0]
    assert isinstance(whole, OrientedDetections)
    joined = OrientedDetections.concatenate([whole[0], whole[1:]])
    mask = whole.labels == 1
    for name in ("polygons", "angles"):
        assert_array_equal(getattr(joined, name), getattr(whole, name))
        assert_array_equal(getattr(whole[mask], name), getattr(whole, name)[mask])
        assert_array_equal(getattr(pickle.loads(pickle.dumps(whole)), name), getattr(whole, name))


def test_oriented_detections_to_dicts_adds_the_polygon_to_the_roi() -> None:
    (image,) = found([100, 50, 40, 20, 0.9, 0, 0]).to_dicts()
    roi = image["predicted"][0]["roi"]
    assert set(roi) == {"region_id", "bbox", "polygon"}
    assert roi["polygon"][1] == pytest.approx({"x": 0.6, "y": 0.4})
    assert json.loads(json.dumps(image)) == image


def test_oriented_detections_to_coco_has_corners_of_the_predicted_in_pixels() -> None:
    detections = found([100, 50, 40, 20, 0.9, 0.1, 0], [20, 50, 4, 4, 0.0, 0.6, 0], show_discarded=True)
    assert not detections.predicted.all()
    first, second = detections.to_coco([5], (HEIGHT, WIDTH))
    (polygon,) = first["segmentation"]
    assert polygon == pytest.approx([120, 60, 120, 40, 80, 40, 80, 60], rel=1e-6)
    assert second["category_id"] == 1
    json.dumps([first, second])


def test_oriented_detections_to_supervision_has_corners_in_pixels() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it would rather have OpenCV
        made = found([100, 50, 40, 20, 0.9, 0, 0]).to_supervision((HEIGHT, WIDTH))
    assert_allclose(made.data["xyxyxyxy"][0, 1], [120, 40], rtol=1e-6)


def test_yolov8_output_tensor_of_an_oriented_network_is_a_tensor_error() -> None:
    plain = PostProcessor.for_detection(LABELS, Yolov8Output(output_tensor="t"))
    with pytest.raises(TensorError, match="from 4 \\+ labels"):
        plain(table([0] * 7, [0] * 7))
