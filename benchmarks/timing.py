"""Time several callables against each other: their rounds take turns, so that all see the same machine."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

_ROUND = 2e-3  # seconds; shorter calls are repeated within a round
_SLOW = 3.0
_FEWEST_ROUNDS = 5
_MOST_ROUNDS = 200


class Timing(NamedTuple):
    """Seconds of one call: the median of all rounds, the quartiles around it, and how many rounds."""

    median: float
    lower: float
    upper: float
    rounds: int


def race(contestants: Mapping[str, Callable[[], Any]], seconds: float = 1.0) -> dict[str, Timing]:
    """Time callables in turns, each for about `seconds` in all, but never for less than a few rounds.

    A call that takes longer than `_SLOW` is timed once: its ratio to others is plain without more.
    """
    calls, samples, rounds = {}, {}, {}
    for name, run in contestants.items():
        once = _time(run, 1)
        if once > _SLOW:
            samples[name], rounds[name] = [once], 0
            continue
        once = _time(run, 1)  # the first call may have compiled, loaded or waited for memory
        calls[name] = max(1, round(_ROUND / once))
        planned = math.ceil(seconds / (once * calls[name]))
        samples[name], rounds[name] = [], min(max(planned, _FEWEST_ROUNDS), _MOST_ROUNDS)
    # A peer of fewer rounds takes its turns spread over those of the others.
    turns = sorted(((turn + 0.5) / count, name) for name, count in rounds.items() for turn in range(count))
    gc.collect()
    gc.disable()
    try:
        for _, name in turns:
            samples[name].append(_time(contestants[name], calls[name]) / calls[name])
    finally:
        gc.enable()
    return {name: _timing(values) for name, values in samples.items()}


def _time(run: Callable[[], Any], calls: int) -> float:
    begin = time.perf_counter()
    for _ in range(calls):
        run()
    return time.perf_counter() - begin


def _timing(samples: list[float]) -> Timing:
    lower, median, upper = np.quantile(samples, [0.25, 0.5, 0.75]).tolist()
    return Timing(median, lower, upper, len(samples))
