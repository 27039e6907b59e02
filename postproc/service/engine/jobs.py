"""A request that waits for its network call, and its place in the queue."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from postproc.service.work import Outcome


@dataclass(eq=False)
class Job:
    """A request that waits.

    Parameters
    ----------
    task_id : int
        Of its task.
    work : object
        What is to be done.
    key : hashable
        Jobs of the same key may share a call.
    most : int
        Jobs that a call of this key takes, at most.
    ticket : Ticket
        Its place in the queue.
    submitted : float
        When it came, `time.monotonic`.
    started : float
        When its call began, in the same time.
    is_told : bool
        Whether its outcome was told, which happens once.
    """

    task_id: int
    work: Any
    key: Hashable
    most: int
    ticket: Ticket
    submitted: float = field(default_factory=time.monotonic)
    started: float = 0.0
    is_told: bool = False

    @property
    def tenant(self) -> str:
        """Whose it is."""
        return self.ticket.tenant

    def outcome(self, text: str | None, error: str | None) -> Outcome:
        """Return what came of it: its result as JSON text, or an error."""
        return Outcome(self.task_id, text, error, self.work.tenant, self.work.trace)


class Ticket:
    """A tenant's place in the queue and the memory that goes with it; given back once."""

    def __init__(self, give_back: Callable[[str, int, int], None], tenant: str, size: int) -> None:
        self.tenant = tenant
        self._give_back = give_back
        self._lock = threading.Lock()
        self._place, self._size = 1, size

    def leave_queue(self) -> None:
        """Give the place back, and keep the memory."""
        with self._lock:
            place, self._place = self._place, 0
        self._give_back(self.tenant, place, 0)

    def release(self) -> None:
        """Give all back; does nothing the second time."""
        with self._lock:
            place, size = self._place, self._size
            self._place = self._size = 0
        self._give_back(self.tenant, place, size)
