"""Taking tasks over: those that can neither run nor be handed over stay with who took them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from postproc.service import taking_over
from postproc.service.metrics import Metrics
from postproc.service.store.leases import Taken
from postproc.service.taking_over import TOO_LATE, TakingOver
from postproc.service.work import Outcome
from tests.service.fake_engine import FakeMetrics
from tests.service.waiting import wait_until

TASK = Taken(1, "one", time.monotonic(), 0, {}, b"")


class Tasks:
    """Has one task of another front end, and takes it back at the second attempt."""

    def __init__(self) -> None:
        self.waiting = [TASK]
        self.attempts = 0

    def take_over(self, most: int, *, of_dead: bool) -> list[Taken]:
        taken, self.waiting = self.waiting, []
        return taken

    def hand_over(self, task_ids: list[int]) -> None:
        assert task_ids == [1]
        self.attempts += 1
        if self.attempts == 1:
            raise OSError("away")


def test_task_that_cannot_be_handed_over_is_kept_and_counted_once() -> None:
    async def waits(task: Taken) -> Taken:
        return task

    tasks, metrics = Tasks(), FakeMetrics()
    heart = SimpleNamespace(is_steady=True, is_waiting=True)
    services: Any = SimpleNamespace(leased=tasks, heart=heart, metrics=metrics)
    taking: Any = TakingOver(services)
    taking._run = waits
    with pytest.raises(OSError, match="away"):
        asyncio.run(taking._turn())
    assert taking._own == [TASK]
    assert not asyncio.run(taking._turn())
    assert tasks.attempts == 2
    assert (taking._own, heart.is_waiting) == ([], True)
    assert metrics.registry.get_sample_value("postproc_tasks_taken_over_total") == 1


def test_task_grows_older_while_it_can_neither_run_nor_be_handed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run_again(*_: Any) -> None:
        raise OSError("the store is away")

    monkeypatch.setattr(taking_over, "run_again", run_again)
    told: list[Outcome] = []
    task = replace(TASK, since=time.monotonic() - 59.0)
    tasks = Tasks()
    tasks.waiting = [task]
    services: Any = SimpleNamespace(
        leased=tasks,
        heart=SimpleNamespace(is_steady=True, is_waiting=True),
        metrics=Metrics(),
        settings=SimpleNamespace(task_timeout=60.0),
        reporter=SimpleNamespace(put=told.extend),
    )
    taking = TakingOver(services)
    with pytest.raises(OSError, match="away"):
        asyncio.run(taking._turn())
    wait_until(lambda: task.age > 60.0)
    assert asyncio.run(taking._turn())
    assert [outcome.error for outcome in told] == [TOO_LATE.format(60.0)]
