"""A mix of calls as a service makes them, and of those that it makes by mistake."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from postproc import PostProcessor, Recognitions, TensorError, Yolov8Output
from tests.endurance.histogram import Histogram
from tests.endurance.memory import TOLERANCE, Watch
from tests.pipelines import assert_same, post_processor, tensors_of


@dataclass
class Workload:
    """A kind of call, what it should give, and how many of a hundred are of it."""

    name: str
    share: int
    call: Callable[[], Any]
    expected: Any
    latencies: Histogram = field(default_factory=Histogram)
    wrong: int = 0

    def run(self, is_compared: bool) -> None:
        """Call once; every so often, what it gives is compared."""
        begin = time.perf_counter_ns()
        found = self.call()
        self.latencies.add(time.perf_counter_ns() - begin)
        if is_compared and not _is_same(found, self.expected):
            self.wrong += 1


def run(calls: int) -> dict[str, Any]:
    """Make `calls` calls in turns, and compare every hundredth of a workload with its first."""
    workloads = _workloads()
    turns = _in_turns(workloads)
    for workload in workloads:
        workload.run(is_compared=True)
        workload.latencies = Histogram()  # the first call loads kernels
    watch = Watch()
    begin = time.monotonic()
    for number, workload in zip(range(calls), itertools.cycle(turns), strict=False):
        if number % 1000 == 0:
            watch.look(number / calls)
        workload.run(is_compared=number % 1009 == 0 or workload.latencies.count % 100 == 0)
    watch.look(1.0)
    wrong = sum(workload.wrong for workload in workloads)
    return {
        "calls": calls,
        "seconds": time.monotonic() - begin,
        "wrong": wrong,
        "failures_expected": sum(w.latencies.count for w in workloads if isinstance(w.expected, str)),
        "workloads": {workload.name: workload.latencies.summary() for workload in workloads},
        "memory": watch.summary(),
        "passed": wrong == 0 and watch.growth() <= TOLERANCE,
    }


def _workloads() -> list[Workload]:
    made = []

    def add(name: str, share: int, call: Callable[[], Any]) -> None:
        made.append(Workload(name, share, call, call()))

    classify, scores = post_processor("classification"), tensors_of("classification", 8)
    add("classification, 8 images", 20, lambda: classify(scores))
    for kind in ("yolov8", "direct", "anchored", "yolov8_pose", "yolov8_seg", "yolov8_obb"):
        post, tensors = post_processor(kind), tensors_of(kind, 1)
        add(f"{kind}, 40 boxes", 8, lambda post=post, tensors=tensors: post(tensors))
        if kind in ("yolov8", "yolov8_seg"):
            add(f"{kind}, to dicts", 4, lambda post=post, tensors=tensors: post(tensors).to_dicts())
    yolo, table = _large()
    add("yolov8, 84 x 8400", 2, lambda: yolo(table))
    shared, pair = _large(num_threads=2)[0], {"t": np.repeat(table["t"], 2, axis=0)}
    add("yolov8, 2 x 84 x 8400, 2 threads", 1, lambda: shared(pair))
    direct, boxes = post_processor("direct"), tensors_of("direct", 1)
    add("missing tensor", 4, lambda: _error_of(direct, {}))
    add("wrong rank", 4, lambda: _error_of(direct, {**boxes, "boxes": boxes["boxes"][0, 0]}))
    add("wrong dtype", 4, lambda: _error_of(direct, {**boxes, "scores": boxes["scores"].astype("O")}))
    add("new post-processor, 2 threads", 1, lambda: post_processor("direct", 2)(boxes))
    batch = tensors_of("direct", 4)
    pooled = post_processor("direct", 2)
    add("direct, 4 images, 2 threads", 8, lambda: pooled(batch))
    return made


def _large(num_threads: int = 1) -> tuple[PostProcessor, dict[str, Any]]:
    rng = np.random.default_rng(0)
    table = rng.uniform(0, 0.2, (1, 84, 8400)).astype(np.float32)
    table[:, :4] = rng.uniform(20, 600, (1, 4, 8400))
    hits = rng.integers(0, 8400, 100)
    table[:, 4 + rng.integers(0, 80, 100), hits] = 0.9
    post = PostProcessor.for_detection(
        [f"label {row}" for row in range(80)],
        Yolov8Output(output_tensor="t"),
        thresholds=0.25,
        input_size=(640, 640),
        num_threads=num_threads,
    )
    return post, {"t": table}


def _in_turns(workloads: list[Workload]) -> list[Workload]:
    turns = [workload for workload in workloads for _ in range(workload.share)]
    order = np.random.default_rng(1).permutation(len(turns))
    return [turns[position] for position in order]


def _error_of(post: PostProcessor, tensors: dict[str, Any]) -> str:
    try:
        post(tensors)
    except TensorError as error:
        return str(error)
    raise AssertionError("no TensorError was raised")


def _is_same(found: Any, expected: Any) -> bool:
    if isinstance(expected, Recognitions):
        try:
            assert_same(found, expected)
        except AssertionError:
            return False
        return True
    return bool(found == expected)
