"""``python -m tests.service.outages``: see `tests.service.outages`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.service.outages.rounds import LONGEST, SHORTEST, run_faults


def main() -> int:
    """Run faults; return 1 if anything that was acknowledged does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.service.outages", description=__doc__)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--kinds", nargs="+", default=[], metavar="KIND", help="all if left out")
    parser.add_argument("--seconds", nargs=2, type=float, default=(SHORTEST, LONGEST), metavar="S")
    parser.add_argument("--folder", type=Path, help="where the data lie for the time; the log stays there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = run_faults(
            given.database,
            given.folder or Path(name),
            given.faults,
            given.seed,
            given.kinds,
            tuple(given.seconds),
            verbose=True,
        )
    sys.stdout.write(f"{json.dumps(found)}\n")
    return int(bool(found["violations"]))


if __name__ == "__main__":
    sys.exit(main())
