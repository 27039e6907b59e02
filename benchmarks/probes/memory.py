"""Peak memory of one call, as JSON: ``python -m benchmarks.probes.memory BATCH THRESHOLD DTYPE``; Linux only.

The high-water mark of the resident set is set back before the call, so that every allocation counts, whoever
makes it: numba's do not pass through tracemalloc. Run it with `ENVIRONMENT`, under which the C library
returns freed memory at once; what the warm-up has freed would be used again unseen otherwise.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.data.yolo import yolov8_tensor
from benchmarks.peers.yolo import MOST, our_yolov8

ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "16384", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_ARENA_MAX": "1"}


def peak_of_call(batch: int, threshold: float, dtype: str) -> dict[str, Any]:
    """Bytes of the input as float32, and those that a call takes at its peak beyond the input it is given."""
    tensors = {"tensor": yolov8_tensor(batch).astype(dtype)}
    post = our_yolov8(threshold)
    post(tensors, max_predictions=MOST)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    result = post(tensors, max_predictions=MOST)
    peak = _status("VmHWM") - before
    return {"input": tensors["tensor"].size * 4, "peak": peak, "found": len(result.outputs[0].scores)}


def _status(name: str) -> int:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    sys.stdout.write(json.dumps(peak_of_call(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3])))
