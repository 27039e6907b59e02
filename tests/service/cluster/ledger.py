"""What clients were told, and whether it holds."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.service.cluster.balancer import OWN


@dataclass
class Promised:
    """A task that was acknowledged.

    Parameters
    ----------
    since : float
        When, `time.monotonic`.
    row : dict or None
        The task as a client first saw it ended.
    """

    since: float
    row: dict[str, Any] | None = None


@dataclass
class Ledger:
    """Tasks by tenant, and how often there was which other answer; used by many threads.

    Parameters
    ----------
    answers : Counter of str
        Refusals and requests without an answer.
    unexpected : list of str
        What must not be.
    """

    tasks: dict[str, dict[int, Promised]] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def promise(self, tenant: str, task: int) -> None:
        """Note a task that was acknowledged."""
        with self.lock:
            self.tasks.setdefault(tenant, {})[task] = Promised(time.monotonic())

    def pending(self, tenant: str) -> list[int]:
        """Return tasks that nobody has seen ended."""
        with self.lock:
            return [task for task, promised in self.tasks.get(tenant, {}).items() if promised.row is None]

    def see(self, tenant: str, row: dict[str, Any]) -> None:
        """Note a task as a client sees it."""
        promised = self.tasks[tenant][row["id"]]
        if promised.row is None and row["status"] != "pending":
            promised.row = row

    def count(self, what: str) -> None:
        """Count an answer."""
        with self.lock:
            self.answers[what] += 1

    def refuse(self, response: requests.Response) -> None:
        """Count an answer of 4xx or 5xx: a refusal, the balancer's own, or one that must not be."""
        status = response.status_code
        if OWN in response.headers:
            self.count(f"{status} of the balancer")
        elif status == 503 and "Retry-After" in response.headers:
            self.count("503 with Retry-After")
        else:
            self.complain(f"{response.request.method} {response.url}: {status} {response.text[:300]}")

    def complain(self, what: str) -> None:
        """Note what must not be."""
        with self.lock:
            self.unexpected.append(what)

    def succeeded(self, since: float) -> bool:
        """Whether a task that was acknowledged after a moment has ended in success."""
        with self.lock:
            return any(
                promised.since > since and promised.row is not None and promised.row["status"] == "success"
                for tasks in self.tasks.values()
                for promised in tasks.values()
            )
