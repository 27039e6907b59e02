"""Options, and what cannot be written into a graph."""

from __future__ import annotations

from typing import Any

import pytest

from postproc import EndToEndOutput, PostProcessor, Yolov8Output
from postproc.errors import FusingError
from postproc.fusing import FuseOptions, to_onnx, unsupported
from postproc.fusing.heads import HEADS
from postproc.schema import Detection
from tests.fusing.graphs import yolov8


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
        ({"nms": "rounds"}, "rounds: expected 1 to 1,000,000, got None"),
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


def test_pixels_need_a_size() -> None:
    post = PostProcessor.for_detection(["cat"], Yolov8Output(output_tensor="output0"))
    with pytest.raises(FusingError, match="need the size of the network's input"):
        to_onnx(post, {"output0": (1, 5, 10)}, FuseOptions(pixels=True))
    to_onnx(post, {"output0": (1, 5, 10)}, FuseOptions(pixels=True), input_size=(32, 64))
