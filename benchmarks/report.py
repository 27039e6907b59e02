"""The tables of all benchmarks as Markdown: ``python -m benchmarks.report``.

Every workload is run by all its peers in turns, through the same inputs, each on one thread, after their
results have been checked to be equal.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.contest import OURS, Workload
from benchmarks.machine import describe
from benchmarks.peers import PEERS
from benchmarks.timing import Timing, race
from benchmarks.workloads import WORKLOADS, contestants
from tools.markers import with_part

ROOT = Path(__file__).resolve().parents[1]
PAGE, README = ROOT / "docs" / "speed.md", ROOT / "README.md"
TABLES, SUMMARY = "benchmarks", "speed"
"""Names of the markers that tables stand between: all of them on the page, a row a kind in README."""

# What README shows of each kind that has peers: sizes as they are met in practice.
TYPICAL = {
    "NMS, one label": "scattered, N = 1,000",
    "NMS, 80 labels": "scattered, N = 1,000",
    "NMS, oriented boxes": "scattered, N = 300",
    "YOLOv8": "batch 1, threshold 0.25",
    "YOLOv2": "19 x 19 x 5 x (5 + 80)",
    "distances": "16 bins, threshold 0.25",
    "Faster R-CNN": "1,000 x 81",
    "RetinaNet": "101,601 x 80",
    "finished rows": "20 of 300",
    "direct": "100 boxes",
    "to_supervision": "20 boxes",
    "classification": "64 x 1,000",
    "masks in boxes": "100 of 28 x 28 into 640 x 640",
    "masks as RLE": "300 of 640 x 640",
    "evaluation": "5,000 images, 147,000 detections",
}

_LEGEND = f"""\
Median ± interquartile range of a call, and how many times longer it takes than {OURS}. All peers of a row run
in turns in one process, each on one thread, with the input in the form that it is fastest with. They turn
through the same inputs, as many as the second column says: the processor's branch predictor learns a single
one by heart. Tensors are in the cache, as a network that has just written them leaves them; those of a row
named "cold" come from memory, and where a row is "behind a network" nothing else is in the caches. Before
anything is timed results are checked to be the same detections. The whole call is timed, Python included.
`numpy.max` and `copy` read and copy the largest tensor once: the floor. A call of more than three seconds is
timed once. "NumPy + OpenCV" is the script of most repositories, which looks for the best label of every box;
the tuned one does so only for boxes above the threshold. "ultralytics, no torchvision" is its NMS where
nothing has imported torchvision, which it uses if something has."""

_MISSING = "not installed"


def measure(workloads: tuple[Workload, ...], seconds: float) -> dict[str, Any]:
    """Time all workloads: a document of the machine and of what each peer takes."""
    rows = []
    for work in workloads:
        sys.stderr.write(f"{work.kind}, {work.case}\n")
        timings = race(contestants(work), seconds)
        rows.append(
            {
                "kind": work.kind,
                "case": work.case,
                "inputs": work.count,
                "peers": {name: timing._asdict() for name, timing in timings.items()},
            }
        )
    return {"machine": describe(), "workloads": rows}


def markdown(document: Mapping[str, Any]) -> str:
    """Write what was measured as Markdown tables, one a kind of work."""
    parts = [_LEGEND, ", ".join(f"{name} {value}" for name, value in document["machine"].items()) + "."]
    for kind, rows in groupby(document["workloads"], key=lambda row: row["kind"]):
        parts.append("\n".join(_table(kind, list(rows))))
    return "\n\n".join(parts) + "\n"


def _table(kind: str, rows: list[Mapping[str, Any]]) -> Iterator[str]:
    peers = list(PEERS[kind])
    yield "| " + " | ".join((kind, "inputs", *peers)) + " |"
    yield "| --- |" + " ---: |" * (1 + len(peers))
    for row in rows:
        timings = {name: Timing(**timing) for name, timing in row["peers"].items()}
        cells = [_cell(timings.get(name), timings[OURS], name == OURS) for name in peers]
        yield "| " + " | ".join((row["case"], str(row["inputs"]), *cells)) + " |"


def _cell(timing: Timing | None, ours: Timing, is_ours: bool) -> str:
    if timing is None:
        return _MISSING
    spread = f" ± {_time(timing.upper - timing.lower)}" if timing.rounds > 1 else ""
    text = f"{_time(timing.median)}{spread}"
    return f"**{text}**" if is_ours else f"{text}, {_number(timing.median / ours.median)} x"


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{_number(seconds / size)} {unit}"
    return f"{_number(seconds / 1e-6)} µs"


def _number(value: float) -> str:
    """Three digits, or one where the value is a small part."""
    if value < 0.1:
        return f"{value:.1g}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def summary(tables: str) -> str:
    """Write a row of each kind that has peers, from the tables of all: our time and the best peer's."""
    rows = [_summarised(kind, case, tables) for kind, case in TYPICAL.items()]
    head = "| | | postproc | best peer | | times as long |\n| --- | --- | ---: | --- | ---: | ---: |\n"
    return head + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _summarised(kind: str, case: str, tables: str) -> list[str]:
    (table,) = re.findall(rf"^\| {re.escape(kind)} \|.*\n(?:\|.*\n)+", tables, re.MULTILINE)
    head, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines())
    (row,) = (row for row in rows if row[0] == case)
    found = dict(zip(head, row, strict=True))
    timed = {
        name: found[name].removesuffix(" x").rpartition(", ")
        for name, peer in PEERS[kind].items()
        if name != OURS and peer.columns is not None and found[name] != _MISSING  # no floor
    }
    best = min(timed, key=lambda name: float(timed[name][2].replace(",", "")))
    time, _, ratio = timed[best]
    return [kind, case, f"{_median(found[OURS])}**", best, _median(time), ratio]


def _median(cell: str) -> str:
    return cell.partition(" ±")[0].removesuffix("**")


def write_pages(tables: str) -> None:
    """Put the tables into the page on speed, and a row a kind into README."""
    for path, name, table in ((PAGE, TABLES, tables), (README, SUMMARY, summary(tables))):
        path.write_text(with_part(path.read_text("utf-8"), name, table), "utf-8")


def main(arguments: list[str] | None = None) -> None:
    """Measure or read, print, and write what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each peer and workload")
    parser.add_argument("--kind", action="append", choices=PEERS, help="only this kind of workloads")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    parser.add_argument("--from", dest="source", type=Path, help="take the figures from such a file")
    parser.add_argument("--pages", action="store_true", help="rewrite the tables of docs/speed.md and README")
    options = parser.parse_args(arguments)
    if options.pages and options.kind:
        parser.error("--pages writes the tables of all kinds: leave --kind out")
    if options.source:
        document = json.loads(options.source.read_text())
    else:
        kinds = options.kind or list(PEERS)
        document = measure(tuple(work for work in WORKLOADS if work.kind in kinds), options.seconds)
    if options.json:
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    table = markdown(document)
    sys.stdout.write(table)
    if options.pages:
        write_pages(table)


if __name__ == "__main__":
    main()
