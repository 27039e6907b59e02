"""``python -m tests.service.cluster``: see `tests.service.cluster`."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from tests.service.cluster.kills import run_kills
from tests.service.cluster.measures import growth, overhead
from tests.service.cluster.scene import scene

_KILLS, _SHORT = 21, 7


def main() -> int:
    """Run what the command line asks for; return 1 if a task or a measurement is not well."""
    parser = argparse.ArgumentParser(prog="python -m tests.service.cluster", description=__doc__)
    parser.add_argument("--kills", type=int, help=f"{_KILLS}, or {_SHORT} with --short")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true", help="each part once, and nothing is measured")
    parser.add_argument("--store", choices=("s3", "file"), default="s3")
    parser.add_argument(
        "--redis", action="store_true", help="Ray's state is in a Redis, and outlives its head"
    )
    parser.add_argument("--folder", type=Path, help="an empty one, where logs stay")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))  # so that parts end, too
    faults: list[str] = []
    kills = given.kills if given.kills is not None else _SHORT if given.short else _KILLS
    with tempfile.TemporaryDirectory(prefix="postproc-") as name:
        folder = given.folder or Path(name)
        with scene(folder, given.store, given.redis) as running:
            try:
                for measured in () if given.short else (growth, overhead):
                    sys.stdout.write(f"{measured(running, faults)}\n")
                    sys.stdout.flush()
                found = run_kills(running, kills, given.seed)
            finally:
                running.write_logs()
        sys.stdout.write(f"{found.report()}\n")
    sys.stdout.writelines(f"what was measured is not well: {fault}\n" for fault in faults)
    return int(bool(found.ledger.unexpected or faults))


if __name__ == "__main__":
    sys.exit(main())
