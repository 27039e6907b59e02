"""Rows of requests that come at the same time, written in one transaction."""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import Future

from sqlalchemy.orm import Session

from postproc.service.store.database import Database
from postproc.service.store.tables import Lease, Task


class TaskWriter:
    """Adds tasks; those that come while another transaction writes share the next one.

    A commit waits for the disk, and SQLite has one writer at a time: where each request commits for itself
    they queue behind each other. The first that comes writes for all that have come when its turn is there.

    Parameters
    ----------
    database : Database
        Where the tasks go.
    added : dict of int to float
        Gets the ids of tasks before others see their rows, and from the commit on its `time.monotonic`.
    """

    def __init__(self, database: Database, added: dict[int, float]) -> None:
        self._database = database
        self._added = added
        self._lock = threading.Lock()
        self._waiting: list[tuple[Task, Lease | None, Future[int]]] = []

    def add(self, task: Task, lease: Lease | None = None) -> int:
        """Write a task, and its lease, and return its id, after the commit; raises what that raised."""
        future: Future[int] = Future()
        with self._lock:
            self._waiting.append((task, lease, future))
            is_first = len(self._waiting) == 1
        if is_first:
            self._write()
        return future.result()

    def _write(self) -> None:
        rows: list[tuple[Task, Lease | None, Future[int]]] = []
        identifiers: list[int] = []
        try:
            with self._database.writing() as session:
                rows = self._take()
                identifiers = _added(session, [(task, lease) for task, lease, _ in rows])
                self._added.update(dict.fromkeys(identifiers, math.inf))
        except BaseException as error:
            for identifier in identifiers:
                self._added.pop(identifier, None)
            for _, _, future in rows or self._take():
                future.set_exception(error)
        else:
            self._added.update(dict.fromkeys(identifiers, time.monotonic()))
            for (_, _, future), identifier in zip(rows, identifiers, strict=True):
                future.set_result(identifier)

    def _take(self) -> list[tuple[Task, Lease | None, Future[int]]]:
        with self._lock:
            rows, self._waiting = self._waiting, []
        return rows


def _added(session: Session, rows: list[tuple[Task, Lease | None]]) -> list[int]:
    session.add_all(task for task, _ in rows)
    session.flush()
    for task, lease in rows:
        if lease is not None:
            lease.task_id = task.id
            session.add(lease)
    session.flush()
    return [task.id for task, _ in rows]
