"""What a process of its own shows: what it compiles, how much memory a call takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.probes import memory
from benchmarks.targets.result import Result

_ROOT = Path(__file__).resolve().parents[2]


def _run(*arguments: str, **environment: str) -> str:
    """Output of a new Python that finds this tree as it is installed or lies here."""
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    child = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return child.stdout


def compilation() -> Iterator[Result]:
    """Seconds to compile every kernel of the demo with an empty cache."""
    with tempfile.TemporaryDirectory() as directory:
        found = json.loads(
            _run("-m", "benchmarks.probes.compilation", NUMBA_CACHE_DIR=directory, POSTPROC_JIT="1")
        )
    dearest = ", ".join(f"{name} {seconds:.1f}" for name, _, seconds in found["kernels"][:5])
    detail = f"{len(found['kernels'])} specialisations, numba's own among them; dearest {dearest}"
    yield Result("seconds to compile every kernel of the demo", found["seconds"], 25.0, False, detail)


def peak_memory() -> Iterator[Result]:
    """Peak of a call beyond its float32 inputs, beside a quarter of them plus 2 MiB."""
    if not sys.platform.startswith("linux"):
        return
    for batch in (1, 16):
        for found in json.loads(_run("-m", "benchmarks.probes.memory", str(batch), **memory.ENVIRONMENT)):
            beyond, allowed = found["peak"], found["input"] / 4 + 2 * 2**20
            case = f"YOLOv8, batch {batch}, threshold {found['threshold']}, {found['dtype']}"
            detail = f"{beyond / 2**20:.2f} / {allowed / 2**20:.2f} MiB"
            yield Result(f"{case}: peak / (inputs / 4 + 2 MiB)", beyond / allowed, 1.0, False, detail)


def evaluation_memory() -> Iterator[Result]:
    """Peak of COCO's numbers beyond the detections and the ground truth."""
    if sys.platform.startswith("linux"):
        beyond = int(_run("-m", "benchmarks.probes.evaluation", "5000", "147000", **memory.ENVIRONMENT))
        yield Result("MB of COCO's numbers of 147,000 detections", beyond / 1e6, 200.0, False, "peak beyond")
