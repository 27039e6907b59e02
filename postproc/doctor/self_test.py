"""Whether the compiled kernels give the right answers here: on cases whose answers are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc import ops
from postproc.doctor.cases import MASK_SIDE, Case, all_cases, load_answers
from postproc.doctor.findings import Finding, Status
from postproc.doctor.machine_code import levels
from postproc.kernels._jit import IS_COMPILED, IS_COMPILING
from postproc.results import Detections, Recognitions

_IS_PYTHON = not (IS_COMPILED or IS_COMPILING)

THREADS = 4
_TURNS = 3
_TOLERANCE = 2e-6  # of numbers between 0 and 1 in float32, where a library's exponential may round otherwise

# A box, one that covers 0.6 of both together, and one apart: for what is not called through a pipeline.
_BOXES = np.array([[0, 0, 10, 10], [2.5, 0, 12.5, 10], [20, 20, 30, 30]], np.float32)


def known_answers() -> Iterator[Finding]:
    """Compare every kind of output, and the plain operations, with answers that are known."""
    if _IS_PYTHON:
        yield Finding(
            "kernels",
            "not tested: NUMBA_DISABLE_JIT is set, so there is no compiled code",
            Status.WARNING,
            "unset NUMBA_DISABLE_JIT and run this again",
        )
        return
    answers, cases = load_answers(), all_cases()
    failures = [
        Finding(case.name, problem, Status.FAILED, _advice())
        for case in cases
        for problem in _problem_of(case, answers[case.name])
    ]
    failures += [
        Finding(f"ops.{name}", problem, Status.FAILED, _advice()) for name, problem in _wrong_operations()
    ]
    yield from failures
    if not failures:
        detections = sum(len(image) for case in cases for image in answers[case.name])
        yield Finding(
            "kernels",
            f"{len(cases)} cases of every kind of output: all {detections} results right",
            Status.OK,
        )


def threads() -> Finding:
    """Call the post-processors from several threads at once: the results are those of one."""
    if _IS_PYTHON:
        return Finding("threads", "not tested: nothing is compiled")
    cases = all_cases()
    posts = [case.post_processor() for case in cases]
    alone = [post(case.tensors, **case.options) for post, case in zip(posts, cases, strict=True)]

    def differing(worker: int) -> set[str]:
        found = set()
        for turn in range(_TURNS * len(cases)):
            row = (turn + worker * 5) % len(cases)
            if not _same(posts[row](cases[row].tensors, **cases[row].options), alone[row]):
                found.add(cases[row].name)
        return found

    with ThreadPoolExecutor(THREADS) as pool:
        different = set().union(*pool.map(differing, range(THREADS)))
    if different:
        text = f"{THREADS} threads at once get other results than one: {', '.join(sorted(different))}"
        return Finding("threads", text, Status.FAILED, _advice())
    calls = THREADS * _TURNS * len(cases)
    text = f"{calls} calls from {THREADS} at once: the same results, bit for bit"
    return Finding("threads", text, Status.OK)


def _advice() -> str:
    wrong = "the kernels are compiled wrongly on this machine: "
    if IS_COMPILED:
        return (
            f"{wrong}run this again with POSTPROC_CPU={levels()[-1]}, of the plainest instructions, and with "
            "POSTPROC_JIT=1, which lets numba compile them, and report all with --json"
        )
    from postproc.kernels._numba import cache_directory

    directory = cache_directory()
    where = "" if directory is None else f"delete {directory}, then "
    return (
        f"{wrong}{where}run this again; if it fails again, run it with NUMBA_CPU_NAME=generic, which uses "
        "plain instructions, and report both with --json"
    )


def _problem_of(case: Case, answer: Sequence[Any]) -> Iterator[str]:
    """Say in what a case's results differ from its answer, or that it cannot be computed at all."""
    try:
        (found,) = case.post_processor()(case.tensors, **case.options).outputs
        for image, expected in enumerate(answer):
            problem = _difference(rows_of(found[image]), expected)
            if problem is not None:
                yield f"image {image + 1}: {problem}"
                return
    except Exception as error:  # what a wrong kernel raises is a finding like any other
        yield f"{type(error).__name__}: {error}"


def rows_of(found: Any) -> list[list[Any]]:
    """Write the results of one image as the answers are."""
    columns = [found.labels.tolist(), found.scores.tolist()]
    if isinstance(found, Detections):
        columns += [found.regions.tolist(), found.predicted.tolist(), *found.boxes.T.tolist()]
    else:
        columns += [[0] * len(found.labels), found.predicted.tolist()]
    for name in ("keypoints", "polygons"):
        if hasattr(found, name):
            numbers: NDArray[Any] = getattr(found, name)
            columns += numbers.reshape(len(numbers), -1).T.tolist()
    if hasattr(found, "masks"):
        columns.append([np.packbits(mask).tobytes().hex() for mask in found.masks((MASK_SIDE, MASK_SIDE))])
    return [list(row) for row in zip(*columns, strict=True)]


def _difference(found: Sequence[Sequence[Any]], expected: Sequence[Sequence[Any]]) -> str | None:
    if len(found) != len(expected):
        return f"{len(found)} results, expected {len(expected)}"
    for row, (one, other) in enumerate(zip(found, expected, strict=True)):
        same = len(one) == len(other) and all(map(_equal, one, other))
        if not same:
            return f"result {row + 1} is {one}, expected {other}"
    return None


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float):
        return bool(abs(one - other) <= _TOLERANCE * max(1.0, abs(other)))
    return bool(one == other)


def _same(one: Recognitions, other: Recognitions) -> bool:
    return all(
        np.array_equal(mine.offsets, theirs.offsets)
        and all(rows_of(mine[image]) == rows_of(theirs[image]) for image in range(len(mine)))
        for mine, theirs in zip(one.outputs, other.outputs, strict=True)
    )


def _wrong_operations() -> Iterator[tuple[str, str]]:
    """Name the plain operations that answer wrongly; by hand, the index of the first two boxes is 0.6."""
    scores = np.array([0.8, 0.9, 0.7], np.float32)
    half = np.array([[5, 5, 10, 10, 0], [5, 5, 10, 10, np.pi / 2], [7.5, 5, 10, 10, 0]], np.float32)
    checks = (
        ("nms", lambda: ops.nms(_BOXES, scores, 0.5), [1, 2]),
        ("nms", lambda: ops.nms(_BOXES, scores, 0.7), [1, 0, 2]),
        ("batched_nms", lambda: ops.batched_nms(_BOXES, scores, np.array([5, 6, 5]), 0.5), [1, 0, 2]),
        ("box_iou", lambda: ops.box_iou(_BOXES[:1], _BOXES), [[1, 0.6, 0]]),
        ("oriented_box_iou", lambda: ops.oriented_box_iou(half[:1], half), [[1, 1, 0.6]]),
        ("box_area", lambda: ops.box_area(_BOXES), [100, 100, 100]),
        ("box_convert", lambda: ops.box_convert(_BOXES[1:2], "xyxy", "cxcywh"), [[7.5, 5, 10, 10]]),
        ("clip_boxes", lambda: ops.clip_boxes(_BOXES[2:], (25, 22)), [[20, 20, 22, 25]]),
    )
    for name, compute, expected in checks:
        try:
            found = compute()
        except Exception as error:  # see _problem_of
            yield name, f"{type(error).__name__}: {error}"
            continue
        if found.shape != np.shape(expected) or not np.allclose(found, expected, rtol=0, atol=1e-6):
            yield name, f"{found.tolist()}, expected {expected}"
