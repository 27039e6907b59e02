"""The worst that an image can ask for: its time grows with the candidates, its memory stays bounded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core import config

from postproc import DirectOutput, PostProcessor
from postproc.kernels.core.collector import new_collector, widened
from postproc.schema import SsdOutput, YoloOutput, Yolov5Output, Yolov8ObbOutput
from tests import worst_cases
from tests.worst_cases import Tensors, image

LABELS = 20


def at_one_place(kind: str, boxes: int) -> tuple[PostProcessor, Tensors]:
    """Make an image of a kind of output whose boxes, of all labels, suppress each other."""
    scores = image(boxes, LABELS)["scores"]
    ones = np.ones((1, boxes, 1), np.float32)
    centres = np.full((1, boxes, 4), [0.2, 0.2, 0.2, 0.2], np.float32)
    corners = np.full((1, boxes, 4), [0.1, 0.1, 0.3, 0.3], np.float32)
    names = [str(label) for label in range(LABELS)]
    output: Any
    tensors: dict[str, Any]
    if kind == "standard":
        return worst_cases.post_processor(LABELS), image(boxes, LABELS)
    if kind == "direct":
        output = DirectOutput(boxes_tensor="boxes", scores_tensor="scores", classes_tensor="classes")
        classes = np.broadcast_to(np.arange(LABELS), scores.shape)
        tensors = {"boxes": corners, "scores": scores, "classes": classes}
    elif kind == "yolov5":
        output = Yolov5Output(output_tensor="table", layout="channels_last")
        tensors = {"table": np.concatenate([centres, ones, scores], axis=2)}
    elif kind == "yolov8_obb":
        output = Yolov8ObbOutput(output_tensor="table", layout="channels_last")
        tensors = {"table": np.concatenate([centres, scores, 0 * ones], axis=2)}
    elif kind == "ssd":
        output = SsdOutput(
            offsets_tensor="offsets", scores_tensor="scores", priors_tensor="priors", priors_format="xyxy",
            background="none", layout="channels_last",
        )  # fmt: skip
        tensors = {"offsets": np.zeros((1, boxes, 4), np.float32), "scores": scores, "priors": corners[0]}
    else:  # boxes much larger than the image, and a softmax that gives all labels about as much
        cells = boxes // 100
        output = YoloOutput(output_tensor="grid", anchors=(30.0 * cells, 30.0) * 100)
        grid = np.concatenate([0 * centres, 9 * ones, 0.1 * scores], axis=2)
        tensors = {"grid": grid.reshape(1, 1, cells, -1)}
    options: dict[str, Any] = {"input_size": [1, 1]} if kind.startswith("yolov") else {}
    low = 0.01 if kind == "yolo" else 0.05
    return PostProcessor.for_detection(names, output, thresholds=low, nms_threshold=0.5, **options), tensors


def in_python(kernel: Any) -> Any:
    """Return what a kernel was compiled from."""
    return kernel if config.DISABLE_JIT else kernel.py_func


def seconds(post: PostProcessor, tensors: Tensors) -> float:
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        post(tensors)
        best = min(best, time.perf_counter() - start)
    return best


@pytest.mark.parametrize("kind", ["standard", "direct", "yolov5", "yolov8_obb", "ssd", "yolo"])
def test_call_boxes_that_all_suppress_each_other_find_the_best_of_each_label(kind: str) -> None:
    """Also after the room of the first scan, and after those that are wider."""
    boxes = 900
    post, tensors = at_one_place(kind, boxes)
    found = post(tensors).outputs[0]
    scores = image(boxes, LABELS)["scores"][0]
    assert sorted(found.labels.tolist()) == list(range(LABELS))
    order = np.argsort(-scores.max(axis=0), kind="stable")
    if kind != "yolo":
        assert found.labels.tolist() == order.tolist()
        np.testing.assert_array_equal(found.regions, scores.argmax(axis=0)[order])  # type: ignore[union-attr]


@pytest.mark.skipif(
    bool(config.BOUNDSCHECK or config.DISABLE_JIT), reason="NUMBA_*: other code than is worth timing"
)
@pytest.mark.parametrize("kind", ["standard", "direct", "yolov5", "yolov8_obb", "ssd", "yolo"])
def test_call_time_of_boxes_that_all_suppress_each_other_grows_with_their_number(kind: str) -> None:
    """Where every scan has the same room, sixteen times as many take 120 to 340 times as long."""
    few, many = at_one_place(kind, 2000), at_one_place(kind, 32_000)
    seconds(*few)
    for _ in range(3):  # the machine may be busy
        ratio = seconds(*many) / seconds(*few)
        if ratio < 90:
            break
    assert ratio < 90


@pytest.mark.needs_numba
def test_widened_room_of_further_scans_is_more_until_it_is_a_part_of_all() -> None:
    """So the scans of an image are some thirty at most, however many candidates there are."""
    create, widen = in_python(new_collector), in_python(widened)
    for most in (10, 5000, 1_000_000, 20_000_000):
        collector, top, taken, scans = create(1024, most, 1), 1024, 1024, 1
        while taken < most:
            collector, larger = widen(collector, top, most)
            assert top <= larger <= max(2 * top, 1024)
            assert len(collector[0]) == min(2 * larger, most + 1)
            top, taken, scans = larger, taken + larger, scans + 1
        assert scans <= 32
        assert top <= max(1 << 16, most // 16)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak")
def test_call_peak_memory_follows_the_bound() -> None:
    environment = {**os.environ, **worst_cases.ENVIRONMENT}
    run = subprocess.run(
        [sys.executable, "-m", "tests.worst_cases"],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    peaks = json.loads(run.stdout)
    # Bytes a candidate, whose score itself takes 4.
    assert peaks.pop("hard apart") < 1
    assert peaks.pop("hard same") < 6
    assert peaks.pop("hard outside") < 60
    assert len(peaks) == 6
    assert max(peaks.values()) < 200
