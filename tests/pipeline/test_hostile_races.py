"""Tensors that another thread writes to during a call: any result, but no crash, nothing out of bounds."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from postproc import TensorError, ops
from postproc.call_options import CallOptions
from postproc.kernels.nms.greedy import greedy_nms
from postproc.pipeline.stages import BoundExtras
from tests.pipeline.test_hostile_arrays import ROWS, end_to_end
from tests.pipelines import KINDS, Tensors, post_processor, tensors_of

SECONDS = 0.15


@contextmanager
def written_to(tensors: Tensors) -> Iterator[None]:
    """Let another thread copy good numbers and bad ones into the tensors, in turns, without a pause."""
    rng = np.random.default_rng(0)
    states = [{name: tensor.copy() for name, tensor in tensors.items()}]
    for _ in range(3):
        state = {}
        for name, tensor in tensors.items():
            bad = [-1, 0, 2**40, 2**62, -(2**62)] if tensor.dtype.kind == "i" else [np.nan, np.inf, 1e30, 0.9]
            values = np.where(rng.random(tensor.shape) < 0.5, rng.choice(bad, tensor.shape), tensor)
            state[name] = values.astype(tensor.dtype)
        states.append(state)
    is_over = threading.Event()

    def write() -> None:
        while not is_over.is_set():
            for state in states:
                for name, tensor in tensors.items():
                    tensor[...] = state[name]

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        is_over.set()
        writer.join()


def call_for_a_while(call: Any) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(TensorError):  # it was bad when it was checked
            call()


@pytest.mark.parametrize("multi_label", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_call_tensors_that_change_meanwhile_are_no_crash(kind: str, multi_label: bool) -> None:
    post, tensors = post_processor(kind, multi_label=multi_label), tensors_of(kind)

    def call() -> None:
        for found in post(tensors, show_discarded=True).outputs:
            assert np.isfinite(found.scores).all()
            found.to_dicts()

    with written_to(tensors):
        call_for_a_while(call)


@pytest.mark.parametrize("form", ROWS)
def test_call_end_to_end_rows_that_change_meanwhile_are_no_crash(form: str) -> None:
    post, tensors = end_to_end(form)
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    with written_to(tensors):
        call_for_a_while(lambda: post(tensors, batch_size=3))


def test_call_best_label_of_wide_rows_that_change_meanwhile_is_no_crash() -> None:
    """What was a row's largest score need not be in it any more when it is looked for."""
    labels = [str(number) for number in range(2000)]
    post = type(post_processor("standard")).for_detection(
        labels, post_processor("standard").version.post_processings[0].task.output,  # type: ignore[index]
        multi_label=False, thresholds=0.1,
    )  # fmt: skip
    scores = np.full((1, 300, 2000), 0.5, np.float32)
    tensors = {"boxes": np.full((1, 300, 4), [0.1, 0.1, 0.2, 0.2], np.float32), "scores": scores}
    is_over = threading.Event()

    def write() -> None:
        value = 0.2
        while not is_over.is_set():
            scores.fill(value)
            value = 0.2 if value > 0.8 else value + 0.01

    writer = threading.Thread(target=write)
    writer.start()
    try:
        call_for_a_while(lambda: post(tensors))
    finally:
        is_over.set()
        writer.join()


@pytest.mark.parametrize("form", ["counted", "separate, counted"])
def test_call_count_that_changes_once_it_is_checked_has_no_effect(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    post, tensors = end_to_end(form)
    expected = post(tensors).outputs[0].offsets.tolist()
    trunc = np.trunc

    def check_and_change(numbers: NDArray[Any]) -> Any:
        tensors["counts"][...] = 2**40
        return trunc(numbers)

    monkeypatch.setattr(np, "trunc", check_and_change)
    assert post(tensors).outputs[0].offsets.tolist() == expected
    assert tensors["counts"].tolist() == [2**40] * 3


def test_call_image_that_changes_once_it_is_checked_has_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one row only, whose columns are contiguous: of more they are copied anyway."""
    post, tensors = end_to_end("images")
    rows = np.ascontiguousarray(tensors["rows"][:1], np.float64)
    trunc = np.trunc

    def check_and_change(numbers: NDArray[Any]) -> Any:
        rows[0, 0] = 2**40
        return trunc(numbers)

    monkeypatch.setattr(np, "trunc", check_and_change)
    assert len(post({"rows": rows}).outputs[0]) == 1
    assert rows[0, 0] == 2**40


@pytest.mark.parametrize(
    ("kind", "form"), [*((kind, "") for kind in KINDS if kind != "classification"), *(("", f) for f in ROWS)]
)
def test_kernels_take_no_whole_numbers_from_the_memory_of_tensors(kind: str, form: str) -> None:
    """Whole numbers are what they index with: those must be of memory that nobody else writes to.

    But classes are looked up, whatever they are, and only what is found is an index.
    """
    post, tensors = end_to_end(form) if form else (post_processor(kind), tensors_of(kind))
    stage: Any = post.stages[0]
    bound = stage.bind(tensors, CallOptions.checked(False, 100, None, None, 3))
    head: Any = (bound.boxes if isinstance(bound, BoundExtras) else bound).candidates.head
    arguments = {name: value for name, value in head._asdict().items() if name != "wide_classes"}
    taken = [
        value for value in arguments.values() if isinstance(value, np.ndarray) and value.dtype.kind in "iu"
    ]
    assert taken or kind not in ("direct", "end_to_end")
    for value in taken:
        assert not any(np.shares_memory(value, tensor) for tensor in tensors.values())


@pytest.mark.parametrize("count", [20, 300, 3000])
@pytest.mark.parametrize("wrong", [-(2**62), -1, 4, 2**40, 2**62])
def test_greedy_nms_group_that_was_not_there_when_it_was_counted_is_no_crash(count: int, wrong: int) -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 100, (count, 2)).astype(np.float32)
    boxes, scores = np.hstack([low, low + 3]), rng.random(count, np.float32)
    groups = rng.integers(0, 4, count)
    groups[::7] = wrong
    kept = greedy_nms(boxes, scores, groups, 0, 4, 0.5)
    assert len(set(kept.tolist())) == len(kept) > 0
    assert set(kept.tolist()) <= set(range(count))


@pytest.mark.parametrize("count", [100, 300, 3000])
def test_batched_nms_groups_that_change_meanwhile_are_no_crash(count: int) -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 100, (count, 2)).astype(np.float32)
    arrays: Tensors = {"boxes": np.hstack([low, low + 3]), "scores": rng.random(count, np.float32)}
    arrays["groups"] = rng.integers(0, 4, count)
    with written_to(arrays):
        call_for_a_while(lambda: ops.batched_nms(arrays["boxes"], arrays["scores"], arrays["groups"], 0.5))
