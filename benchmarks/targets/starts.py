"""How much longer a new process takes with this library than one that imports what it needs."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from benchmarks.data.yolo import yolov8_tensor
from benchmarks.targets.result import Result, readable
from postproc import PostProcessor, Yolov8Output
from postproc.kernels._jit import IS_COMPILED

_PROBES = Path(__file__).resolve().parents[1] / "probes"
# Where numba compiles, importing it is most of a start, and its cache is filled.
_LEAST = "numpy and pydantic" if IS_COMPILED else "numpy, pydantic and numba (which compiles)"


def start(starts: int) -> Iterator[Result]:
    """Processor time of an import, and of a new process to its first result, of code and of documents.

    Of each the least of so many processes, in turns: others at work lengthen it, nothing shortens it.
    """
    with tempfile.TemporaryDirectory() as directory:
        tensor, *documents = (str(Path(directory, name)) for name in ("tensor.npy", "spec", "version"))
        np.save(tensor, yolov8_tensor(1))
        output = Yolov8Output(output_tensor="tensor")
        labels = [f"label {row}" for row in range(80)]
        post = PostProcessor.for_detection(labels, output, thresholds=0.25, input_size=[640, 640])
        for path, document in zip(documents, (post.spec, post.version), strict=True):
            Path(path).write_text(document.dump_json(), "utf-8")
        first = str(_PROBES / "start.py")
        commands = {
            "least": [str(_PROBES / "start_least.py"), *([] if IS_COMPILED else ["numba"])],
            "import postproc": ["-c", "import postproc"],
            "new process to first YOLO result": [first, tensor],
            "new process to first YOLO result, of documents": [first, tensor, *documents],
        }
        seconds = _least_seconds(commands, directory, starts)
    least, least_on_clock = seconds.pop("least")
    for (name, (ours, on_clock)), limit in zip(seconds.items(), (1.5, 1.4, 1.4), strict=True):
        detail = f"{readable(ours)} / {readable(least)}; on the clock {on_clock / least_on_clock:.2f}"
        yield Result(f"{name} / {_LEAST} and a model", ours / least, limit, False, detail)


def _least_seconds(
    commands: Mapping[str, list[str]], directory: str, starts: int
) -> dict[str, tuple[float, float]]:
    """Least processor time of each, and least time on the clock."""
    # An installed package has its bytecode, whatever this environment says of writing it.
    caches = {
        "NUMBA_CACHE_DIR": directory,
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": directory,
    }
    seconds = dict.fromkeys(commands, (float("inf"), float("inf")))
    for turn in range(starts + 1):
        for name, command in commands.items():
            used, begin = _processor_time(), time.perf_counter()
            subprocess.run(
                [sys.executable, *command], env={**os.environ, **caches}, cwd=directory, check=True
            )
            on_clock, used = time.perf_counter() - begin, _processor_time() - used
            if turn > 0:  # the first fills the caches
                seconds[name] = (min(seconds[name][0], used), min(seconds[name][1], on_clock))
    return seconds


def _processor_time() -> float:
    """Seconds of all processes that have been started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
