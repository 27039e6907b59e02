"""The command line: see the package."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

from tests.endurance import soak, threads


def main() -> int:
    """Run one of the two, print its figures, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.endurance", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    long = commands.add_parser("threads", help="every kind of output from many threads at once")
    long.add_argument("--seconds", type=float, default=120.0)
    long.add_argument("--threads", type=int, default=16)
    many = commands.add_parser("soak", help="a mix of calls, with their latencies")
    many.add_argument("--calls", type=int, default=1_000_000)
    for command in (long, many):
        command.add_argument("--json", type=Path, help="write all figures to a file")
    options = parser.parse_args()
    logging.disable()  # ids that a spec lacks are part of the tensors
    if options.command == "threads":
        report = threads.run(options.seconds, options.threads)
    else:
        report = soak.run(options.calls)
    _print(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))
    return 0 if report["passed"] else 1


def _print(report: dict[str, Any]) -> None:
    for name, value in report.items():
        if name not in ("workloads", "memory"):
            print(f"{name.replace('_', ' ')}: {value:,.0f}" if name != "passed" else f"passed: {value}")  # noqa: T201
    memory = report["memory"]
    samples = [f"{sample / 2**20:.1f}" for sample in memory["samples"]]
    growth, tolerance = memory["growth"] / 2**20, memory["tolerance"] / 2**20
    print(f"resident MiB: {' '.join(samples)}")  # noqa: T201
    print(f"growth after the first quarter: {growth:.1f} MiB, at most {tolerance:.0f}")  # noqa: T201
    if "workloads" in report:
        print(f"{'latency in us':34}" + "".join(f"{name:>11}" for name in _columns(report)))  # noqa: T201
        for name, row in report["workloads"].items():
            print(f"{name:34}" + "".join(f"{value:>11,.0f}" for value in row.values()))  # noqa: T201


def _columns(report: dict[str, Any]) -> list[str]:
    return list(next(iter(report["workloads"].values())))


if __name__ == "__main__":
    sys.exit(main())
