"""The table and the verdicts, from figures that are made up."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import report
from benchmarks.targets import __main__ as targets
from benchmarks.targets.result import Result
from benchmarks.timing import _MEMORY, Timing, Turning, race

FAST = Timing(0.00001, 0.0000095, 0.000011, 50)._asdict()
SLOW = Timing(0.0123, 0.012, 0.0125, 50)._asdict()
ONCE = Timing(4.0, 4.0, 4.0, 1)._asdict()
DOCUMENT = {
    "machine": {"CPU": "a CPU", "numpy": "2.3"},
    "workloads": [
        {
            "kind": "direct",
            "case": "100 boxes",
            "inputs": 64,
            "peers": {"postproc": FAST, "NumPy + OpenCV": SLOW},
        },
        {
            "kind": "classification",
            "case": "64 x 1,000",
            "inputs": 64,
            "peers": {"postproc": SLOW, "numpy.max": FAST},
        },
        {
            "kind": "classification",
            "case": "64 x 21,000",
            "inputs": 8,
            "peers": {"postproc": SLOW, "NumPy": ONCE},
        },
    ],
}


def test_markdown_has_medians_spreads_ratios_and_missing_peers() -> None:
    lines = report.markdown(DOCUMENT).splitlines()
    assert "CPU a CPU, numpy 2.3." in lines
    assert "| 100 boxes | 64 | **10.0 µs ± 1.50 µs** | 12.3 ms ± 500 µs, 1,230 x |" in lines
    cells = "not installed | 10.0 µs ± 1.50 µs, 0.0008 x | not installed |"
    assert f"| 64 x 1,000 | 64 | **12.3 ms ± 500 µs** | {cells}" in lines
    assert any(line.startswith("| 64 x 21,000 | 8 |") and "| 4.00 s, 325 x |" in line for line in lines)


def test_summary_has_the_best_peer_and_no_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "TYPICAL", {"direct": "100 boxes", "classification": "64 x 21,000"})
    assert report.summary(report.markdown(DOCUMENT)).splitlines()[2:] == [
        "| direct | 100 boxes | **10.0 µs** | NumPy + OpenCV | 12.3 ms | 1,230 |",
        "| classification | 64 x 21,000 | **12.3 ms** | NumPy | 4.00 s | 325 |",
    ]


@pytest.mark.parametrize(
    ("result", "reached", "nearly"),
    [
        pytest.param(Result("r", 3.0, 3.5), True, True, id="below a most"),
        pytest.param(Result("r", 4.0, 3.5), False, True, id="above a most"),
        pytest.param(Result("r", 8.0, 3.5), False, False, id="far above a most"),
        pytest.param(Result("r", 11.0, 10.0, True), True, True, id="above a least"),
        pytest.param(Result("r", 9.0, 10.0, True), False, True, id="below a least"),
        pytest.param(Result("r", 4.0, 10.0, True), False, False, id="far below a least"),
    ],
)
def test_verdict(result: Result, reached: bool, nearly: bool) -> None:
    assert (result.reaches(), result.reaches(2.0)) == (reached, nearly)


@pytest.mark.parametrize(
    ("value", "earlier", "limit", "at_least", "worse"),
    [
        pytest.param(3.0, 1.9, 3.5, False, True, id="grew"),
        pytest.param(2.0, 1.9, 3.5, False, False, id="grew a little"),
        pytest.param(0.09, 0.01, 3.5, False, False, id="grew far below its limit"),
        pytest.param(11.0, 20.0, 10.0, True, True, id="shrank"),
        pytest.param(30.0, 60.0, 10.0, True, False, id="shrank far above its limit"),
        pytest.param(30.0, 11.0, 10.0, True, False, id="improved"),
    ],
)
def test_regression(value: float, earlier: float, limit: float, at_least: bool, worse: bool) -> None:
    result = Result("r", value, limit, at_least)
    assert result.is_worse_than(Result("r", earlier, limit, at_least), 1.5) == worse


def test_what_misses_is_measured_again_and_the_better_value_counts() -> None:
    values = iter([9.0, 3.0])

    def once() -> Any:
        yield Result("r", next(values), 3.5)

    (result,) = targets.measure((once,), attempts=3, slack=1.0)
    assert result.value == 3.0


def test_targets_write_a_file_that_a_later_run_is_compared_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    values = iter([1.5, 3.0])
    monkeypatch.setattr(targets, "SHORT", (lambda: iter([Result("speed", next(values), 3.5)]),))
    file = tmp_path / "results.json"
    assert targets.main(["--short", "--json", str(file)]) == 0
    assert targets.main(["--short", "--compare", str(file)]) == 1
    assert "worse than before: speed, 1.500 -> 3.000" in capsys.readouterr().out


def test_race_gives_every_contestant_its_rounds() -> None:
    calls = {"short": 0, "long": 0}

    def count(name: str, work: int) -> None:
        calls[name] += 1
        sum(range(work))

    timings = race(
        {"short": lambda: count("short", 10), "long": lambda: count("long", 100_000)}, seconds=0.02
    )
    assert timings["long"].median > 50 * timings["short"].median
    for timing in timings.values():
        assert timing.rounds >= 5
        assert timing.lower <= timing.median <= timing.upper
    assert calls["short"] > calls["long"] >= timings["long"].rounds


def test_turning_runs_each_input_in_turn_and_reads_its_arrays_first() -> None:
    met: list[int] = []
    turning = Turning([partial(met.append, number) for number in range(3)])
    for call in turning.take(4):
        call()
    turning()
    assert met == [0, 1, 2, 0, 1]

    class Read(np.ndarray[Any, Any]):
        """Tells when it is read, which NumPy does by its `max`."""

        def max(self, *args: Any, **kws: Any) -> Any:
            met.append(-1)
            return super().max(*args, **kws)

    warm = Turning([partial(met.append, 7)], [(np.zeros(1).view(Read),)])
    met.clear()
    warm.ready()
    assert met == [-1]
    race({"warm": warm}, seconds=0.001)
    assert met[1:] == [-1, 7] * (len(met) // 2)


def test_turning_behind_a_network_empties_the_caches_before_it_reads_the_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    met: list[str] = []

    class Memory:
        def find(self, byte: int) -> int:
            met.append("memory")
            return -1

    class Read(np.ndarray[Any, Any]):
        def reshape(self, *args: Any, **kws: Any) -> Any:
            met.append("input")
            return super().reshape(*args, **kws)

    monkeypatch.setattr("benchmarks.timing._memory", Memory)
    behind = Turning([partial(met.append, "call")], [(np.zeros(1).view(Read),)], is_behind=True)
    race({"behind": behind}, seconds=0.001)
    assert met == ["memory", "input", "call"] * (len(met) // 3)
    assert len(met) >= 15
    assert _MEMORY >= 64 << 20


def test_race_meets_all_inputs_of_a_short_call() -> None:
    met: set[int] = set()
    race({"short": Turning([partial(met.add, number) for number in range(64)])}, seconds=0.01)
    assert met == set(range(64))
