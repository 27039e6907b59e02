"""Taking tasks over: those that can neither run nor be handed over stay with who took them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from postproc.service.store.leases import Taken
from postproc.service.taking_over import TakingOver
from tests.service.fake_engine import FakeMetrics

TASK = Taken(1, "one", 0.0, 0, {}, b"")


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
