"""A call with metrics around it: ``python metrics.py TENSOR.npy``; writes seconds of each way as JSON."""

import json
import sys
import time
from collections import Counter as Counts

import numpy as np
from prometheus_client import Counter, Histogram
from yolov8 import post, tensors

_ROUNDS, _CALLS = 150, 5

LATENCY = Histogram("postprocessing_seconds", "Time of a call.")
BY_MODEL = Histogram("postprocessing_by_model_seconds", "Time of a call.", ["model"])
FOUND = Counter("detections_total", "Detections by label.", ["label"])

batch = post(tensors)


def nothing():
    return batch


def call():
    return post(tensors)


def timed():
    with LATENCY.time():
        return batch


def timed_by_model():
    with BY_MODEL.labels(model="yolov8").time():
        return batch


def counted_one_by_one():
    for name in batch.outputs[0].label_names:
        FOUND.labels(label=name).inc()
    return batch


def counted_by_label():
    for name, count in Counts(batch.outputs[0].label_names).items():
        FOUND.labels(label=name).inc(count)
    return batch


WAYS = {
    "nothing": nothing,
    "call": call,
    "`histogram.time()`": timed,
    "`histogram.labels(model=...).time()`": timed_by_model,
    f"`counter.labels(label=...).inc()`, {len(batch.outputs[0].scores)} detections": counted_one_by_one,
    "the same, once for each label of them": counted_by_label,
}
samples: dict[str, list[float]] = {name: [] for name in WAYS}
for _ in range(_ROUNDS):
    for name, way in WAYS.items():
        way()
        begin = time.perf_counter()
        for _ in range(_CALLS):
            way()
        samples[name].append((time.perf_counter() - begin) / _CALLS)
found = {name: float(np.quantile(taken, 0.1)) for name, taken in samples.items()}
nothing_at_all = found.pop("nothing")
sys.stdout.write(json.dumps({name: seconds - nothing_at_all for name, seconds in found.items()}) + "\n")
sys.stdout.flush()
sys.stdin.read()
