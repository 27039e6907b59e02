"""Time that a client is given, counted so that a service which stands still takes none of it."""

from __future__ import annotations

import asyncio
from types import TracebackType

import anyio

TURNS = 8  # looks at a client, within its longest pause


class Patience:
    """Waits for a client for some seconds, in turns of the event loop: one that comes late counts as one.

    Where the service stood still, its client could not go on, or what it sent has not been read yet. As
    a context it ends a block that takes longer, with a TimeoutError.
    """

    def __init__(self, seconds: float) -> None:
        self._turn = seconds / TURNS
        self._turns = 0

    def __enter__(self) -> Patience:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._scope = anyio.CancelScope()
        self._scope.__enter__()
        self._timer = self._loop.call_later(self._turn, self._end_turn)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._timer.cancel()
        handled = self._scope.__exit__(kind, error, trace)
        if self._scope.cancelled_caught:
            raise TimeoutError
        return handled

    @property
    def spent(self) -> float:
        """Seconds that were the client's."""
        return min(self._loop.time() - self._began, (self._turns + 1) * self._turn)

    def _end_turn(self) -> None:
        self._turns += 1
        if self._turns < TURNS:
            self._timer = self._loop.call_later(self._turn, self._end_turn)
        else:
            self._scope.cancel()
