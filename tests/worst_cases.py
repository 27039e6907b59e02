"""Images on which a call has the most to do; ``python -m tests.worst_cases`` prints its peak memory as JSON.

That is a process of its own, run with `ENVIRONMENT`, under which the C library returns freed memory at once.
Linux only: the high-water mark of the resident set is set back before the call, so that every allocation
counts, also numba's, which tracemalloc does not see.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc import PostProcessor
from postproc.schema import StandardOutput

ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "16384", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_ARENA_MAX": "1"}

Tensors = dict[str, NDArray[np.float32]]


def post_processor(labels: int, **decision: Any) -> PostProcessor:
    """Build a post-processor of boxes and scores, which everything passes."""
    output = StandardOutput(boxes_tensor="boxes", scores_tensor="scores", layout="channels_last")
    names = [str(label) for label in range(labels)]
    return PostProcessor.for_detection(names, output, thresholds=0.05, **{"nms_threshold": 0.5, **decision})


def image(boxes: int, labels: int, place: str = "same", order: str = "random") -> Tensors:
    """Make an image whose boxes all lie at the same place, or are apart in it, or apart outside of it."""
    scores = np.linspace(0.1, 0.9, boxes * labels, dtype=np.float32)
    if order == "random":
        scores = np.random.default_rng(0).permutation(scores)
    elif order == "equal":
        scores[:] = 0.5
    corners = np.full((1, boxes, 4), [0.1, 0.1, 0.3, 0.3], np.float32)
    if place != "same":
        side = int(np.ceil(np.sqrt(boxes)))
        row, column = np.divmod(np.arange(boxes), side)
        low = np.stack([column, row], axis=1) / side + (2 if place == "outside" else 0)
        corners[0] = np.concatenate([low, low + 0.9 / side], axis=1)
    return {"boxes": corners, "scores": scores.reshape(1, boxes, labels)}


def peak_of(post: PostProcessor, tensors: Tensors, **options: Any) -> int:
    """Measure the bytes that a call takes beyond its tensors, the result included."""
    post({name: tensor[:, :10] for name, tensor in tensors.items()}, **options)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    result = post(tensors, **options)
    peak = _status("VmHWM") - before
    del result
    return peak


def _status(name: str) -> int:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def peaks() -> dict[str, float]:
    """Measure bytes per candidate of some methods and places, but for what a call always takes."""
    found = {}
    for method in ("hard", "soft", "weighted"):
        for place in ("same", "apart", "outside"):
            labels, boxes = 20, 200_000 if method == "hard" else 5_000
            if place == "outside":  # which takes time with the square of its boxes
                boxes = 2_500 if method == "hard" else 500
            post = post_processor(labels, nms_method=method)
            tensors = image(boxes, labels, place)
            few = peak_of(post, image(20, labels, place))
            found[f"{method} {place}"] = (peak_of(post, tensors) - few) / (boxes * labels)
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(peaks()))
