"""Time several callables against each other: their rounds take turns, so that all see the same machine."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

# Shorter calls are repeated within a round. Rounds are short beside a scheduler's time slice, so that on a
# busy machine most of them are not interrupted and their median is of those.
_ROUND = 5e-4
_SLOW = 3.0
_FEWEST_ROUNDS = 5
_MOST_ROUNDS = 1000


class Timing(NamedTuple):
    """Seconds of one call: the median of all rounds, the quartiles around it, and how many rounds."""

    median: float
    lower: float
    upper: float
    rounds: int


def race(contestants: Mapping[str, Callable[[], Any]], seconds: float = 0.5) -> dict[str, Timing]:
    """Time callables in turns, each for about `seconds` in all, but never for less than a few rounds.

    All must have been called before, so that nothing is left to compile or load. A call that takes longer
    than `_SLOW` is timed once: its ratio to others is plain without more.
    """
    plans = {name: _Plan(run, seconds) for name, run in contestants.items()}
    # A contestant of fewer rounds takes its turns spread over those of the others.
    turns = sorted(
        ((turn + 0.5) / plan.rounds, name) for name, plan in plans.items() for turn in range(plan.rounds)
    )
    gc.collect()
    gc.disable()
    try:
        for _, name in turns:
            plans[name].run_round()
    finally:
        gc.enable()
    return {name: plan.timing() for name, plan in plans.items()}


class _Plan:
    """How often a callable is run, and what came of it."""

    def __init__(self, run: Callable[[], Any], seconds: float) -> None:
        self._run = run
        once = _time(run, 1)
        if once > _SLOW:
            self._samples, self.rounds = [once], 0
            return
        once = min(once, _time(run, 1))
        self._samples = []
        self._calls = max(1, round(_ROUND / once))
        # Contestants leave each other cold caches: where that matters a call before the round warms them.
        self._warmups = int(once < 2 * _ROUND)
        planned = math.ceil(seconds / (once * (self._calls + self._warmups)))
        self.rounds = min(max(planned, _FEWEST_ROUNDS), _MOST_ROUNDS)

    def run_round(self) -> None:
        _time(self._run, self._warmups)
        self._samples.append(_time(self._run, self._calls) / self._calls)

    def timing(self) -> Timing:
        lower, median, upper = np.quantile(self._samples, [0.25, 0.5, 0.75]).tolist()
        return Timing(median, lower, upper, len(self._samples))


def _time(run: Callable[[], Any], calls: int) -> float:
    begin = time.perf_counter()
    for _ in range(calls):
        run()
    return time.perf_counter() - begin
