"""The short forms of the two commands, and that each notices what it looks for."""

from __future__ import annotations

from typing import Any

import pytest

from postproc import PostProcessor
from postproc.pipeline.workers import Workers
from tests.endurance import memory, soak, threads
from tests.endurance.histogram import Histogram


def test_calls_from_16_threads_for_a_while_pass() -> None:
    report = threads.run(seconds=2.0)
    assert report["passed"], report["memory"]
    assert report["fewest_calls_of_a_thread"] > 0


def test_soak_of_a_few_thousand_calls_passes() -> None:
    report = soak.run(calls=4000)
    assert report["passed"], (report["wrong"], report["memory"])
    assert report["failures_expected"] > 400
    assert sum(row["calls"] for row in report["workloads"].values()) == 4000


def test_soak_notices_a_wrong_result(monkeypatch: pytest.MonkeyPatch) -> None:
    call, calls = PostProcessor.__call__, 0

    def sometimes_wrong(post: PostProcessor, tensors: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        return call(post, tensors, **options, max_predictions=1 if calls > 100 else 100)

    monkeypatch.setattr(PostProcessor, "__call__", sometimes_wrong)
    report = soak.run(calls=2000)
    assert report["wrong"] > 0
    assert not report["passed"]


def test_threads_notice_a_part_that_gets_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    run, calls = Workers.run, 0

    def sometimes_short(workers: Workers, function: Any, size: int, join: Any) -> Any:
        nonlocal calls
        calls += 1
        return run(workers, function, size - (calls > 400), join)

    monkeypatch.setattr(Workers, "run", sometimes_short)
    with pytest.raises(AssertionError):
        threads.run(seconds=2.0, threads=2)


def test_watch_notices_memory_that_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = memory.Watch()
    monkeypatch.setattr(memory, "resident", lambda: len(watch.samples) * 2**20)
    for step in range(101):
        watch.look(step / 100)
    assert len(watch.samples) == 21
    assert watch.growth() == 15 * 2**20 > memory.TOLERANCE


def test_histogram_percentiles_are_those_of_the_durations() -> None:
    latencies = Histogram()
    for nanoseconds in range(1, 10_001):
        latencies.add(nanoseconds * 100)
    assert latencies.percentile(50) == pytest.approx(500_000, rel=0.012)
    assert latencies.percentile(99) == pytest.approx(990_000, rel=0.012)
    assert latencies.percentile(100) == latencies.highest == 1_000_000
