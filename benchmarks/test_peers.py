"""Each peer on each workload: timed with ``--benchmark-enable``, a smoke test without."""

from __future__ import annotations

import time
from typing import Any

import pytest

from benchmarks.contest import OURS, Workload
from benchmarks.peers import PEERS
from benchmarks.workloads import WORKLOADS, contestants

pytestmark = pytest.mark.filterwarnings("default")  # peers warn about themselves

CASES = [
    pytest.param(work, name, id=f"{work.kind}, {work.case}, {name}")
    for work in WORKLOADS
    for name in PEERS[work.kind]
]
_SLOW = 1.0  # seconds


@pytest.mark.parametrize(("work", "name"), CASES)
def test_peer_agrees(work: Workload, name: str, benchmark: Any) -> None:
    missing = PEERS[work.kind][name].missing
    if missing:
        pytest.skip(f"{name} needs {', '.join(missing)}")
    if work.is_large and not benchmark.enabled:
        pytest.skip("a large workload: only with --benchmark-enable")
    run = contestants(work, {OURS, name})[name]
    benchmark.group = f"{work.kind}, {work.case}"
    begin = time.perf_counter()
    run()
    if time.perf_counter() - begin > _SLOW:
        benchmark.pedantic(run, rounds=1)
    else:
        benchmark(run)
