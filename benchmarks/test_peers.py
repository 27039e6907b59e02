"""Each peer on each workload: timed with ``--benchmark-enable``, a smoke test without."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest

from benchmarks.contest import OURS, Workload
from benchmarks.peers import PEERS
from benchmarks.timing import Call
from benchmarks.workloads import WORKLOADS, contestants

pytestmark = pytest.mark.filterwarnings("default")  # peers warn about themselves

CASES = [
    pytest.param(work, name, id=f"{work.kind}, {work.case}, {name}")
    for work in WORKLOADS
    for name in PEERS[work.kind]
]
_SLOW = 1.0  # seconds
_FEW = 2  # inputs of a smoke test


@pytest.mark.parametrize(("work", "name"), CASES)
def test_peer_agrees(work: Workload, name: str, benchmark: Any) -> None:
    missing = PEERS[work.kind][name].missing
    if missing:
        pytest.skip(f"{name} needs {', '.join(missing)}")
    if work.is_large and not benchmark.enabled:
        pytest.skip("a large workload: only with --benchmark-enable")
    run = contestants(work, {OURS, name}, sys.maxsize if benchmark.enabled else _FEW)[name]
    benchmark.group = f"{work.kind}, {work.case}"
    begin = time.perf_counter()
    run()
    seconds = time.perf_counter() - begin
    if run.is_warmed:
        rounds = max(1, min(1000, round(_SLOW / seconds)))
        benchmark.pedantic(_run, setup=lambda: ((run.ready(),), {}), rounds=rounds)
    elif seconds > _SLOW:
        benchmark.pedantic(run, rounds=1)
    else:
        benchmark(run)


def _run(call: Call) -> Any:
    return call()
