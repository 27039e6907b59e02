"""``python -m tests.fusing --cases 2000``: random cases of all kinds in ONNX Runtime beside the kernels."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import Counter

from tests.fusing.checking import check
from tests.kinds import KINDS

ALL = ["classification", *KINDS, "several", "any"]  # several outputs, of v0.7's kinds or of all


def main() -> int:
    """Run cases; return 1 if one is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fusing", description=__doc__)
    parser.add_argument("--cases", type=int, default=2000, help="that are compared")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=ALL, default=ALL)
    parser.add_argument("--most", type=int, default=5, help="findings to stop after")
    chosen = parser.parse_args()
    results: Counter[tuple[str, str]] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    certified = images = compared = wrong = 0
    for seed, kind in ((seed, kind) for seed in itertools.count(chosen.seed) for kind in chosen.kinds):
        try:
            outcome = check(kind, seed)
        except Exception as error:
            raise RuntimeError(f"{kind}:{seed}") from error
        results[kind, outcome.result] += 1
        certified += outcome.certified
        images += outcome.images
        compared += outcome.result in ("exact", "close")
        if outcome.result in ("refused", "left out"):
            reasons[kind, outcome.detail] += 1
        if outcome.result == "wrong":
            wrong += 1
            say(f"{kind}:{seed}: {outcome.detail}")
        if wrong >= chosen.most or compared >= chosen.cases or seed > chosen.seed + chosen.cases:
            break
    for kind in chosen.kinds:
        say(f"{kind}: { {result: count for (of, result), count in sorted(results.items()) if of == kind} }")
    for (kind, reason), count in sorted(reasons.items()):
        say(f"  {kind}: {count} x {reason}")
    say(f"{compared} cases compared, {certified} of {images} images certified, {wrong} wrong")
    return int(wrong > 0)


def say(text: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
