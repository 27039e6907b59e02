"""Options, and what cannot be written into a graph."""

from __future__ import annotations

from typing import Any

import onnx
import pytest

from postproc import EndToEndOutput, PostProcessor, Yolov8Output
from postproc.errors import FusingError
from postproc.fusing import FuseOptions, append, to_onnx, unsupported
from postproc.fusing.heads import HEADS
from postproc.schema import Detection
from tests.fusing.graphs import yolov8
from tests.fusing.test_append import network


def test_every_kind_of_boxes_can_be_written() -> None:
    assert {*HEADS} == {*Detection.alternatives}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"candidates": 0}, "candidates: expected 1 to 1,000,000, got 0"),
        ({"candidates": True}, "candidates: expected 1 to"),
        (
            {"candidates": 10**9, "max_predictions": 10**9},
            "expected 1 to 1,000,000, got 1000000000",
        ),
        ({"candidates": 5, "max_predictions": 6}, "no more than candidates, got 6"),
        ({"nms": "soft"}, "nms: expected one of loop, rounds, operator, got 'soft'"),
        ({"nms": "rounds"}, 'rounds: expected 1 to 1,000,000 with nms="rounds", got None'),
        ({"rounds": 3}, "rounds: expected none without"),
        ({"opset": 12}, "opset: expected 13 or more, got 12"),
        ({"placement": "image"}, "placement: expected one of size, input"),
        ({"pixels": True, "placement": "input"}, "pixels: expected false"),
        ({"precision": "float16"}, "precision: expected one of float32, float64"),
    ],
)
def test_options_out_of_range_are_errors(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(FusingError, match=text):
        FuseOptions(**fields)


def test_arguments_of_another_kind_are_errors_that_say_which_one_is_expected() -> None:
    post, shapes = yolov8(), {"output0": (1, 5, 10)}
    for options in ({"candidates": 3}, {}):
        with pytest.raises(FusingError, match=r"options: expected FuseOptions\(candidates=.*got dict"):
            post.to_onnx(shapes, options)  # type: ignore[arg-type]
    for dtypes in ("float16", ["float16"], ""):
        with pytest.raises(FusingError, match="dtypes: expected a mapping of tensors' names to dtypes, got"):
            post.to_onnx(shapes, dtypes=dtypes)
    newest = onnx.defs.onnx_opset_version()
    post.to_onnx(shapes, FuseOptions(opset=newest))
    later, text = FuseOptions(opset=newest + 1), rf"opset: expected 13 to {newest}, .* got {newest + 1}: ask"
    with pytest.raises(FusingError, match=text):
        post.to_onnx(shapes, later)
    with pytest.raises(FusingError, match=text):
        append(network(), post, later)


def test_rows_are_those_of_a_call_or_fewer() -> None:
    assert (FuseOptions().rows, FuseOptions(candidates=8).rows) == (100, 8)


@pytest.mark.parametrize(
    ("post", "text"),
    [
        (yolov8(nms_method="soft"), 'nms_method "soft"'),
        (
            PostProcessor.for_detection(
                ["cat"],
                EndToEndOutput(output_tensor="rows", columns=("image", "class", "score", "box")),
            ),
            "rows that name their images",
        ),
    ],
)
def test_what_cannot_be_written_says_why(post: PostProcessor, text: str) -> None:
    assert text in (unsupported(post) or "")
    with pytest.raises(FusingError, match=r"post_processings\[0\]"):
        post.to_onnx(dict.fromkeys(post.tensor_names, (1, 10, 10)))


def test_missing_shape_is_an_error() -> None:
    with pytest.raises(FusingError, match="'output0': expected its shape, got those of 'other'"):
        to_onnx(yolov8(), {"other": (1, 5, 10)})


def test_boxes_in_pixels_need_a_size_unless_an_input_places_them() -> None:
    shapes = {"output0": (1, 5, 10)}
    post = PostProcessor.for_detection(["cat"], Yolov8Output(output_tensor="output0"))
    with pytest.raises(FusingError, match=r'post_processings\[0\]: .* give input_size, .* "normalized"'):
        to_onnx(post, shapes)
    to_onnx(post, shapes, input_size=(32, 64))
    to_onnx(post, shapes, FuseOptions(placement="input"))
    output = Yolov8Output(output_tensor="output0")
    to_onnx(PostProcessor.for_detection(["cat"], output, input_size=[32, 64]), shapes)


def test_pixels_need_a_size() -> None:
    post = yolov8()
    with pytest.raises(FusingError, match="need the size of the network's input"):
        to_onnx(post, {"output0": (1, 5, 10)}, FuseOptions(pixels=True))
    to_onnx(post, {"output0": (1, 5, 10)}, FuseOptions(pixels=True), input_size=(32, 64))
