"""A worker that looks for a new version before each call: ``python reloading.py TENSOR.npy SPEC VERSION``.

Writes a line once it calls, and another, of JSON, once it answers by a new version.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from postproc import PostProcessor

_CALLS = 200


def _stamp() -> int:
    return version.stat().st_mtime_ns


def _time_of_a_look() -> float:
    begin = time.perf_counter()
    for _ in range(_CALLS):
        _stamp()
    return (time.perf_counter() - begin) / _CALLS


tensors, spec, version = {"tensor": np.load(sys.argv[1])}, Path(sys.argv[2]), Path(sys.argv[3])
first = _stamp()
post = PostProcessor(spec, version)
post.warmup()
old = len(post(tensors).outputs[0].scores)
sys.stdout.write("calling\n")
sys.stdout.flush()
calls = 0
while _stamp() == first:
    assert len(post(tensors).outputs[0].scores) == old
    calls += 1
begin = time.perf_counter()
new = PostProcessor(spec, version)
new.warmup()
take = time.perf_counter() - begin
post = new
assert len(post(tensors).outputs[0].scores) < old
told = {
    "time": time.monotonic(),
    "take": take,
    "look": min(_time_of_a_look() for _ in range(5)),
    "calls": calls,
}
sys.stdout.write(json.dumps(told) + "\n")
sys.stdout.flush()
sys.stdin.read()
