"""Whether the database answers, asked without waiting for it for long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Literal, TypeAlias

State: TypeAlias = Literal["ok", "read-only", "away"]

_SECONDS = 1.0


class DatabaseProbe:
    """Asks the database in a thread of its own; those who come while it asks wait for the same answer.

    Neither a thread of the requests nor more than one of its own waits for a database that hangs.

    Parameters
    ----------
    reads, writes : callable
        Raise where the database does not answer, or is known to take no writes.
    """

    def __init__(self, reads: Callable[[], None], writes: Callable[[], None]) -> None:
        self._reads = reads
        self._writes = writes
        self._lock = threading.Lock()
        self._answer: Future[State] | None = None

    async def state(self) -> State:
        """Tell how the database is; it is away as well where it does not answer for a second."""
        answer = self._ask()
        await asyncio.wait([asyncio.wrap_future(answer)], timeout=_SECONDS)
        return answer.result() if answer.done() else "away"

    def _ask(self) -> Future[State]:
        with self._lock:
            if self._answer is None or self._answer.done():
                self._answer = Future()
                threading.Thread(
                    target=self._work, args=(self._answer,), name="postproc-probe", daemon=True
                ).start()
            return self._answer

    def _work(self, answer: Future[State]) -> None:
        state: State = "away"
        try:
            self._reads()
            state = "read-only"
            self._writes()
            state = "ok"
        except Exception:
            pass  # it is told by the state
        finally:
            answer.set_result(state)
