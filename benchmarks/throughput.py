"""Post-process thousands of saved YOLO tensors, beside ultralytics: ``python -m benchmarks.throughput``.

Tensors (84, 8400) of about 5,000 candidates above a threshold of 0.001 each, up to 300 predictions an image,
NMS at 0.7 and every label of a box, as ultralytics' ``val`` asks for. Both sides read the same Parquet files
with the same reader, from the page cache: ours by `predict_saved` with two threads; ultralytics'
``non_max_suppression``, with torchvision imported, in a plain loop with torch's own threads, and in two
threads that share the row groups, torch's own switched off: the faster of the two counts. Files of
`--distinct` images are read again and again until there are `--images`. The exit status is 1 if the ratio
misses its target, or memory grows.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data.yolo import PAGE, yolov8_tensor
from benchmarks.machine import describe
from benchmarks.peers.yolo import our_yolov8
from benchmarks.targets.result import Result
from postproc import PostProcessor
from postproc.pipeline.in_order import map_in_order
from postproc.saved_tensors.format import SavedImage
from postproc.saved_tensors.predictions import Predicted, predict_saved
from postproc.saved_tensors.reading import TensorFile
from postproc.saved_tensors.writing import TensorWriter

THRESHOLD, IOU_THRESHOLD, MOST = 0.001, 0.7, 300
THREADS = 2
TARGET = 8.0
_TAIL = -11.27  # about 5,000 candidates
_FILE_IMAGES = 50
_GROWTH = 32.0  # MiB; one image more or less in each thread is as much

Theirs = Callable[[SavedImage], Any]


def write_files(folder: Path, images: int, dtype: str) -> tuple[list[Path], float]:
    """Write saved tensors; return the files, and the mean number of candidates."""
    files, candidates = [], 0
    for first in range(0, images, _FILE_IMAGES):
        files.append(folder / f"{first:05}.parquet")
        with TensorWriter(files[-1], ["tensor"]) as writer:
            for image in range(first, min(first + _FILE_IMAGES, images)):
                tensor = yolov8_tensor(1, image, _TAIL).astype(dtype)
                candidates += int((tensor[0, 4:] > np.float32(THRESHOLD)).sum())
                writer.write(SavedImage(str(image), (PAGE, PAGE), None, {"tensor": tensor}))
    return files, candidates / images


def theirs() -> Theirs:
    """Make the function that runs ultralytics' NMS on an image."""
    os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.gettempdir())
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_VERBOSE", "false")
    import torch
    import torchvision  # noqa: F401
    from ultralytics.utils.nms import non_max_suppression

    # Of memory that may not be written to; NMS does not.
    warnings.filterwarnings("ignore", "The given NumPy array is not writable")

    def run(image: SavedImage) -> Any:
        (rows,) = non_max_suppression(
            torch.from_numpy(image.tensors["tensor"]).float(),
            THRESHOLD,
            IOU_THRESHOLD,
            multi_label=True,
            max_det=MOST,
            max_time_img=60.0,
        )
        return rows

    return run


def run_ours(files: list[Path], post: PostProcessor) -> Iterator[Predicted]:
    return predict_saved(files, post, num_threads=THREADS, max_predictions=MOST)


def run_theirs(files: list[Path], nms: Theirs, num_threads: int) -> Iterator[list[Any]]:
    """Give the rows of each image of a row group."""
    groups = ((file, group) for file in map(TensorFile, files) for group in range(len(file.group_rows)))
    return map_in_order(lambda task: [nms(image) for image in task[0].read(task[1])], groups, num_threads)


def timed(run: Iterator[Any], watch: Callable[[int], None] = lambda done: None) -> float:
    """Seconds an image."""
    done = 0
    begin = time.perf_counter()
    for part in run:
        done += len(part[0]) if isinstance(part, Predicted) else len(part)
        watch(done)
    return (time.perf_counter() - begin) / done


def race_theirs(files: list[Path], nms: Theirs) -> dict[str, float]:
    """Seconds an image of the ways to run ultralytics' NMS on two cores."""
    import torch

    seconds = {"plain loop": timed(run_theirs(files, nms, 1))}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds[f"{THREADS} threads"] = timed(run_theirs(files, nms, THREADS))
    finally:
        torch.set_num_threads(threads)
    return seconds


def resident() -> float:
    """MiB of memory of this process, mapped files included."""
    (line,) = (
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")
    )
    return int(line.split()[1]) / 1024


class Memory:
    """MiB of memory of this process, mapped files included, after every so many images."""

    def __init__(self, images: int) -> None:
        self._images = max(1, images)
        self.tenths: list[float] = []

    def __call__(self, done: int) -> None:
        """Look, if it is time."""
        if done >= len(self.tenths) * self._images:
            self.tenths.append(resident())


def agreement(files: list[Path], post: PostProcessor, nms: Theirs, images: int) -> tuple[int, int, int]:
    """Number of detections that are equal (label, score, box to 1e-5), of all of ours, and of theirs."""
    both = mine = other = 0
    pairs = zip(
        (
            part.recognitions.outputs[0][row]
            for part in run_ours(files, post)
            for row in range(len(part.names))
        ),
        (rows for part in run_theirs(files, nms, 1) for rows in part),
        strict=True,
    )
    for _, (found, rows) in zip(range(images), pairs, strict=False):
        table = rows.numpy()
        boxes = {
            (label, score): box
            for label, score, box in zip(table[:, 5], table[:, 4], table[:, :4], strict=True)
        }
        for label, score, box in zip(found.labels, found.scores, found.boxes, strict=True):
            theirs_ = boxes.get((np.float32(label), score))
            both += theirs_ is not None and np.allclose(np.clip(theirs_ / PAGE, 0, 1), box, atol=1e-5)
        mine, other = mine + len(found.labels), other + len(table)
    return both, mine, other


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--distinct", type=int, default=250, help="images written; 2.8 MB each")
    parser.add_argument("--theirs", type=int, default=200, help="images that ultralytics is timed on")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", choices=("float32", "float16"), default="float32")
    options = parser.parse_args(arguments)
    write = sys.stdout.write
    write(", ".join(f"{name} {value}" for name, value in describe().items()) + "\n")
    with tempfile.TemporaryDirectory() as directory:
        files, candidates = write_files(Path(directory), options.distinct, options.dtype)
        write(
            f"{options.images} images, {options.distinct} distinct, {options.dtype}, "
            f"{candidates:.0f} candidates each\n"
        )
        post, nms = our_yolov8(THRESHOLD, nms_threshold=IOU_THRESHOLD), theirs()
        post.warmup()
        both, mine, other = agreement(files, post, nms, min(options.theirs, options.distinct))
        write(f"detections: {mine} ours, {other} theirs, {both} equal\n")
        repeated = [files[row % len(files)] for row in range(-(-options.images // _FILE_IMAGES))]
        ratios, growths = [], []
        for _ in range(options.rounds):
            watch = Memory(options.images // 10)
            seconds = timed(run_ours(repeated, post), watch)
            memory = watch.tenths
            peers = race_theirs(files[: max(1, options.theirs // _FILE_IMAGES)], nms)
            ratios.append(min(peers.values()) / seconds)
            half = len(memory) // 2
            growths.append(statistics.median(memory[half:]) - statistics.median(memory[1:half]))
            write(
                f"ours {seconds * 1e3:.3f} ms an image, theirs "
                + ", ".join(f"{value * 1e3:.1f} ms ({name})" for name, value in peers.items())
                + f", ratio {ratios[-1]:.1f}; MiB by tenths {' '.join(f'{value:.0f}' for value in memory)}\n"
            )
            sys.stdout.flush()
    detail = f"range {min(ratios):.1f} to {max(ratios):.1f}"
    results = [
        Result(
            "saved tensors, two cores: ultralytics / ours", statistics.median(ratios), TARGET, True, detail
        ),
        Result(
            "saved tensors: MiB that memory grows from one half of a run to the other", max(growths), _GROWTH
        ),
    ]
    write("\n".join(result.row() for result in results) + "\n")
    return 0 if all(result.reaches() for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
