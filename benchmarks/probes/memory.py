"""Peak memory of calls on a batch, as JSON: ``python -m benchmarks.probes.memory BATCH``; Linux only.

The high-water mark of the resident set is set back before the call, so that every allocation counts, whoever
makes it: numba's do not pass through tracemalloc. Run it with `ENVIRONMENT`, under which the C library
returns freed memory at once; what the warm-up has freed would be used again unseen otherwise.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.data.yolo import yolov8_tensor
from benchmarks.peers.yolo import MOST, our_yolov8

ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "16384", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_ARENA_MAX": "1"}


CASES = ((0.25, "float32"), (0.25, "float16"), (0.001, "float32"), (0.0, "float32"))


def peaks(batch: int) -> list[dict[str, Any]]:
    """For each case the bytes of its input as float32, and those that a call takes beyond the input given."""
    tensor = yolov8_tensor(batch)
    found = []
    for threshold, dtype in CASES:
        tensors = {"tensor": tensor.astype(dtype)}
        post = our_yolov8(threshold)
        beyond = peak(partial(post, tensors, max_predictions=MOST))
        found.append({"threshold": threshold, "dtype": dtype, "input": tensor.nbytes, "peak": beyond})
    return found


def peak(call: Callable[[], Any]) -> int:
    """Bytes that a call takes beyond what there is before it, once it has been called."""
    call()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    result = call()
    peak = _status("VmHWM") - before
    del result
    return peak


def _status(name: str) -> int:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    sys.stdout.write(json.dumps(peaks(int(sys.argv[1]))))
