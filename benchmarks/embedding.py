"""What a host that embeds a post-processor asks, measured: ``python -m benchmarks.embedding``; Linux only.

Whether a call in asyncio is worth the way to a thread; how long a new worker takes to its first result,
compiling, loading and forked; and how much memory a worker has of its own. Figures are of this machine: it is
the ratios that carry over.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.contest import INPUTS
from benchmarks.data.yolo import yolov8_tensor
from benchmarks.machine import describe
from benchmarks.peers.yolo import our_yolov8
from benchmarks.targets.result import readable
from benchmarks.timing import Call, Turning
from postproc import Classification, PostProcessor

_ROOT = Path(__file__).resolve().parents[1]
_WORKER = _ROOT / "benchmarks" / "probes" / "worker.py"
_WORKERS = 3
_PARTS = {"Private_Clean", "Private_Dirty"}  # of what no other process has


def calls() -> dict[str, Call]:
    """Post-processing of different lengths."""
    sparse, dense = our_yolov8(0.25), our_yolov8(0.001)
    tensors = [yolov8_tensor(1, image) for image in range(INPUTS)]
    sixteens = [np.concatenate(tensors[first : first + 16]) for first in range(0, INPUTS, 16)]
    labels = [f"label {row}" for row in range(1000)]
    classes = PostProcessor.for_classification(labels, Classification(output_tensor="scores"))
    rng = np.random.default_rng(0)
    scores = [rng.random((1, 1000), np.float32) ** 40 for _ in range(INPUTS)]
    return {
        "classification, 1,000 labels": Turning([partial(classes, {"scores": one}) for one in scores]),
        "YOLOv8, threshold 0.25": Turning([partial(sparse, {"tensor": one}) for one in tensors], tensors),
        "YOLOv8, threshold 0.001": Turning([partial(dense, {"tensor": one}) for one in tensors], tensors),
        "16 images of YOLOv8, 0.001": Turning([partial(dense, {"tensor": one}) for one in sixteens]),
    }


class HandOver(NamedTuple):
    """Median seconds of a call in a coroutine, and of one through the loop's executor."""

    inline: float
    executor: float


async def hand_over(call: Call, seconds: float) -> HandOver:
    """Await a call both ways in turns, nothing else running."""
    loop = asyncio.get_running_loop()
    turning = call if isinstance(call, Turning) else Turning([call])
    inline: list[float] = []
    executor: list[float] = []
    call()
    end = time.perf_counter() + seconds
    while len(inline) < 20 or time.perf_counter() < end:
        here = turning.ready()
        begin = time.perf_counter()
        here()
        inline.append(time.perf_counter() - begin)
        there = turning.ready()
        begin = time.perf_counter()
        await loop.run_in_executor(None, there)
        executor.append(time.perf_counter() - begin)
    return HandOver(statistics.median(inline), statistics.median(executor))


class Worker(NamedTuple):
    """Seconds to the first result, and MiB that a process has alone and that it shares in parts."""

    seconds: float
    alone: float
    proportional: float


def workers(tensor: Path, cache: Path, count: int, forked: bool) -> list[Worker]:
    """Start workers at once, new processes or forks of a warm one; measure while all of them live."""
    started = []
    try:
        for _ in range(1 if forked else count):
            arguments = [str(_WORKER), str(tensor), repr(time.monotonic()), str(count if forked else 0)]
            started.append(
                subprocess.Popen(
                    [sys.executable, *arguments],
                    env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
                    cwd=_ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        told = []
        for process in started:
            assert process.stdout is not None
            told += [json.loads(process.stdout.readline()) for _ in range(count if forked else 1)]
        return [Worker(one["seconds"], *_memory(one["pid"])) for one in told]
    finally:
        for process in started:
            process.communicate("")


def _memory(pid: int) -> tuple[float, float]:
    """MiB of a process that no other has, and its share of all that it has."""
    alone = proportional = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        kilobytes = int(rest.split()[0])
        alone += kilobytes if name in _PARTS else 0
        proportional += kilobytes if name == "Pss" else 0
    return alone / 1024, proportional / 1024


def hand_over_table(seconds: float) -> Iterator[str]:
    """Lines of a table of the calls, in a coroutine and through the executor."""
    yield "| call in asyncio | in the coroutine | `run_in_executor` | ratio |"
    yield "| --- | ---: | ---: | ---: |"
    cases: dict[str, Call] = {"nothing: the hand-over alone": lambda: None, **calls()}
    for name, call in cases.items():
        found = asyncio.run(hand_over(call, seconds))
        ratio = f"{found.executor / found.inline:.2g}" if found.inline > 1e-6 else ""
        yield f"| {name} | {readable(found.inline)} | {readable(found.executor)} | {ratio} |"


def worker_table() -> Iterator[str]:
    """Lines of a table of how workers start, and what memory they have."""
    yield f"| worker, {_WORKERS} at once | to its first result | memory of its own | and its part of others |"
    yield "| --- | ---: | ---: | ---: |"
    with tempfile.TemporaryDirectory() as folder:
        tensor, cache = Path(folder, "tensor.npy"), Path(folder, "cache")
        np.save(tensor, yolov8_tensor(1))
        cases = (
            ("the first process ever, which compiles", 1, False),
            ("new processes, which load from the cache", _WORKERS, False),
            ("forks of a process that has warmed up", _WORKERS, True),
        )
        for name, count, forked in cases:
            found = workers(tensor, cache, count, forked)
            seconds, alone, proportional = (statistics.median(column) for column in zip(*found, strict=True))
            yield f"| {name} | {readable(seconds)} | {alone:.0f} MiB | {proportional:.0f} MiB |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each call in asyncio")
    options = parser.parse_args()
    sys.stdout.write(", ".join(f"{name} {value}" for name, value in describe().items()) + ".\n\n")
    for line in (*hand_over_table(options.seconds), "", *worker_table()):
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
