"""`yolov8_output` against the plain steps: threshold, convert, suppress by label, divide, clip."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from postproc import ImageTransform, PostProcessor, SchemaError, TensorError, Yolov8Output
from tests import reference

LABELS = ["a", "b", "c"]
HEIGHT, WIDTH = 96, 128


def table_of(batch: int, boxes: int, seed: int) -> NDArray[np.float32]:
    """Return an output (B, 4 + 3, N) whose boxes lie in clusters, with tied scores."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, [WIDTH, HEIGHT], (batch, 6, 2))[:, rng.integers(0, 6, boxes)]
    xy = centres + rng.normal(0, 4, (batch, boxes, 2))
    wh = rng.uniform(10, 40, (batch, boxes, 2))
    scores = np.round(rng.random((batch, boxes, len(LABELS))) * 16) / 16
    return np.concatenate([xy, wh, scores], axis=2).transpose(0, 2, 1).astype(np.float32)


def post_processor(**decision: Any) -> PostProcessor:
    decision = {"thresholds": 0.5, "nms_threshold": 0.4, "input_size": [HEIGHT, WIDTH]} | decision
    layout = decision.pop("layout", "auto")
    return PostProcessor.for_detection(LABELS, Yolov8Output(output_tensor="t", layout=layout), **decision)


def expected(table: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Boxes, scores and labels of one image, in the order of results."""
    boxes = reference.box_convert(table[:4].T, "cxcywh", "xyxy")
    labels, rows = np.nonzero(table[4:] > np.float32(0.5))
    scores = table[4 + labels, rows]
    kept = reference.batched_nms(boxes[rows], scores, labels, 0.4)
    sizes = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT], np.float64)
    clipped = np.clip((boxes[rows[kept]] / sizes).astype(np.float32), 0, 1)
    seen = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    return clipped[seen], scores[kept][seen], labels[kept][seen]


@pytest.mark.parametrize("rows", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("boxes", [0, 1, 40, 300])
def test_yolov8_output_equals_the_plain_steps(boxes: int, dtype: type, rows: bool) -> None:
    table = table_of(2, boxes, seed=boxes)
    tensor = (table.transpose(0, 2, 1) if rows else table).astype(dtype)
    found = post_processor()({"t": tensor}, max_predictions=10_000).outputs[0]
    for image in range(2):
        wanted = expected(table[image])
        for got, want in zip(
            (found[image].boxes, found[image].scores, found[image].labels), wanted, strict=True
        ):
            np.testing.assert_array_equal(got, want)


def test_yolov8_output_suppresses_boxes_as_they_are_before_clipping() -> None:
    table = np.zeros((1, 7, 2), np.float32)
    # Both reach out of the page on the left; what is inside of it would be one box.
    table[0, :4, 0], table[0, :4, 1] = (10, 40, 20, 20), (0, 40, 40, 20)
    table[0, 4] = 0.9, 0.8
    found = post_processor(nms_threshold=0.6)({"t": table}).outputs[0]
    assert len(found.scores) == 2
    np.testing.assert_array_equal(found.boxes[0], found.boxes[1])


def test_yolov8_output_shape_that_fits_both_layouts_must_be_declared() -> None:
    square = table_of(1, 7, seed=1)
    with pytest.raises(TensorError, match="declare layout"):
        post_processor()({"t": square})
    found = post_processor(layout="channels_first")({"t": square}).outputs[0]
    np.testing.assert_array_equal(found.scores, expected(square[0])[1])


@pytest.mark.parametrize("shape", [(1, 6, 20), (7, 7, 7, 7), (20,)], ids=str)
def test_yolov8_output_wrong_shape_is_a_tensor_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(TensorError, match=r"tensor 't' has shape .* expected .*7"):
        post_processor()({"t": np.zeros(shape, np.float32)})


def test_yolov8_output_without_a_size_takes_that_of_the_transforms() -> None:
    table = table_of(1, 40, seed=3)
    post = post_processor(input_size=None)
    assert post.uses_input_size
    transform = ImageTransform((1.0, 1.0), (0.0, 0.0), (HEIGHT, WIDTH), (HEIGHT, WIDTH))
    found = post({"t": table}, transforms=[transform]).outputs[0]
    np.testing.assert_array_equal(found.boxes, expected(table[0])[0])


def test_yolov8_output_unknown_field_is_a_schema_error() -> None:
    detection = {"yolov8_output": {"output_tensor": "t", "anchors": [1, 1]}}
    labels = {"labels": [{"id": 1, "name": "a"}], "exclusive": True, "roi": "BBOX"}
    with pytest.raises(SchemaError, match="anchors"):
        PostProcessor({"outputs": [{"labels": labels}]}, {"post_processings": [{"detection": detection}]})
