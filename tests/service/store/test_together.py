"""Tasks that are written together."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import event

from postproc.service.store import together
from postproc.service.store.database import Database
from postproc.service.store.tasks import TaskStore
from tests.service.waiting import wait_until


def test_tasks_that_come_together_share_commits_and_keep_their_owners(database: Database) -> None:
    store, commits = TaskStore(database), []
    is_sqlite = database._engine.dialect.name == "sqlite"
    event.listen(database._engine, "commit", commits.append)
    barrier = threading.Barrier(32)

    def add(row: int) -> tuple[str, int]:
        tenant = f"tenant{row % 5}"
        barrier.wait(10)
        return tenant, store.add(tenant)

    with ThreadPoolExecutor(32) as pool:
        with database.writing():
            futures = [pool.submit(add, row) for row in range(32)]
            wait_until(lambda: not is_sqlite or len(store._writer._waiting) == 32)
        added = [future.result(10) for future in futures]
        written = len(commits)
    assert len({identifier for _, identifier in added}) == 32
    for tenant, identifier in added:
        assert store.get(tenant, identifier).status == "pending"
    assert written == 1 if is_sqlite else written >= 1


def test_tasks_whose_transaction_fails_all_raise_and_the_next_is_kept(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = TaskStore(database)

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, ThreadPoolExecutor(8) as pool:
        patch.setattr(together, "_added", fail)
        futures = [pool.submit(store.add, "one") for _ in range(8)]
        assert all(isinstance(future.exception(10), OSError) for future in futures)
    assert store.get("one", store.add("one")).status == "pending"
