"""What a change costs: calls of two revisions, in turns, each in a process of its own.

    python -m benchmarks.revisions cb87256          # against the working tree
    python -m benchmarks.revisions main ../other --only "behind a network"

The second is a revision beside a folder that holds a checkout. Medians in microseconds, and their ratio.
Kernels are compiled first, into a cache that is thrown away. The benchmarks are those of the working tree for
both.
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
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from benchmarks.timing import Turning

ROOT = Path(__file__).parent.parent
ROUNDS = 9
SECONDS = 0.4  # of each workload in a round
IMAGES = 64


def workloads(only: str = "") -> dict[str, Turning]:
    """Give all calls in whose names a text is."""
    return {name: call for name, call in {**_scans(), **_small_calls()}.items() if only in name}


def _small_calls() -> dict[str, Turning]:
    """Calls that scan next to nothing, in a loop and behind a network, and what no revision changes."""
    from benchmarks.contest import is_installed
    from benchmarks.data.others import direct_boxes, finished_rows
    from benchmarks.timing import Turning
    from postproc import DirectOutput, EndToEndOutput, PostProcessor

    labels = [str(label) for label in range(80)]
    rows = PostProcessor.for_detection(
        labels, EndToEndOutput(output_tensor="rows"), thresholds=0.25, input_size=[640, 640]
    )
    output = DirectOutput(
        boxes_tensor="boxes", scores_tensor="scores", classes_tensor="labels", classes="rows"
    )
    direct = PostProcessor.for_detection(labels, output, thresholds=0.05, nms_threshold=0.5)
    tables = [{"rows": finished_rows(20, image)} for image in range(IMAGES)]
    boxes = [
        {name: column[np.newaxis] for name, column in direct_boxes(100, image=image)._asdict().items()}
        for image in range(IMAGES)
    ]
    calls: dict[str, tuple[list[partial[Any]], list[dict[str, Any]]]] = {
        "finished rows": ([partial(rows, table) for table in tables], tables),
        "direct": ([partial(direct, tensors) for tensors in boxes], boxes),
        "NumPy, three lines": ([partial(_three_lines, table["rows"]) for table in tables], tables),
    }
    if is_installed("supervision"):
        found = [rows(table).outputs[0] for table in tables]
        calls["to_supervision"] = ([partial(one.to_supervision, (480, 640)) for one in found], tables)
    return {
        f"{name}, {'behind a network' if is_behind else 'hot'}": Turning(
            ready, inputs if is_behind else (), is_behind
        )
        for name, (ready, inputs) in calls.items()
        for is_behind in (False, True)
    }


def _three_lines(table: Any) -> Any:
    (rows,) = table
    rows = rows[rows[:, 4] > 0.25]
    return rows[:, 5].astype(np.int64), rows[:, 4], rows[:, :4] / 640


def _scans() -> dict[str, Turning]:
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
        "float16": [tensor.astype(np.float16) for tensor in ordinary],
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
        if threshold == 0.25:
            ready = [partial(post, {"output0": tensor}) for tensor in ordinary]
            calls[f"YOLOv8, threshold {threshold}, behind a network"] = Turning(ready, ordinary, True)
        for name, inputs in tensors.items():
            most = 179 if "80" in name else 100
            calls[f"{name}, threshold {threshold}"] = Turning(
                [partial(post, {"output0": tensor}, max_predictions=most) for tensor in inputs], warm=inputs
            )
    return calls


def serve(only: str) -> None:
    """Time a round whenever a line comes in."""
    import postproc

    assert Path(postproc.__file__).parent.parent == Path.cwd()
    calls = workloads(only)
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
    parser.add_argument("before", help="a revision, or a folder that holds a checkout; - to serve")
    parser.add_argument("after", nargs="?", default=str(ROOT), help="the same; the working tree if left out")
    parser.add_argument("--only", default="", help="calls in whose names this text is")
    options = parser.parse_args()
    if options.before == "-":
        serve(options.only)
        return
    with tempfile.TemporaryDirectory() as folder:
        processes = []
        for name in ("before", "after"):
            place = Path(folder, name)
            _put(getattr(options, name), place)
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.revisions", "-", "--only", options.only],
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


def _put(source: str, place: Path) -> None:
    """Copy a checkout, or a revision of this one, with the benchmarks of the working tree."""
    place.mkdir()
    if Path(source).is_dir():
        for name in ("postproc", "kernels"):
            shutil.copytree(Path(source, name), place / name, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        archive = subprocess.run(["git", "archive", source], cwd=ROOT, stdout=subprocess.PIPE, check=True)
        subprocess.run(["tar", "-x", "-C", place], input=archive.stdout, check=True)
    (place / "kernels").rename(place / "postproc" / "kernels")
    shutil.rmtree(place / "benchmarks", ignore_errors=True)
    shutil.copytree(ROOT / "benchmarks", place / "benchmarks")


if __name__ == "__main__":
    main()
