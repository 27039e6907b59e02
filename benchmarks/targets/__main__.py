"""Measure what postproc must reach: ``python -m benchmarks.targets``.

Every figure is a ratio of times within this run, so that machines and days can be compared. The exit status
is 1 if a target is missed, or a ratio is much worse than an earlier run's.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.data.candidates import PATTERNS
from benchmarks.machine import describe
from benchmarks.targets import processes, speed, starts
from benchmarks.targets.result import Result
from benchmarks.workloads import ORIENTED_SIZES, SIZES

Measure = Callable[[], Iterator[Result]]

# Without peers, in about a minute.
SHORT: tuple[Measure, ...] = (
    speed.yolov8_beside_one_read,
    speed.cold_beside_one_read,
    speed.distances_beside_a_scan,
    speed.narrow_beside_float32,
    speed.small_calls,
    speed.behind_a_network,
    *(partial(speed.nms_growth, pattern) for pattern in PATTERNS),
    processes.peak_memory,
    processes.evaluation_memory,
    partial(starts.start, starts=9),
)
FULL: tuple[Measure, ...] = (
    *SHORT,
    speed.two_threads,
    speed.networks_beside_peers,
    speed.masks_beside_peers,
    speed.evaluation_beside_peers,
    processes.compilation,
    *(
        partial(speed.nms_beside_peers, kind, pattern, count)
        for count in SIZES
        for kind in speed.NMS_KINDS
        for pattern in PATTERNS
    ),
    *(
        partial(speed.oriented_nms_beside_peers, pattern, count)
        for count in ORIENTED_SIZES
        if count >= 300
        for pattern in PATTERNS
    ),
)
# Another process can spoil any measurement; none can make one look better than it is.
_SHORT_ATTEMPTS = 3
_SHORT_SLACK = 1.6


def measure(measures: tuple[Measure, ...], attempts: int, slack: float) -> Iterator[Result]:
    """Yield results, measuring again, up to `attempts` times, what misses its limit by more than `slack`."""
    for one in measures:
        results = {result.name: result for result in one()}
        for _ in range(attempts - 1):
            if all(result.reaches(slack) for result in results.values()):
                break
            for result in one():
                results[result.name] = result.better_of(results[result.name])
        yield from results.values()


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write, compare; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.targets", description=__doc__)
    parser.add_argument("--short", action="store_true", help="without peers, and forgiving: for CI")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--compare", type=Path, help="results of an earlier run")
    parser.add_argument("--tolerance", type=float, default=1.5, help="factor that a ratio may worsen by")
    options = parser.parse_args(arguments)
    slack = _SHORT_SLACK if options.short else 1.0

    results = []
    for result in measure(SHORT if options.short else FULL, _SHORT_ATTEMPTS if options.short else 1, slack):
        sys.stdout.write(result.row(slack) + "\n")
        sys.stdout.flush()
        results.append(result)
    if options.json:
        document = {"machine": describe(), "results": [result.dump() for result in results]}
        options.json.write_text(json.dumps(document, indent=2) + "\n")

    earlier = {}
    if options.compare:
        earlier = {one["name"]: Result(**one) for one in json.loads(options.compare.read_text())["results"]}
    missed = [result for result in results if not result.reaches(slack)]
    # What the earlier run missed as well is told above, and fails where it has become worse.
    known = {name for name, result in earlier.items() if not result.reaches(slack)}
    failed = [f"missed: {result.name}" for result in missed if result.name not in known]
    if options.compare:
        failed += [
            f"worse than before: {result.name}, {earlier[result.name].value:.3f} -> {result.value:.3f}"
            for result in results
            if result.name in earlier and result.is_worse_than(earlier[result.name], options.tolerance)
        ]
    left = (
        f"all targets reached but {len(missed)}, missed before as well" if missed else "all targets reached"
    )
    sys.stdout.write("\n".join(failed or [left]) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
