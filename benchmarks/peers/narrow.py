"""Tensors in fewer bytes than float32, beside the same numbers in float32."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from benchmarks.contest import OURS, Peer
from benchmarks.data.narrow import NarrowCase
from benchmarks.data.yolo import LABELS
from benchmarks.peers.distances import our_distances
from benchmarks.peers.yolo import IOU_THRESHOLD, MOST, our_columns
from postproc import PostProcessor, QuantizedTensor, Yolov8Output

FLOATS = "float32"

Run = Callable[[], Any]


@cache
def _yolov8() -> PostProcessor:
    """Make the post-processor of a tensor whose boxes are normalized: one scale suits it all."""
    return PostProcessor.for_detection(
        [f"label {row}" for row in range(LABELS)],
        Yolov8Output(output_tensor="tensor", coordinates="normalized"),
        thresholds=0.25,
        nms_threshold=IOU_THRESHOLD,
    )


def _post(case: NarrowCase) -> PostProcessor:
    return _yolov8() if "tensor" in case.tensors else our_distances()


def ours(case: NarrowCase) -> Run:
    tensors = {
        name: QuantizedTensor(tensor, *case.quantised[name]) if name in case.quantised else tensor
        for name, tensor in case.tensors.items()
    }
    return partial(_post(case), tensors, max_predictions=MOST)


def floats(case: NarrowCase) -> Run:
    return partial(_post(case), case.floats(), max_predictions=MOST)


NARROW = {OURS: Peer(ours, our_columns), FLOATS: Peer(floats, our_columns)}
