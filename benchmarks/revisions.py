"""What a change costs: calls of two revisions, in turns, each in a process of its own.

    python -m benchmarks.revisions cb87256          # against the working tree

Medians in microseconds, and their ratio. Kernels are compiled first, into a cache that is thrown away.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from benchmarks.timing import Turning

ROOT = Path(__file__).parent.parent
ROUNDS = 9
SECONDS = 0.4  # of each workload in a round
IMAGES = 64


def workloads() -> dict[str, Turning]:
    """Calls of YOLOv8, 84 x 8400, ordinary and crowded, at two thresholds."""
    from benchmarks.data.yolo import yolov8_tensor
    from benchmarks.timing import Turning
    from postproc import PostProcessor, Yolov8Output

    ordinary = [yolov8_tensor(1, image) for image in range(IMAGES)]
    nothing = [tensor.copy() for tensor in ordinary]
    for tensor in nothing:
        tensor[:, 4:] *= 0.2
    # A hundred places, and all other boxes on the first of them: the results are found at once, and then
    # there is no further one among all candidates.
    crowd, rng = np.zeros_like(ordinary[0]), np.random.default_rng(0)
    crowd[0, :4] = np.array([20, 20, 30, 30], np.float32)[:, np.newaxis]
    for index in range(100):
        crowd[0, :2, index] = 20 + 60 * (index % 10), 20 + 60 * (index // 10)
    crowd[0, 4, :] = rng.uniform(0.3, 0.8, 8400)
    crowd[0, 4, :100] = rng.uniform(0.9, 0.99, 100)
    every_label = crowd.copy()
    every_label[0, 5:] = crowd[0, 4] * 0.5
    every_label[0, 5:, 1:100] = 0
    tensors = {
        "ordinary": ordinary,
        "nothing found": nothing,
        "crowd": [crowd],
        "crowd of 80 labels": [every_label],
    }
    calls: dict[str, Turning] = {}
    for threshold in (0.25, 0.001):
        post = PostProcessor.for_detection(
            [str(label) for label in range(80)],
            Yolov8Output(output_tensor="output0"),
            thresholds=threshold,
            nms_threshold=0.45,
            input_size=[640, 640],
        )
        for name, inputs in tensors.items():
            most = 179 if "80" in name else 100
            calls[f"{name}, threshold {threshold}"] = Turning(
                [partial(post, {"output0": tensor}, max_predictions=most) for tensor in inputs], warm=inputs
            )
    return calls


def serve() -> None:
    """Time a round whenever a line comes in."""
    calls = workloads()
    for call in calls.values():
        call()
    for _ in sys.stdin:
        medians = {}
        for name, call in calls.items():
            times, end = [], time.perf_counter() + SECONDS
            while time.perf_counter() < end:
                ready = call.ready()
                start = time.perf_counter()
                ready()
                times.append(time.perf_counter() - start)
            medians[name] = float(np.median(times)) * 1e6
        print(json.dumps(medians), flush=True)  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revision", help="what the working tree is compared with; - to serve")
    revision = parser.parse_args().revision
    if revision == "-":
        serve()
        return
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before"), Path(folder, "after")
        before.mkdir()
        archive = subprocess.run(["git", "archive", revision], cwd=ROOT, stdout=subprocess.PIPE, check=True)
        subprocess.run(["tar", "-x", "-C", before], input=archive.stdout, check=True)
        for name in ("postproc", "kernels"):
            shutil.copytree(ROOT / name, after / name)
        processes = []
        for place in (before, after):
            (place / "kernels").rename(place / "postproc" / "kernels")
            shutil.rmtree(place / "benchmarks", ignore_errors=True)
            shutil.copytree(ROOT / "benchmarks", place / "benchmarks")
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.revisions", "-"],
                    cwd=place,
                    env={**os.environ, "PYTHONPATH": str(place), "NUMBA_CACHE_DIR": str(place / "cache")},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        rounds: list[list[dict[str, float]]] = [[], []]
        for _ in range(ROUNDS):
            for process, medians in zip(processes, rounds, strict=True):
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write("\n")
                process.stdin.flush()
                medians.append(json.loads(process.stdout.readline()))
        for process in processes:
            process.communicate()
        for name in rounds[0][0]:
            old, new = (float(np.median([times[name] for times in medians])) for medians in rounds)
            print(f"{name:40} {old:10.1f} {new:10.1f}  x {new / old:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
