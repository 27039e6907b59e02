"""Seconds of CPU that each kernel takes to compile, as JSON; run it with an empty ``NUMBA_CACHE_DIR``."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
from numba.core import event

from postproc import PostProcessor, ops
from postproc.demo import MODELS, spec_path, version_path


class OwnTimes(event.Listener):  # type: ignore[misc]  # numba is untyped
    """CPU seconds of each specialisation without those of the kernels that it calls."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str, float]] = []
        self._begins: list[float] = []
        self._inner: list[float] = [0.0]

    def on_start(self, event: Any) -> None:
        self._begins.append(time.process_time())
        self._inner.append(0.0)

    def on_end(self, event: Any) -> None:
        total = time.process_time() - self._begins.pop()
        own = total - self._inner.pop()
        self._inner[-1] += total
        function = event.data["dispatcher"].py_func
        name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
        self.found.append((name, ", ".join(map(str, event.data["args"])), own))


def compile_demo() -> dict[str, Any]:
    """Compile every kernel that the demo may use: seconds in all, and of each specialisation."""
    begin = time.process_time()
    with event.install_listener("numba:compile", OwnTimes()) as times:
        for model in MODELS:
            PostProcessor(spec_path(model), version_path(model)).warmup()
        boxes = np.zeros((1, 4), np.float32)
        ops.box_iou(boxes, boxes)
    kernels = [entry for entry in times.found if entry[2] > 0]
    return {"seconds": time.process_time() - begin, "kernels": sorted(kernels, key=lambda entry: -entry[2])}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(compile_demo()))
