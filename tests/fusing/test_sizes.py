"""The size of a network's input, that boxes are in pixels of."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from postproc import Detections, PostProcessor, Yolov8Output
from postproc.errors import FusingError
from postproc.fusing import FuseOptions, append
from postproc.onnx_runner import OnnxRunner
from tests.fusing.graphs import chain, run, table, yolov8
from tests.models import answering

BOXES, SCORES = chain(40)
HEIGHT, WIDTH = 32, 64
PIXELS = table(BOXES * np.array([WIDTH, HEIGHT, WIDTH, HEIGHT], np.float32), SCORES)


def network(*shape: Any) -> onnx.ModelProto:
    return onnx.load_from_string(answering({"output0": PIXELS[0]}, shape, "images"))


def post_processor(**more: Any) -> PostProcessor:
    output = Yolov8Output(output_tensor="output0", box_format="xyxy")
    return PostProcessor.for_detection(["cat"], output, thresholds=0.3, nms_threshold=0.5, **more)


def assert_same_as_of_runner(fused: onnx.ModelProto, net: onnx.ModelProto, image: Any) -> None:
    (expected,) = OnnxRunner(net, post_processor(), ["CPUExecutionProvider"])({"images": image}).outputs
    assert isinstance(expected, Detections)
    assert 0 < len(expected.boxes) < 40
    found = run(fused, {"images": image})
    assert found["count"][0] == len(expected.boxes)
    np.testing.assert_array_equal(found["boxes"][0, : found["count"][0]], expected.boxes)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize("way", ["file", "given", "declared"])
def test_size_is_the_files_or_is_fixed_in_it(channels: int, is_last: bool, way: str) -> None:
    def shape(batch: Any, height: Any, width: Any) -> tuple[Any, ...]:
        return (batch, height, width, channels) if is_last else (batch, channels, height, width)

    net = network(*(shape("N", HEIGHT, WIDTH) if way == "file" else shape("N", "h", "w")))
    post = post_processor(input_size=(HEIGHT, WIDTH)) if way == "declared" else post_processor()
    fused = append(net, post, input_size=(HEIGHT, WIDTH) if way == "given" else None)
    assert_same_as_of_runner(fused, net, np.zeros(shape(1, HEIGHT, WIDTH), np.float32))
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument):
        run(fused, {"images": np.zeros(shape(1, WIDTH, WIDTH), np.float32)})


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(("N", 3, "h", "w"), id="free"),
        pytest.param(("N", 3, HEIGHT, "w"), id="half free"),
        pytest.param(("N", "c", "h", "w"), id="all free"),
        pytest.param(("N", 2, HEIGHT, WIDTH), id="2 channels"),
        pytest.param(("N", 6, HEIGHT, WIDTH), id="6 channels"),
        pytest.param(("N", HEIGHT, WIDTH, 5), id="5 channels"),
        pytest.param(("N", 100), id="no images"),
    ],
)
def test_size_that_nothing_tells_is_asked_for(shape: tuple[Any, ...]) -> None:
    net = network(*shape)
    with pytest.raises(FusingError, match=r"does not tell \(its input 'images' .*give input_size"):
        append(net, post_processor())
    fused = append(net, post_processor(), input_size=(HEIGHT, WIDTH))
    found = run(fused, {"images": np.zeros([1, *_fixed(shape[1:])], np.float32)})
    kept = BOXES[found["regions"][0, : found["count"][0]]]
    np.testing.assert_array_equal(found["boxes"][0, : len(kept)], kept)


def _fixed(sizes: tuple[Any, ...]) -> list[int]:
    known = {"c": 3, "h": HEIGHT, "w": WIDTH}
    return [known.get(size, size) for size in sizes]


@pytest.mark.parametrize("shape", [("N", 3, HEIGHT, HEIGHT), ("N", 3, "h", HEIGHT)])
def test_size_that_is_not_the_files_is_an_error(shape: tuple[Any, ...]) -> None:
    with pytest.raises(FusingError, match=r"input_size: .* said to be \(32, 64\), .*target_size"):
        append(network(*shape), post_processor(), input_size=(HEIGHT, WIDTH))
    with pytest.raises(FusingError, match="whole numbers of pixels"):
        append(network(*shape), post_processor(), input_size=(32.5, 64))  # type: ignore[arg-type]


def test_normalized_boxes_come_in_pixels_of_the_files_size() -> None:
    tensor = table(BOXES, SCORES)
    net = onnx.load_from_string(answering({"output0": tensor[0]}, ("N", 3, HEIGHT, WIDTH), "images"))
    fused = append(net, yolov8(nms_threshold=0.5), FuseOptions(pixels=True))
    found = run(fused, {"images": np.zeros((1, 3, HEIGHT, WIDTH), np.float32)})
    kept = BOXES[found["regions"][0, : found["count"][0]]]
    assert len(kept) > 0
    scale = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT], np.float32)
    np.testing.assert_array_equal(found["boxes"][0, : len(kept)], kept * scale)
