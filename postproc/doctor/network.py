"""The demo's network on an execution provider: the digits that are written on a built-in page."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from postproc.demo import model_path, spec_path, version_path
from postproc.ops import box_iou
from postproc.pipeline import PostProcessor
from postproc.results import Detections

_MODEL = "yolo"
_HEIGHT, _WIDTH = 240, 320
_PAPER, _INK = 0.92, 0.75
_TIMED_RUNS = 5
_THREADS = 4
_SAME_JACCARD, _SAME_SCORE = 0.95, 0.03  # of a GPU, whose products may have 10 bits, beside a CPU

# Ten scans of scikit-learn's digits (UCI's Optical Recognition of Handwritten Digits), from 0 to 9: 8 x 8
# counts of ink from 0 to g, 16.
_SCANS = (
    "003db70000bggg2004g91e2004g00g2000g10c8000f90d60009e9e10002cd400",
    "0002gg200004gg20014cgc0007gggc00003age000008gc000006gg200002cf40",
    "008g500001dbg00000a0d3000031g1000009c000003f500000ef8830007cccd1",
    "018cfe4003b88cc000002d700002fc100000d50000009d000078ef0000efb200",
    "0000c2000006e100004g780000d90g6006gabg00005adg0000006g000000c800",
    "00c8870003ggb70002e1000005e5000002fg90000002g2000048g40000be9000",
    "001de300008gd20002gg300003gc100005ge500003gggg6001egggc0003cfe70",
    "0008ee200006afb000000ea0028bcg8008gggg700000bf100009g700000cd100",
    "00ab400000afdd10008b0e40000dfd0001bgg00001f39a0000e6fa00008e7100",
    "009d700000cgg20000cdg600006gge0000002g30000009a00037ceg2007cccb0",
)


def page(shift: int = 0) -> NDArray[np.float32]:
    """Write the digits in two lines on blank paper, as the network's input ``(1, 1, 240, 320)``.

    Parameters
    ----------
    shift : int
        How far down they are, in pixels; each shift is another page.
    """
    paper = np.full((_HEIGHT, _WIDTH), _PAPER, np.float32)
    for digit, scan in enumerate(_SCANS):
        glyph = _enlarged(np.array([int(count, 17) for count in scan], np.float64).reshape(8, 8) / 16)
        top, left = 40 + shift + digit // 5 * 100, 20 + digit % 5 * 60
        paper[top : top + len(glyph), left : left + len(glyph)] -= (_INK * glyph).astype(np.float32)
    return paper[None, None] - np.float32(0.5)


def written_boxes(shift: int = 0) -> NDArray[np.float32]:
    """Give the boxes of the ink of each digit, relative to the page, ``(10, 4)``."""
    inked = page(shift)[0, 0] < _PAPER - 0.5 - _INK / 2
    boxes = []
    for digit in range(len(_SCANS)):
        top, left = 40 + shift + digit // 5 * 100, 20 + digit % 5 * 60
        rows, columns = np.nonzero(inked[top : top + 32, left : left + 32])
        boxes.append([left + columns.min(), top + rows.min(), left + columns.max() + 1, top + rows.max() + 1])
    pixels = np.array(boxes, np.float32)
    pixels /= np.array([_WIDTH, _HEIGHT] * 2, np.float32)
    return pixels


def _enlarged(scan: NDArray[np.float64]) -> NDArray[np.float64]:
    """Enlarge a scan four times, bilinearly, to strokes with soft edges."""
    at = np.clip((np.arange(32) + 0.5) / 4 - 0.5, 0, 7)
    before = np.minimum(at.astype(np.int64), 6)
    part = at - before
    rows = scan[before] * (1 - part)[:, None] + scan[before + 1] * part[:, None]
    both = rows[:, before] * (1 - part) + rows[:, before + 1] * part
    return np.asarray(np.clip((both - 0.3) * 3, 0, 1))


@dataclass(frozen=True, eq=False, slots=True)
class ProviderRun:
    """What the network found on a provider.

    Parameters
    ----------
    detections : list of Detections
        Of each page.
    milliseconds : float
        Median time of a run on one page.
    problems : tuple of str
        What is wrong with it on its own.
    """

    detections: list[Detections]
    milliseconds: float
    problems: tuple[str, ...]


def run_on_provider(provider: str) -> ProviderRun:
    """Run the demo's network on a provider, with the kernels behind it.

    One page and several, with IO binding and without, and from several threads that share the runner. What
    is fused, ``tools/gpu_check.py`` compares.

    Raises
    ------
    RunnerError
        If the provider does not load, or a run fails.
    """
    from postproc.onnx_runner import OnnxRunner
    from postproc.onnx_runner.session import CPU

    post = PostProcessor(spec_path(_MODEL), version_path(_MODEL))
    runner = OnnxRunner(model_path(_MODEL), post, list(dict.fromkeys((provider, CPU))), fuse=False)
    shifts = range(0, 4 * _THREADS, 4)
    pages = [page(shift) for shift in shifts]

    def detect(images: NDArray[np.float32]) -> Detections:
        return cast("Detections", runner({"image": images}).outputs[0])

    problems = []
    runner.network.uses_io_binding = True
    alone = [detect(one) for one in pages]
    for found, shift in zip(alone, shifts, strict=True):
        problem = _misread(found, written_boxes(shift))
        if problem is not None:
            problems.append(problem)
            break
    seconds = []
    for _ in range(_TIMED_RUNS):
        started = time.perf_counter()
        detect(pages[0])
        seconds.append(time.perf_counter() - started)
    together = detect(np.concatenate(pages))
    if any(difference(together[row], found) for row, found in enumerate(alone)):
        problems.append("several pages in a batch give other results than each alone")
    with ThreadPoolExecutor(_THREADS) as pool:
        if any(difference(*pair) for pair in zip(pool.map(detect, pages), alone, strict=True)):
            problems.append(f"{_THREADS} threads that share a session get other results than one")
    runner.network.uses_io_binding = False
    if difference(detect(pages[0]), alone[0]):
        problems.append("IO binding gives other results than a plain run")
    return ProviderRun(alone, 1000 * float(np.median(seconds)), tuple(problems))


def _misread(found: Detections, written: NDArray[np.float32]) -> str | None:
    names = np.array([int(name) for name in found.label_names], np.int64)
    matches = (names[:, None] == np.arange(len(_SCANS))) & (box_iou(found.boxes, written) > 0.5)
    read = int(matches.any(axis=0).sum())
    if read == len(_SCANS) == len(names):
        return None
    return f"{len(names)} detections on a page of {len(_SCANS)} digits, of which {read} are right"


def difference(one: Detections, other: Detections) -> str | None:
    """Say how two results on one page differ by more than rounding; None if they do not."""
    if len(one.labels) != len(other.labels):
        return f"{len(one.labels)} detections instead of {len(other.labels)}"
    mine, theirs = (np.argsort(found.labels, kind="stable") for found in (one, other))
    if not np.array_equal(one.labels[mine], other.labels[theirs]):
        return "other labels"
    overlap = np.diag(box_iou(one.boxes[mine], other.boxes[theirs]))
    if overlap.min(initial=1) < _SAME_JACCARD:
        return f"a box has a Jaccard index of {overlap.min():.2f} with what it should be"
    scores = np.abs(one.scores[mine] - other.scores[theirs])
    if scores.max(initial=0) > _SAME_SCORE:
        return f"a score differs by {scores.max():.3f}"
    return None


def largest_difference(one: list[Detections], other: list[Detections]) -> float:
    """Give the largest difference of a score between results that are the same but for rounding."""
    return max(
        (
            float(np.abs(np.sort(mine.scores) - np.sort(theirs.scores)).max(initial=0))
            for mine, theirs in zip(one, other, strict=True)
        ),
        default=0.0,
    )
