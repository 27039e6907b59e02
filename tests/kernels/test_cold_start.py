"""The first call of many threads, in many processes, that share an empty cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from numba.core import config

pytestmark = [
    pytest.mark.needs_numba,
    pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled: NUMBA_DISABLE_JIT"),
]
PROGRAM = """
import importlib, json, pkgutil, threading
from concurrent.futures import ThreadPoolExecutor
import postproc.kernels
from tests import reference
from tests.pipelines import assert_same, post_processor, tensors_of

post, tensors = post_processor("classification", 2), tensors_of("classification", 3)
together = threading.Barrier(16)

def first_call():
    together.wait(60)
    return post(tensors)

with ThreadPoolExecutor(16) as pool:
    results = [future.result(120) for future in [pool.submit(first_call) for _ in range(16)]]
for result in results:
    assert_same(result, results[0])
expected = reference.run(post.spec.dump(), post.version.dump(), tensors)[0]
assert len(results[0].outputs[0].labels) == sum(map(len, expected)) > 0

kernels = {}
for module in pkgutil.walk_packages(postproc.kernels.__path__, "postproc.kernels."):
    for value in vars(importlib.import_module(module.name)).values():
        if hasattr(value, "signatures"):
            kernels[id(value)] = value
print(json.dumps({
    "loaded": sum(sum(kernel.stats.cache_hits.values()) for kernel in kernels.values()),
    "compiled": sum(sum(kernel.stats.cache_misses.values()) for kernel in kernels.values()),
    "most": max(max(kernel.stats.cache_misses.values(), default=0) for kernel in kernels.values()),
    "signatures": sum(len(kernel.signatures) for kernel in kernels.values()),
}))
"""


def start(cache: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, errors = process.communicate(timeout=240)
    assert (process.returncode, errors) == (0, "")
    found: dict[str, Any] = json.loads(output)
    return found


def test_first_call_of_16_threads_in_2_processes_with_an_empty_cache(tmp_path: Path) -> None:
    running = [start(tmp_path) for _ in range(2)]
    for found in map(outcome, running):
        assert found["most"] <= 1  # no thread repeats what another has compiled
        assert found["loaded"] + found["compiled"] == found["signatures"] > 0
    afterwards = outcome(start(tmp_path))
    assert afterwards["compiled"] == 0
    assert afterwards["loaded"] > 0
    assert not list(tmp_path.rglob("*.tmp.*"))
