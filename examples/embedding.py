"""What docs/embedding.md says in figures, measured: ``python examples/embedding.py``, of a clone; Linux only.

Whether a call in asyncio is worth the way to a thread; what metrics around it cost; how long a new worker
takes to its first result, and how much memory it has of its own; how long a new version takes to all workers.
Times of calls are those of the fastest tenth, and it is the ratios that carry over.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

_ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(_ROOT))  # behind what is installed: a wheel is measured where one is

from benchmarks.contest import INPUTS  # noqa: E402
from benchmarks.data.yolo import yolov8_tensor  # noqa: E402
from benchmarks.machine import describe  # noqa: E402
from benchmarks.peers.yolo import our_yolov8  # noqa: E402
from benchmarks.targets.result import readable  # noqa: E402
from benchmarks.timing import Call, Turning  # noqa: E402
from postproc import Classification, PostProcessor  # noqa: E402
from postproc.kernels._compiled import compiled  # noqa: E402

_PROBES = _ROOT / "benchmarks" / "probes"
_WORKERS = 3
_PARTS = {"Private_Clean", "Private_Dirty"}  # of what no other process has


def fastest(samples: list[float]) -> float:
    """Return the time of the fastest tenth: on a busy machine, of calls that nothing interrupted."""
    return float(np.quantile(samples, 0.1))


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
    """Seconds of a call in a coroutine, and of one through the loop's executor."""

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
    return HandOver(fastest(inline), fastest(executor))


class Worker(NamedTuple):
    """Seconds to the first result, and MiB that a process has alone and that it shares in parts."""

    seconds: float
    alone: float
    proportional: float


def workers(tensor: Path, cache: Path, count: int, forked: bool) -> list[Worker]:
    """Start workers at once, new processes or forks of a warm one; measure while all of them live."""
    arguments = [str(tensor), repr(time.monotonic()), str(count if forked else 0)]
    with _started("worker.py", arguments, 1 if forked else count, {"NUMBA_CACHE_DIR": str(cache)}) as started:
        told = []
        for process in started:
            told += [json.loads(process.stdout.readline()) for _ in range(count if forked else 1)]
        return [Worker(one["seconds"], *_memory(one["pid"])) for one in told]


@contextmanager
def _started(
    probe: str, arguments: list[str], count: int = 1, environment: Mapping[str, str] | None = None
) -> Iterator[list[Any]]:
    """Run a probe, several times at once, until the end of the block: then its input ends."""
    command = [sys.executable, str(_PROBES / probe), *arguments]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started: list[Any] = []
    try:
        for _ in range(count):
            started.append(subprocess.Popen(command, env={**os.environ, **(environment or {})}, **pipes))
        yield started
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


class Reload(NamedTuple):
    """Seconds of a look at an unchanged file, of taking a new one, and until the last worker answers by it.

    And how many calls the workers made meanwhile.
    """

    look: float
    take: float
    all_workers: float
    calls: int


def reload(folder: Path, tensor: Path, count: int) -> Reload:
    """Let workers call without a pause, replace their version's file, and wait for all of them."""
    post = our_yolov8(0.25)
    documents = {"spec": post.spec.dump(), "version": post.version.dump()}
    paths = {name: folder / f"{name}.json" for name in documents}
    for name, document in documents.items():
        paths[name].write_text(json.dumps(document))
    with _started("reloading.py", [str(tensor), *map(str, paths.values())], count) as started:
        for process in started:
            process.stdout.readline()  # it is warm, and calls
        (folder / "new.json").write_text(json.dumps(post.replace(thresholds=0.5).version.dump()))
        begin = time.monotonic()
        os.replace(folder / "new.json", paths["version"])
        told = [json.loads(process.stdout.readline()) for process in started]
    return Reload(
        look=min(one["look"] for one in told),
        take=min(one["take"] for one in told),
        all_workers=max(one["time"] for one in told) - begin,
        calls=sum(one["calls"] for one in told),
    )


def metrics(tensor: Path, multiprocess: bool) -> dict[str, float]:
    """Seconds of a call, and of metrics around it, of one process or as several share them."""
    with tempfile.TemporaryDirectory() as folder:
        shared = {"PROMETHEUS_MULTIPROC_DIR": folder} if multiprocess else {}
        with _started("metrics.py", [str(tensor)], environment=shared) as (process,):
            found: dict[str, float] = json.loads(process.stdout.readline())
    return found


def hand_over_table(seconds: float) -> Iterator[str]:
    """Lines of a table of the calls, in a coroutine and through the executor."""
    yield "| call in asyncio | ratio | in the coroutine | in a thread |"
    yield "| --- | ---: | ---: | ---: |"
    cases: dict[str, Call] = {"nothing: the hand-over alone": lambda: None, **calls()}
    for name, call in cases.items():
        found = asyncio.run(hand_over(call, seconds))
        ratio = f"{found.executor / found.inline:.2g}" if found.inline > 1e-6 else ""
        yield f"| {name} | {ratio} | {readable(found.inline)} | {readable(found.executor)} |"


def metrics_table(tensor: Path) -> Iterator[str]:
    """Lines of a table of what is measured around a call, and what that adds."""
    alone, shared = metrics(tensor, multiprocess=False), metrics(tensor, multiprocess=True)
    yield f"| around a call of {readable(alone.pop('call'))} | one process | `PROMETHEUS_MULTIPROC_DIR` |"
    yield "| --- | ---: | ---: |"
    yield from (f"| {name} | {readable(alone[name])} | {readable(shared[name])} |" for name in alone)


def reload_table(tensor: Path, runs: int) -> Iterator[str]:
    """Lines of a table of how a new version comes to all workers."""
    found = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            found.append(reload(Path(folder), tensor, _WORKERS))
    yield f"| a new version, {_WORKERS} workers that call without a pause | |"
    yield "| --- | ---: |"
    yield f"| a look at the file, before each call | {readable(min(one.look for one in found))} |"
    yield f"| to read, check and warm up a new one | {readable(min(one.take for one in found))} |"
    yield f"| until every worker answers by it | {readable(min(one.all_workers for one in found))} |"


def worker_table(tensor: Path) -> Iterator[str]:
    """Lines of a table of how workers start, and what memory they have."""
    yield f"| worker, {_WORKERS} at once | to its first result | memory of its own | and its part of others |"
    yield "| --- | ---: | ---: | ---: |"
    with tempfile.TemporaryDirectory() as cache:
        cases = [
            ("new processes", _WORKERS, False),
            ("forks of a process that has warmed up", _WORKERS, True),
        ]
        if compiled().module is None:
            cases.insert(0, ("the first process ever, which compiles", 1, False))
        for name, count, forked in cases:
            found = workers(tensor, Path(cache), count, forked)
            seconds, alone, proportional = (median(column) for column in zip(*found, strict=True))
            yield f"| {name} | {readable(seconds)} | {alone:.0f} MiB | {proportional:.0f} MiB |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each call in asyncio")
    parser.add_argument("--runs", type=int, default=3, help="of a new version, of which the best counts")
    options = parser.parse_args()
    kernels = f"machine code for {compiled().level}" if compiled().module else "compiled by numba"
    machine = ", ".join(f"{name} {value}" for name, value in describe().items())
    sys.stdout.write(f"{machine}; kernels: {kernels}.\n")
    with tempfile.TemporaryDirectory() as folder:
        tensor = Path(folder, "tensor.npy")
        np.save(tensor, yolov8_tensor(1))
        for table in (
            hand_over_table(options.seconds),
            metrics_table(tensor),
            worker_table(tensor),
            reload_table(tensor, options.runs),
        ):
            for line in ("", *table):
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
