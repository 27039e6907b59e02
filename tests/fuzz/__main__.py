"""``python -m tests.fuzz``: see `tests.fuzz`."""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path

from tests.fuzz import nms
from tests.fuzz.drawing import ALL_KINDS
from tests.fuzz.summary import summary
from tests.fuzz.supervisor import supervise
from tests.fuzz.worker import run_case

KINDS = (*ALL_KINDS, nms.KIND)


def main() -> int:
    """Run cases, or one; return 1 if there is a finding."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, help="of the first case; left out: any")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND")
    parser.add_argument("--most", type=int, default=100, help="findings to stop after")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument(
        "--limit", type=float, default=600, help="seconds a case may take, compilation included"
    )
    parser.add_argument("--case", help="repeat one: kind:seed, or kind:seed:mutation")
    chosen = parser.parse_args()
    if chosen.case:
        outcome = run_case(chosen.case)
        say(outcome.finding or outcome.result)
        return int(bool(outcome.finding))

    def command(note: Path, row: int) -> list[str]:
        arguments = [",".join(chosen.kinds), str(row), str(chosen.jobs), str(note), str(chosen.limit)]
        return [sys.executable, "-m", "tests.fuzz.worker", *arguments]

    seed = secrets.randbelow(2**31) if chosen.seed is None else chosen.seed
    say(f"seed {seed}")
    report = supervise(command, chosen.seconds, chosen.jobs, seed, say, chosen.most)
    say(summary(report))
    return int(bool(report.findings))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
