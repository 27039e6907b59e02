"""Fuzz the documents: see the package."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def fuzz_at_random(seconds: float, seed: int) -> int:
    """Mutate documents for so long; returns how many were checked."""
    from tests.fuzz_documents.random_run import check_one

    deadline, count = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        check_one(seed + count)
        count += 1
    return count


def fuzz_by_coverage(options: list[str]) -> None:
    """Run atheris with libFuzzer's options; it ends the process."""
    import atheris

    with atheris.instrument_imports(include=["postproc.schema", "json"]):
        from tests.fuzz_documents.target import check_bytes
    from tests.fuzz_documents.random_run import mutated_input, seed_inputs

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        changed = mutated_input(data, rng) if rng.random() < 0.5 else atheris.Mutate(data, max_size)
        return changed[:max_size]

    def check(data: bytes) -> Any:
        check_bytes(data)

    with tempfile.TemporaryDirectory() as folder:
        for row, data in enumerate(seed_inputs()):
            (Path(folder) / f"seed{row}").write_bytes(data)
        arguments = [sys.argv[0], "-max_len=20000", "-rss_limit_mb=4096", "-timeout=20", *options, folder]
        atheris.Setup(arguments, check, custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_documents", description=__doc__)
    parser.add_argument("--seconds", type=float, help="mutate at random for so long, without atheris")
    parser.add_argument("--seed", type=int, default=0)
    known, rest = parser.parse_known_args()
    if known.seconds is None:
        fuzz_by_coverage(rest)
    else:
        count = fuzz_at_random(known.seconds, known.seed)
        sys.stdout.write(f"{count} documents checked\n")
