"""The tasks of a tenant: requests that run, and what came of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Container, Sequence
from datetime import datetime, timedelta, timezone

from sqlalchemy import CursorResult, delete, select, update

from postproc.service.database import Database
from postproc.service.store.common import counted_rows, owned
from postproc.service.store.together import TaskWriter
from postproc.service.tables import ERROR, LARGEST_ID, PENDING, SUCCESS, Task, as_time, now


class TaskStore:
    """Rows of tasks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._unfinished: dict[int, float] = {}  # of this process, and since when
        self._writer = TaskWriter(database, self._unfinished)
        self._takes_writes = True

    def add(self, tenant: str) -> int:
        """Keep a pending task and return its id."""
        try:
            identifier = self._writer.add(Task(tenant=tenant, status=PENDING, date_created=now()))
        except BaseException:
            self._takes_writes = False
            raise
        self._takes_writes = True
        return identifier

    def check_writes(self) -> None:
        """Raise if the last task could not be written, and another cannot either."""
        if self._takes_writes:
            return
        with self._database.writing() as session:
            row = Task(tenant="", status=PENDING, date_created=now())
            session.add(row)
            session.flush()
            session.delete(row)  # nobody sees it, and the disk is written to
        self._takes_writes = True

    def finish(self, outcomes: Sequence[tuple[int, str | None, str | None]]) -> int:
        """Write what came of tasks, all in one transaction: the id, the data as JSON text, the error.

        Those that ended already stay as they are; returns how many did not.
        """
        moment, count = now(), 0
        with self._database.writing() as session:
            for identifier, data, error in outcomes:
                result = session.execute(
                    update(Task)
                    .where(Task.id == identifier, Task.status == PENDING)
                    .values(
                        status=ERROR if error is not None else SUCCESS,
                        data=data,
                        error=error,
                        date_updated=moment,
                    )
                )
                count += result.rowcount if isinstance(result, CursorResult) else 0
        for identifier, _, _ in outcomes:
            self._unfinished.pop(identifier, None)
        return count

    def end_lost(self, seconds: float, error: str, kept: Callable[[Sequence[int]], Container[int]]) -> int:
        """End tasks in error that are pending for so long without an outcome on its way; return their number.

        Tasks that this process has added count from their commit by a clock that nobody sets; of others it
        is only known what their rows say.

        Parameters
        ----------
        seconds : float
            How long a task of this process, or a row, may be pending.
        error : str
            What is told of them.
        kept : callable
            Returns those whose outcomes wait to be written. What is written meanwhile changes no more here.
        """
        limit = as_time(datetime.now(timezone.utc) - timedelta(seconds=seconds))
        with self._database.reading() as session:
            pending = select(Task.id).where(Task.status == PENDING, Task.date_created < limit)
            overdue = list(session.scalars(pending))
        since = time.monotonic() - seconds
        # Its own are known whatever the clock says that their rows were dated by.
        overdue += [identifier for identifier, added in list(self._unfinished.items()) if added < since]
        waiting = kept(overdue)
        lost = [
            identifier
            for identifier in dict.fromkeys(overdue)
            if self._unfinished.get(identifier, -math.inf) < since and identifier not in waiting
        ]
        return self.finish([(identifier, None, error) for identifier in lost]) if lost else 0

    def get(self, tenant: str, identifier: int) -> Task:
        """Return a task, or raise a 404."""
        with self._database.reading() as session:
            return owned(session, Task, tenant, identifier)

    def list(
        self,
        tenant: str,
        identifiers: Sequence[int],
        offset: int,
        limit: int,
        after_id: int | None = None,
    ) -> tuple[int, list[Task]]:
        """Return how many of these tasks there are, and a page of them; unknown ids are left out."""
        known = {identifier for identifier in identifiers if 0 < identifier <= LARGEST_ID}
        if not known:
            return 0, []
        with self._database.reading() as session:
            statement = select(Task).where(Task.tenant == tenant, Task.id.in_(known))
            count, rows = counted_rows(session, statement, Task.id, offset, limit, after_id)
        return count, [task for (task,) in rows]

    def fail_pending(self, error: str) -> int:
        """End all pending tasks in error, those of the last run, and return how many there were."""
        with self._database.writing() as session:
            result = session.execute(
                update(Task)
                .where(Task.status == PENDING)
                .values(status=ERROR, error=error, date_updated=now())
            )
        return result.rowcount if isinstance(result, CursorResult) else 0

    def fail_unfinished(self, error: str) -> int:
        """End the tasks in error that this process added and did not finish, and return their number.

        Where the database hangs meanwhile, others may be pending in it that are another service's by then.
        """
        left = list(self._unfinished)
        return self.finish([(identifier, None, error) for identifier in left]) if left else 0

    def expire(self, seconds: float) -> int:
        """Delete the tasks that ended this long ago, and return how many there were."""
        limit = as_time(datetime.now(timezone.utc) - timedelta(seconds=seconds))
        with self._database.writing() as session:
            result = session.execute(
                delete(Task).where(
                    Task.date_updated < limit, Task.status != PENDING, Task.network_id.is_(None)
                )
            )
        return result.rowcount if isinstance(result, CursorResult) else 0
