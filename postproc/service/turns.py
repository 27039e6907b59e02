"""A semaphore that is fair."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType


class Turns:
    """Lets some threads in at once, in the order in which they came.

    Python's own semaphore lets a thread that has just come overtake one that was woken, which goes to the end
    of the queue again: under load single requests wait many times longer than the others.

    Parameters
    ----------
    places : int
        How many threads may be in.
    """

    def __init__(self, places: int) -> None:
        self._lock = threading.Lock()
        self._free = places
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()  # the place goes over to it
            else:
                self._free += 1
