"""What a warm-up costs: its examples are small whatever the document says."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from postproc import PostProcessor
from postproc.errors import TensorError
from postproc.schema import Detection

# Documents of a stranger whose examples would be large if they followed the numbers in them.
LARGE: dict[str, tuple[int, dict[str, Any]]] = {
    "table": (20_000, {"yolov8_output": {"output_tensor": "t"}}),
    "scores": (20_000, {"standard_output": {"boxes_tensor": "b", "scores_tensor": "s"}}),
    "anchored": (
        20_000,
        {"anchored_output": {"anchors_tensor": "a", "offsets_tensor": "o", "scores_tensor": "s"}},
    ),
    "priors": (
        2_000,
        {"ssd_output": {"offsets_tensor": "o", "scores_tensor": "s", "priors": [[0, 0, 1, 1]] * 20_000}},
    ),
    "strides": (2, {"yolox_output": {"output_tensor": "t", "strides": [1, 2**31 - 1]}, "input_size": [1, 1]}),
    "strides_many": (
        2,
        {"yolox_output": {"output_tensor": "t", "strides": [1, 1, 1, 2**31 - 1]}, "input_size": [1, 1]},
    ),
}


def post_processor(labels: int, document: dict[str, Any]) -> PostProcessor:
    decision = {name: value for name, value in document.items() if not name.endswith("_output")}
    output = Detection.load(document).output
    return PostProcessor.for_detection([str(row) for row in range(labels)], output, **decision)


@pytest.mark.parametrize(("labels", "document"), LARGE.values(), ids=LARGE)
def test_warmup_memory_does_not_follow_the_numbers_of_the_document(
    labels: int, document: dict[str, Any]
) -> None:
    post_processor(2, document).warmup()  # compiles
    post = post_processor(labels, document)
    tracemalloc.start()
    post.warmup()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize("labels", [1, 2, 3], ids="{} labels".format)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("background", ["first", "none"])
def test_warmup_of_priors_in_the_document_takes_any_number(labels: int, count: int, background: str) -> None:
    ssd = {"offsets_tensor": "o", "scores_tensor": "s", "background": background}
    document = {"ssd_output": {**ssd, "priors": [[0.5, 0.5, 1, 1]] * count, "layout": "channels_last"}}
    post = post_processor(labels, document)
    post.warmup()
    scores = np.full((1, count, labels + (background == "first")), 0.9, np.float32)
    found = post({"o": np.zeros((1, count, 4), np.float32), "s": scores}).outputs[0]
    assert len(found.scores) == labels  # all priors are one box


def test_call_of_more_cells_than_integers_count_is_a_tensor_error() -> None:
    strides = {"yolox_output": {"output_tensor": "t", "strides": [1] * 16}, "input_size": [2**31 - 1] * 2}
    with pytest.raises(TensorError, match="has 10 boxes an image; an input of"):
        post_processor(1, strides)({"t": np.zeros((1, 10, 6), np.float32)})
