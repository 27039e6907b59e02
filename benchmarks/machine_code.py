"""The machine code of wheels beside what numba compiles here: ``python -m benchmarks.machine_code``.

Each is a process of its own; they take turns, round by round, at the workloads of the tables. A row is how
long the machine code takes, as a ratio to numba's.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import multiprocessing
import os
import sys
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks.timing import Plan

OURS = "postproc"
BUILDS = ("numba", "machine code")
MOST = 1.15
MEAN = 1.05


def serve(asked: Connection, build: str) -> None:
    """Set up the workload of a row when one is asked for, and run its rounds, until nobody asks any more."""
    with contextlib.suppress(EOFError):
        _serve(asked, build)


def _serve(asked: Connection, build: str) -> None:
    os.environ["POSTPROC_JIT"] = "1" if build == "numba" else ""
    from benchmarks.workloads import WORKLOADS, contestants
    from postproc.kernels._compiled import compiled

    found = compiled()
    asked.send(found.reason if found.module is None and build != "numba" else "")
    gc.disable()
    while True:
        row, seconds = asked.recv()
        gc.collect()
        plan = Plan(contestants(WORKLOADS[row], [OURS], most=16)[OURS], seconds)
        asked.send(plan.rounds)
        while asked.recv():
            plan.run_round()
            asked.send(None)
        asked.send(plan.timing().median)


def main() -> int:
    """Measure, and return 1 where the machine code is slower than it may be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.machine_code", description=__doc__)
    parser.add_argument("--only", default="", help="workloads whose name has this in it")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each of the two, of a workload")
    parser.add_argument(
        "--tolerance", type=float, default=1.0, help="factor of both limits, on a busy machine"
    )
    chosen = parser.parse_args()
    from benchmarks.workloads import WORKLOADS

    builds = [_started(build) for build in BUILDS]
    ratios = []
    for row, work in enumerate(WORKLOADS):
        if chosen.only not in f"{work.kind}, {work.case}":
            continue
        numba, ours = _measured(builds, row, chosen.seconds)
        ratios.append(ours / numba)
        sys.stdout.write(f"{ratios[-1]:6.3f}  {ours * 1e6:10,.1f} us  {work.kind}, {work.case}\n")
        sys.stdout.flush()
    if not ratios:
        sys.exit(f"no workload has {chosen.only!r} in its name")
    mean = float(np.exp(np.mean(np.log(ratios))))
    sys.stdout.write(f"{mean:6.3f}  geometric mean of {len(ratios)} (at most {MEAN}); ")
    sys.stdout.write(f"the highest is {max(ratios):.3f} (at most {MOST})\n")
    return int(mean > MEAN * chosen.tolerance or max(ratios) > MOST * chosen.tolerance)


def _started(build: str) -> Connection:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=serve, args=(there, build), daemon=True).start()
    if reason := here.recv():
        sys.exit(f"no machine code to measure: {reason}")
    return here


def _measured(builds: list[Connection], row: int, seconds: float) -> list[Any]:
    for build in builds:
        build.send((row, seconds))
    rounds = min(build.recv() for build in builds)
    for _ in range(rounds):
        for build in builds:
            build.send(True)
            build.recv()
    for build in builds:
        build.send(False)
    return [build.recv() for build in builds]


if __name__ == "__main__":
    sys.exit(main())
