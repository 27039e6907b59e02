"""What a table's boxes are in, how they are written, and what its confidence is: the fields that say so."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from postproc import (
    Detections,
    ImageTransform,
    KeypointDetections,
    OrientedDetections,
    PostProcessor,
    SegmentedDetections,
    TensorError,
)
from postproc.schema import Detection
from tests import reference
from tests.kinds import KINDS, kinds_with
from tests.pipelines import tensors_of

LABELS = ["cat", "dog", "owl"]
HEIGHT, WIDTH = 384, 640
TABLES = {kind: KINDS[kind].output.dump() for kind in kinds_with("coordinates")}
UPRIGHT = [kind for kind in TABLES if kind in kinds_with("box_format")]
NEED_A_SIZE = ["yolov8_obb", "yolov8_seg"]
LETTERBOX = ImageTransform.letterbox((HEIGHT, WIDTH), (720, 1000))
SQUASH = ImageTransform.squash((HEIGHT, WIDTH), (300, 200))

# What tells the size of the input: of the call, of the document, or nothing.
SIZES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {}),
    "document": ({"input_size": [HEIGHT, WIDTH]}, {}),
    "call": ({}, {"input_size": (HEIGHT, WIDTH)}),
    "transforms": ({}, {"transforms": [LETTERBOX, SQUASH, LETTERBOX]}),
    "transforms and document": ({"input_size": [9, 9]}, {"transforms": [SQUASH, SQUASH, LETTERBOX]}),
}


def post(kind: str, labels: list[str] | None = None, **fields: Any) -> PostProcessor:
    """Return a post-processor of a table; the fields of its output, and of its detection."""
    decision = {name: fields.pop(name) for name in ("input_size", "nms_threshold") if name in fields}
    output = {"output_tensor": "table", **TABLES.get(kind, {}), **fields}
    kind = f"{kind}_output"
    described = Detection.load({kind: output}).output
    return PostProcessor.for_detection(labels or LABELS, described, thresholds=0.4, **decision)


def found(made: PostProcessor, tensors: dict[str, Any], **options: Any) -> Any:
    return made(tensors, **options).outputs[0]


def in_pixels(kind: str) -> dict[str, NDArray[Any]]:
    """Return tensors of boxes, and keypoints, in pixels of an input of 384 x 640, three images."""
    return scaled(kind, tensors_of(kind), WIDTH, HEIGHT)


def scaled(kind: str, tensors: dict[str, Any], width: float, height: float) -> dict[str, Any]:
    table = tensors["table"].copy()
    columns = table if kind == "yolov5" else table.transpose(0, 2, 1)
    columns[..., :4] *= np.float32([width, height, width, height])
    if kind == "yolov8_pose":
        columns[..., 7::3] *= np.float32(width)
        columns[..., 8::3] *= np.float32(height)
    return {**tensors, "table": table}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", TABLES)
def test_normalized_table_yields_what_one_in_pixels_does(kind: str, size: str) -> None:
    document, options = SIZES[size]
    if size == "nothing" and kind in NEED_A_SIZE:
        pytest.skip("needs a size")
    known = options if "transforms" in options else {"input_size": (HEIGHT, WIDTH)}
    expected = found(post(kind), in_pixels(kind), **known)
    actual = found(post(kind, coordinates="normalized", **document), tensors_of(kind), **options)
    assert len(actual.scores) > 20
    for name in ("scores", "labels", "regions", "offsets"):
        assert_array_equal(getattr(actual, name), getattr(expected, name))
    assert_allclose(actual.boxes, expected.boxes, rtol=1e-5, atol=1e-6)
    if isinstance(actual, KeypointDetections):
        assert_allclose(actual.keypoints, expected.keypoints, rtol=1e-5, atol=1e-6)
    if isinstance(actual, OrientedDetections):
        assert_allclose(actual.polygons, expected.polygons, rtol=1e-5, atol=1e-6)
        assert_array_equal(actual.angles, expected.angles)
    if isinstance(actual, SegmentedDetections):
        assert_allclose(actual.frames, expected.frames, rtol=1e-12)
        assert_array_equal(actual[0].masks((60, 90)), expected[0].masks((60, 90)))


def test_normalized_box_under_a_letterbox_lands_in_the_image() -> None:
    # 1280 x 720 in 640 x 640: it lies in rows 140 to 500.
    table = np.zeros((1, 8400, 7), np.float32)
    table[0, 3, :5] = [0.5, 0.5, 0.375, 0.375, 0.9]
    transform = ImageTransform.letterbox((640, 640), (720, 1280))
    for document in ({}, {"input_size": [640, 640]}):
        boxes = found(
            post("yolov8", coordinates="normalized", **document), {"table": table}, transforms=[transform]
        )
        assert_allclose(boxes.to_pixels((720, 1280)), [[400, 120, 880, 600]], rtol=1e-6)


def test_normalized_oriented_box_turns_in_pixels() -> None:
    # 40 x 20 pixels turned by a quarter in an input of 100 x 200 are 20 x 40.
    row = [[0.5, 0.5, 0.2, 0.2, 0.9, 0, 0, np.pi / 2]]
    made = post("yolov8_obb", coordinates="normalized", layout="channels_last", input_size=[100, 200])
    detections = found(made, {"table": np.array([row], np.float32)})
    assert_allclose(detections.boxes, [[0.45, 0.3, 0.55, 0.7]], rtol=1e-6)
    assert_allclose(
        detections.polygons_to_pixels((100, 200))[0], [[90, 70], [110, 70], [110, 30], [90, 30]], rtol=1e-5
    )


def test_normalized_oriented_boxes_are_compared_in_pixels() -> None:
    # Of 80 x 20 pixels in an input of 100 x 400, across each other: they share 1/7 of what both cover.
    # As numbers in [0, 1], both 0.2 x 0.2, they would be one and the same square.
    rows = [[0.5, 0.5, 0.2, 0.2, 0.9, 0, 0, 0], [0.5, 0.5, 0.2, 0.2, 0.8, 0, 0, np.pi / 2]]
    table = {"table": np.array([rows], np.float32)}
    for threshold, kept in ((0.15, 2), (0.13, 1)):
        made = post(
            "yolov8_obb",
            coordinates="normalized",
            layout="channels_last",
            input_size=[100, 400],
            nms_threshold=threshold,
        )
        assert len(found(made, table).scores) == kept


@pytest.mark.parametrize("kind", NEED_A_SIZE)
def test_normalized_table_that_needs_a_size_without_one_is_a_tensor_error(kind: str) -> None:
    made = post(kind, coordinates="normalized")
    with pytest.raises(TensorError) as caught:
        made(tensors_of(kind))
    assert str(caught.value) == (
        "tensor 'table' cannot be decoded without the size of the network's input in pixels: declare the "
        "detection's input_size, or pass input_size or transforms"
    )


def test_normalized_table_asks_for_the_size_of_the_input_only_where_it_needs_one() -> None:
    for kind in TABLES:
        for document in ({}, {"input_size": [9, 9]}):
            made = post(kind, coordinates="normalized", **document)
            assert made.uses_input_size == (kind in NEED_A_SIZE)
        assert post(kind).uses_input_size


@pytest.mark.parametrize("box_format", ["xyxy", "xywh", "cxcywh", "yxyx"])
@pytest.mark.parametrize("kind", UPRIGHT)
def test_table_in_any_box_format_yields_the_same_boxes(kind: str, box_format: str) -> None:
    tensors = tensors_of(kind)
    expected = found(post(kind, coordinates="normalized"), tensors, input_size=(HEIGHT, WIDTH))
    table = tensors["table"].copy()
    columns = table if kind == "yolov5" else table.transpose(0, 2, 1)
    converted = reference.box_convert(columns[..., :4].reshape(-1, 4), "cxcywh", box_format)
    columns[..., :4] = converted.reshape(*columns.shape[:-1], 4)
    made = post(kind, coordinates="normalized", box_format=box_format)
    actual = found(made, {**tensors, "table": table}, input_size=(HEIGHT, WIDTH))
    assert_array_equal(actual.regions, expected.regions)
    assert_allclose(actual.boxes, expected.boxes, rtol=1e-5, atol=1e-6)


def objectness_of(kind: str) -> dict[str, NDArray[np.float32]]:
    """Return the tensor of a network of one label that never trained its class column."""
    if kind == "yolov3":
        grid = np.full((1, 2, 2, 6), -9, np.float32)
        grid[0, 1, 0] = [0, 0, 0, 0, 2, np.nan]
        return {"grid": grid}
    table = np.zeros((1, 7, 6), np.float32)
    table[0, 2] = [0.5, 0.5, 0.25, 0.25, 0.75, np.nan]
    table[0, 5] = [0.5, 0.5, 0.25, 0.25, np.nan, 0.9]
    return {"table": table}


OBJECTNESS: dict[str, dict[str, Any]] = {
    "yolov5": {},
    "yolox": {"strides": [8]},
    "yolov3": {"output_tensors": ["grid"], "anchors": [4, 4]},
}


def of_one_label(kind: str, **fields: Any) -> PostProcessor:
    output = {**({} if kind == "yolov3" else {"output_tensor": "table"}), **OBJECTNESS[kind], **fields}
    return PostProcessor.for_detection(
        ["face"], Detection.load({f"{kind}_output": output}).output, thresholds=0.4, input_size=[8, 56]
    )


@pytest.mark.parametrize("class_column", [np.nan, np.inf, -np.inf, 0.0, -5.0])
@pytest.mark.parametrize("kind", OBJECTNESS)
def test_confidence_of_objectness_ignores_the_class_column(kind: str, class_column: float) -> None:
    ((name, tensor),) = objectness_of(kind).items()
    tensor[..., 5] = class_column
    detections = found(of_one_label(kind, confidence="objectness"), {name: tensor})
    score = np.float32(1 / (1 + np.exp(-2.0))) if kind == "yolov3" else np.float32(0.75)
    assert_array_equal(detections.scores, [score], strict=False)
    assert_array_equal(detections.regions, [2])
    assert len(found(of_one_label(kind), {name: tensor}).scores) == (kind == "yolov3" and class_column >= 0)


def test_confidence_of_objectness_is_activated() -> None:
    tensor = objectness_of("yolox")["table"]
    tensor[0, :, 4] = -9
    tensor[0, 2, 4] = 2
    made = of_one_label("yolox", confidence="objectness", score_activation="sigmoid")
    assert_array_equal(found(made, {"table": tensor}).scores, np.float32([1 / (1 + np.exp(-2.0))]))


@pytest.mark.parametrize("show_discarded", [False, True])
def test_confidence_of_objectness_without_a_number_is_none(show_discarded: bool) -> None:
    table = np.full((1, 3, 6), np.nan, np.float32)
    table[0, 1, 4] = np.inf
    detections = found(
        of_one_label("yolov5", confidence="objectness"), {"table": table}, show_discarded=show_discarded
    )
    assert len(detections.scores) == 0


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records]


NORMALIZED = (
    'they are divided by the input\'s size: if they are normalized already, declare coordinates "normalized"'
)
PIXELS = 'their coordinates are declared "normalized": if they are in pixels, declare "pixels" and the'


@pytest.mark.parametrize("nms_method", ["hard", "soft", "weighted"])
@pytest.mark.parametrize("kind", TABLES)
def test_normalized_table_taken_for_pixels_is_logged_once(kind: str, nms_method: str, logged: Any) -> None:
    if nms_method not in KINDS[kind].output.nms_methods:
        pytest.skip("hard only")
    output = Detection.load({f"{kind}_output": {"output_tensor": "table", **TABLES[kind]}}).output
    made = PostProcessor.for_detection(LABELS, output, thresholds=0.4, nms_method=nms_method)
    for _ in range(2):
        made(tensors_of(kind), input_size=(HEIGHT, WIDTH))
    (message,) = logged()
    assert message.startswith("boxes of ('table'")
    assert message.endswith(NORMALIZED)


@pytest.mark.parametrize("kind", TABLES)
def test_table_in_pixels_taken_for_normalized_is_logged_once(kind: str, logged: Any) -> None:
    made = post(kind, coordinates="normalized")
    for _ in range(2):
        made(in_pixels(kind), input_size=(HEIGHT, WIDTH))
    (message,) = logged()
    assert PIXELS in message


def test_normalized_boxes_of_other_kinds_that_are_divided_are_logged(logged: Any) -> None:
    output = Detection.load({"standard_output": {"boxes_tensor": "boxes", "scores_tensor": "scores"}}).output
    made = PostProcessor.for_detection(LABELS, output, thresholds=0.4, input_size=[HEIGHT, WIDTH])
    made(tensors_of("standard"))
    (message,) = logged()
    assert message.endswith("if they are normalized already, leave the input's size out")


@pytest.mark.parametrize("kind", TABLES)
def test_boxes_in_the_unit_that_is_said_are_not_logged(kind: str, logged: Any) -> None:
    post(kind)(in_pixels(kind), input_size=(HEIGHT, WIDTH))
    post(kind, coordinates="normalized")(tensors_of(kind), input_size=(HEIGHT, WIDTH))
    nothing = {name: np.zeros_like(tensor) for name, tensor in in_pixels(kind).items()}
    post(kind)(nothing, input_size=(HEIGHT, WIDTH))
    post(kind)(tensors_of(kind), input_size=(16, 31))  # two pixels are not much less than that
    assert logged() == []


def test_grids_with_a_size_are_not_logged(logged: Any) -> None:
    grid = np.full((1, 2, 2, 6), -9, np.float32)
    grid[0, 0, 0, 4] = 2  # a box of no more than a pixel in the corner
    made = of_one_label("yolov3", confidence="objectness")
    detections = found(made, {"grid": grid}, input_size=(64, 64))
    assert isinstance(detections, Detections)
    assert len(detections.scores) == 1
    assert detections.boxes.max() * 64 < 2
    assert logged() == []
