"""Post-processing as a graph on a CPU, beside the kernels: ``python -m benchmarks.probes.fusing``.

A table (1, 84, 8400) as of YOLOv8; the least of 12 in turns, one thread, in milliseconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from postproc import PostProcessor, Yolov8Output
from postproc.fusing import FuseOptions

LABELS, BOXES, SIDE, OBJECTS, TURNS = 80, 8400, 640, 80, 12
OPTIONS = (
    FuseOptions(candidates=256),
    FuseOptions(candidates=1024),
    FuseOptions(candidates=1024, nms="operator"),
)


def table() -> NDArray[np.float32]:
    """Make objects of several boxes each, and elsewhere scores below any threshold."""
    rng = np.random.default_rng(0)
    rows = np.empty((1, 4 + LABELS, BOXES), np.float32)
    rows[:, :2] = rng.uniform(0, SIDE, (2, BOXES))
    rows[:, 2:4] = rng.uniform(8, SIDE / 8, (2, BOXES))
    rows[:, 4:] = rng.uniform(0, 0.01, (LABELS, BOXES))
    for label in rng.integers(0, LABELS, OBJECTS):
        first = rng.integers(0, BOXES - 8)
        rows[0, :4, first : first + 8] = rows[0, :4, first, np.newaxis] + rng.uniform(-2, 2, (4, 8))
        rows[0, 4 + label, first : first + 8] = rng.uniform(0.2, 0.95, 8)
    return rows


def main() -> None:
    """Print a line for the kernels and for each graph."""
    output = Yolov8Output(output_tensor="output0")
    names = [f"{row}" for row in range(LABELS)]
    post = PostProcessor.for_detection(
        names, output, thresholds=0.5, nms_threshold=0.5, input_size=[SIDE, SIDE]
    )
    feed = {"output0": table()}
    setup = onnxruntime.SessionOptions()
    setup.intra_op_num_threads = 1
    calls: dict[str, Callable[[], Any]] = {"kernels": partial(post, feed)}
    for options in OPTIONS:
        model = post.to_onnx({"output0": feed["output0"].shape}, options).SerializeToString()
        session = onnxruntime.InferenceSession(model, setup, providers=["CPUExecutionProvider"])
        calls[f"{options.nms}, K = {options.candidates}"] = partial(session.run, None, feed)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(TURNS):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - started)
    found = len(post(feed).outputs[0].scores)
    sys.stdout.write(f"{found} detections\n")
    for name, taken in times.items():
        sys.stdout.write(f"{name}: {min(taken) * 1e3:.2f} ms\n")


if __name__ == "__main__":
    main()
