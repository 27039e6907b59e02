"""Runs cases one after the other, and tells what becomes of them, line by line, as JSON."""

from __future__ import annotations

import faulthandler
import itertools
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from tests.fuzz import nms
from tests.fuzz.checks import NOT_APPLICABLE, check_broken, check_whole
from tests.fuzz.drawing import Drawn, draw
from tests.fuzz.mutations import MUTATIONS

MUTATIONS_A_CASE = 8
REPORT_EVERY = 1.0  # seconds


class Outcome(NamedTuple):
    """What became of one case, or of one way to break it."""

    name: str  # kind:seed, or kind:seed:mutation
    result: str
    large: bool = False
    finding: str = ""


def run_case(name: str) -> Outcome:
    """Run ``kind:seed`` or ``kind:seed:mutation``: what a finding tells to repeat."""
    kind, seed, *mutation = name.split(":")
    if kind == nms.KIND:
        return _outcome(name, False, lambda: nms.check_nms(int(seed)))
    drawn = draw(kind, int(seed))
    return _broken(drawn, mutation[0]) if mutation else _whole(drawn)


def _whole(drawn: Drawn) -> Outcome:
    return _outcome(drawn.name, drawn.large, lambda: check_whole(drawn))


def _broken(drawn: Drawn, mutation: str) -> Outcome:
    return _outcome(f"{drawn.name}:{mutation}", drawn.large, lambda: check_broken(drawn, MUTATIONS[mutation]))


def _outcome(name: str, large: bool, check: Callable[[], str]) -> Outcome:
    try:
        return Outcome(name, check(), large)
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        return Outcome(name, f"finding {type(error).__name__}", large, text)


def names_of(drawn: Drawn) -> list[str]:
    """Return the ways in which a case is to be broken, as far as they apply, in some order."""
    return [str(name) for name in np.random.default_rng([drawn.seed, 2]).permutation(list(MUTATIONS))]


def outcomes(kinds: tuple[str, ...], first: int, step: int, current: Current) -> Iterator[Outcome]:
    """Yield what becomes of one case after the other, without end: whole, then broken."""
    for row in itertools.count(first, step):
        kind, seed = kinds[row % len(kinds)], row
        current.is_at(f"{kind}:{seed}")
        if kind == nms.KIND:
            yield run_case(f"{kind}:{seed}")
            continue
        drawn = draw(kind, seed)
        yield _whole(drawn)
        applied = 0
        for name in names_of(drawn):
            current.is_at(f"{drawn.name}:{name}")
            outcome = _broken(drawn, name)
            yield outcome
            applied += outcome.result != NOT_APPLICABLE
            if applied == MUTATIONS_A_CASE:
                break


class Current:
    """Keeps the name of the case that runs where the parent finds it if this process dies.

    A watchdog dumps the stack and ends the process if a case takes longer than a limit.
    """

    def __init__(self, path: Path, limit: float) -> None:
        self._path = path
        self._limit = limit

    def is_at(self, name: str) -> None:
        """Say which case comes now."""
        self._path.write_text(name)
        faulthandler.dump_traceback_later(self._limit, exit=True)


def work(kinds: tuple[str, ...], first: int, step: int, path: Path, limit: float, out: TextIO) -> None:
    """Run cases until this process is ended, and report findings, and counts once a second."""
    faulthandler.enable()
    counts: dict[str, int] = {}
    told = time.monotonic()
    for outcome in outcomes(kinds, first, step, Current(path, limit)):
        kind, seed, *mutation = outcome.name.split(":")
        key = json.dumps([kind, mutation[0] if mutation else "", outcome.large, outcome.result])
        counts[key] = counts.get(key, 0) + 1
        if outcome.finding:
            _tell(out, {"finding": outcome._asdict()})
        if time.monotonic() - told > REPORT_EVERY:
            _tell(out, {"counts": counts, "next": int(seed) + step})
            counts, told = {}, time.monotonic()


def _tell(out: TextIO, message: dict[str, Any]) -> None:
    out.write(json.dumps(message) + "\n")
    out.flush()


def main(arguments: list[str]) -> None:
    kinds, first, step, path, limit = arguments
    chosen = tuple(kinds.split(","))
    work(chosen, int(first), int(step), Path(path), float(limit), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
