"""Signs of life: when they count, and what holds none of them back."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from postproc.service.heart import Heart
from postproc.service.store.leases import Seen
from tests.service.fake_engine import FakeEngine, FakeMetrics
from tests.service.waiting import wait_until


def heart_of(tasks: Any, seconds: float) -> Heart:
    return Heart(tasks, seconds, FakeEngine(None, FakeMetrics(), None), FakeMetrics())  # type: ignore[arg-type]


def test_look_at_the_others_that_takes_long_keeps_no_sign_of_life_back() -> None:
    is_over = threading.Event()

    class Slow:
        def beat(self) -> None:
            pass

        def look(self, had: Any) -> Any:
            assert is_over.wait(20)
            return Seen()

    tasks: Any = Slow()
    heart = heart_of(tasks, 0.5)
    heart.start()
    try:
        wait_until(lambda: heart.is_steady, 15)
    finally:
        is_over.set()
        heart.stop()


def test_sign_of_life_counts_from_its_beginning_however_long_it_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, took = 100.0, 0.0

    class Tasks:
        def beat(self) -> None:
            nonlocal now
            now += took

    monkeypatch.setattr("postproc.service.heart.time", SimpleNamespace(monotonic=lambda: now))
    heart = heart_of(Tasks(), 8.0)
    for _ in range(5):
        now += 2.0
        heart._beat()
    assert heart.is_steady
    took = 5.0
    now += 2.0
    heart._beat()
    assert heart.is_steady
    now += 3.5  # the lease may be over, and others may have the tasks
    assert not heart.is_steady
