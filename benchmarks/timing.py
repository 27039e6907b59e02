"""Time several callables against each other: their rounds take turns, so that all see the same machine.

Each meets many inputs, the next one at every call: the processor's branch predictor learns a single input by
heart, as it never can where images come in.
"""

from __future__ import annotations

import functools
import gc
import math
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle, islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Call = Callable[[], Any]

# Three times the last-level cache of the machine that the tables are of.
_MEMORY = 96 << 20
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


class Turning:
    """The same work on many inputs: each call of it is the next of `calls`, the first again after the last.

    Parameters
    ----------
    calls : sequence of callables
        One for each input.
    warm : sequence, optional
        The input of each call. Its arrays, and those that the call has bound, are read once before the call,
        outside of what is timed: as if a network had just written them, though the whole set is larger than
        the processor's caches.
    is_behind : bool
        Whether memory larger than the caches is read before that, also outside of what is timed, and all of
        it without NumPy: a call finds its own code as cold as a network leaves it. Each of six calls took as
        long as behind a YOLOv5 of 640 x 640 in ONNX Runtime, to a twentieth.
    """

    def __init__(self, calls: Sequence[Call], warm: Sequence[Any] = (), is_behind: bool = False) -> None:
        arrays = [
            list({array.ctypes.data: array for array in _arrays(pair)}.values())
            for pair in zip(calls, warm, strict=False)
        ]
        self._calls = cycle(list(zip(calls, arrays or [[]] * len(calls), strict=True)))
        self.is_warmed = is_behind or len(arrays) > 0
        self.is_behind = is_behind

    def take(self, count: int) -> list[Call]:
        """Give the next calls; nothing is read before them."""
        return [call for call, _ in islice(self._calls, count)]

    def ready(self) -> Call:
        """Give the next call, whose input has been read."""
        call, arrays = next(self._calls)
        if self.is_behind:
            _memory().find(0)
        for array in arrays:
            if self.is_behind:
                zlib.crc32(array.reshape(-1).view(np.uint8).data)
            else:
                # As whole numbers: of float16 NumPy's `max` takes milliseconds.
                np.max(array.view(f"u{array.itemsize}"))
        return call

    def __call__(self) -> Any:
        return self.ready()()


@functools.cache
def _memory() -> bytearray:
    return bytearray(b"\1") * _MEMORY  # and not zeros, which would be found


def _arrays(case: Any) -> Iterator[NDArray[Any]]:
    """All arrays of an input or of a call: in tuples, in dicts, and bound by `functools.partial`."""
    if isinstance(case, np.ndarray):
        yield case
    elif isinstance(case, functools.partial):
        yield from _arrays((case.args, case.keywords))
    elif isinstance(case, (tuple, dict)):
        for part in case.values() if isinstance(case, dict) else case:
            yield from _arrays(part)


def race(contestants: Mapping[str, Call], seconds: float = 0.5) -> dict[str, Timing]:
    """Time callables in turns, each for about `seconds` in all, but never for less than a few rounds.

    A `Turning` runs on its next input each time, anything else on the one that it has. All must have been
    called before, so that nothing is left to compile or load. A call that takes longer than `_SLOW` is timed
    once: its ratio to others is plain without more.
    """
    plans = {name: Plan(run, seconds) for name, run in contestants.items()}
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


class Plan:
    """How often a callable is run, and what came of it."""

    def __init__(self, run: Call, seconds: float) -> None:
        self._run = run if isinstance(run, Turning) else Turning([run])
        once = _time([self._run.ready()])
        if once > _SLOW:
            self._samples, self.rounds = [once], 0
            return
        begin = time.perf_counter()
        once = min(once, _time([self._run.ready()]))
        ready = time.perf_counter() - begin if self._run.is_behind else 0.0
        self._samples = []
        self._calls = 1 if self._run.is_warmed else max(1, round(_ROUND / once))
        # Contestants leave each other cold caches: where that matters a call before the round warms them.
        self._warmups = int(once < 2 * _ROUND and not self._run.is_behind)
        planned = math.ceil(seconds / (ready or once * (self._calls + self._warmups)))
        self.rounds = min(max(planned, _FEWEST_ROUNDS), _MOST_ROUNDS)

    def run_round(self) -> None:
        for _ in range(self._warmups):
            self._run()
        calls = [self._run.ready()] if self._run.is_warmed else self._run.take(self._calls)
        self._samples.append(_time(calls) / self._calls)

    def timing(self) -> Timing:
        lower, median, upper = np.quantile(self._samples, [0.25, 0.5, 0.75]).tolist()
        return Timing(median, lower, upper, len(self._samples))


def _time(calls: Sequence[Call]) -> float:
    begin = time.perf_counter()
    for call in calls:
        call()
    return time.perf_counter() - begin
