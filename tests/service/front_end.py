"""A front end whose engine takes its time, as a process of its own: what `tests.service.fronts` kills."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path
from typing import Any

from postproc.service import ServiceSettings
from postproc.service.serving import run
from postproc.service.work import STOPPED, Outcome, Work
from tests.service.fake_engine import FakeEngine, FakeMetrics, fake_check

KEY = "a-key-for-tests"
LEASE = 1.0
LONGEST = 0.4  # seconds of a task


class SlowEngine(FakeEngine):
    """Ends tasks after a while, as one that runs networks, and is full with 32 of them."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._running: dict[int, Work] = {}
        self._guard = threading.Lock()

    def reserve(self, inputs: Any, tenant: str, *, is_due: bool = False) -> Any:
        self.is_full = len(self._running) >= 32
        return super().reserve(inputs, tenant, is_due=is_due)

    def submit(self, task_id: int, work: Work, ticket: Any) -> None:
        ticket.release()
        with self._guard:
            self._running[task_id] = work
        threading.Timer(random.uniform(0, LONGEST), self._end, (task_id,)).start()

    def stop(self) -> None:
        with self._guard:
            left, self._running = self._running, {}
        self.outcomes.put([Outcome(task_id, None, STOPPED, work.tenant) for task_id, work in left.items()])

    def _end(self, task_id: int) -> None:
        with self._guard:
            work = self._running.pop(task_id, None)
        if work is not None:
            self._finish([(task_id, work)])


def serve(database: str, store: str, data: Path, port: int) -> None:
    """Serve until a signal ends it; the log goes to a file of the data folder."""
    data.mkdir(exist_ok=True)
    log = os.open(data / "log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(log, stream)
    settings = ServiceSettings(
        data=data,
        port=port,
        database=database,
        store=store,
        lease_seconds=LEASE,
        task_timeout=30.0,
    )
    run(
        settings,
        {KEY: "default"},
        make_engine=SlowEngine,
        check_model=fake_check,
        metrics=FakeMetrics(),
    )
