"""Time that a client is given, counted so that a service which stands still takes none of it."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType

import anyio

SLOWEST = 1024  # bytes a second: a byte now and then would keep a request for ever
TURNS = 8  # looks at a client, within the time of its slowest rate


class Pace:
    """What a client sends or takes within the last seconds: less than the slowest rate is too slow.

    Whatever it did before gives it no credit.

    Parameters
    ----------
    seconds : float
        Length of the window, which moves on by an eighth of it.
    """

    def __init__(self, seconds: float) -> None:
        self.turn = seconds / TURNS
        self._due = SLOWEST * seconds
        self._counts: deque[int] = deque(maxlen=TURNS)
        self._count = 0

    def add(self, count: int) -> None:
        """Count bytes of the turn that is under way."""
        self._count += count

    def end_turn(self) -> bool:
        """Begin the next turn, and return whether the client goes on; the first window is whole."""
        self._counts.append(self._count)
        self._count = 0
        return len(self._counts) < TURNS or sum(self._counts) >= self._due


class Patience:
    """Waits for a client as often as it is entered, as long as it keeps the pace.

    As a context it ends a block in which the client falls behind, with a TimeoutError. Only the time in it
    counts, in turns of the event loop, of which one that comes late counts as one: where the service stood
    still, its client could not go on, or what it sent has not been read yet.

    Parameters
    ----------
    seconds : float
        As of `Pace`.
    """

    def __init__(self, seconds: float) -> None:
        self._pace = Pace(seconds)
        self._left = self._pace.turn  # of the turn that is under way

    def __enter__(self) -> Patience:
        self._loop = asyncio.get_running_loop()
        self._scope = anyio.CancelScope()
        self._scope.__enter__()
        self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._timer.cancel()
        self._left = max(self._left - (self._loop.time() - self._began), 0.0)
        handled = self._scope.__exit__(kind, error, trace)
        if self._scope.cancelled_caught:
            raise TimeoutError
        return handled

    def add(self, count: int) -> None:
        """Count bytes that came."""
        self._pace.add(count)

    def _wait(self) -> None:
        self._began = self._loop.time()
        self._timer = self._loop.call_later(self._left, self._end_turn)

    def _end_turn(self) -> None:
        self._left = self._pace.turn
        if self._pace.end_turn():
            self._wait()
        else:
            self._scope.cancel()
