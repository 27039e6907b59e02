"""The tasks of a tenant: requests that run, and what came of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, case, delete, select, update
from sqlalchemy.orm import Session

from postproc.service.errors import not_found
from postproc.service.store.common import SizedRow, size_of, sized_page
from postproc.service.store.database import Database
from postproc.service.store.tables import ERROR, LARGEST_ID, PENDING, SUCCESS, Lease, Task, as_time, now
from postproc.service.store.together import TaskWriter
from postproc.service.work import TaskRequest

_STATE: Any = Task.status, Task.error, Task.date_created, Task.date_updated


@dataclass(frozen=True)
class TaskRow(SizedRow):
    """A task, with its result only where that was asked for; its size is that of its result, 0 for none.

    Parameters
    ----------
    status, error, date_created, date_updated : str or None
        As the table has them.
    data : str or None
        Its result as JSON text.
    """

    status: str
    error: str | None
    date_created: str
    date_updated: str | None
    data: str | None = None


class TaskStore:
    """Rows of tasks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._unfinished: dict[int, float] = {}  # of this process, and since when
        self._writer = TaskWriter(database, self._unfinished)
        self._takes_writes = True

    @property
    def unfinished(self) -> int:
        """How many tasks this process added, or took over, and did not finish."""
        return len(self._unfinished)

    def add(self, tenant: str, describe: Callable[[], TaskRequest] | None = None) -> int:
        """Keep a pending task and return its id; what `describe` tells is for other front ends."""
        try:
            row = Task(tenant=tenant, status=PENDING, date_created=now())
            identifier = self._writer.add(row, None if describe is None else self._lease(tenant, describe))
        except BaseException:
            self._takes_writes = False
            raise
        self._takes_writes = True
        return identifier

    def _lease(self, tenant: str, describe: Callable[[], TaskRequest]) -> Lease | None:
        return None  # the tasks of a single process are its own

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
        with self._database.writing() as session:
            count = write_outcomes(session, outcomes, self._moment())
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
        overdue = self._overdue(seconds)
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

    def _overdue(self, seconds: float) -> list[int]:
        """Return the tasks whose rows are pending for so long."""
        limit = as_time(datetime.now(timezone.utc) - timedelta(seconds=seconds))
        with self._database.reading() as session:
            pending = select(Task.id).where(Task.status == PENDING, Task.date_created < limit)
            return list(session.scalars(pending))

    def get(self, tenant: str, identifier: int, small: int = 0) -> TaskRow:
        """Return a task, with its result where that has `small` bytes at most, or raise a 404."""
        with self._database.reading() as session:
            size = size_of(session, Task.data)
            statement = select(Task.id, size, *_STATE, case((size <= small, Task.data)))
            statement = statement.where(Task.id == identifier, Task.tenant == tenant)
            row = session.execute(statement).first()
        if row is None:
            raise not_found("task", identifier)
        return TaskRow(*row)

    def texts(self, tenant: str, identifiers: Sequence[int]) -> dict[int, str]:
        """Return the results of these tasks as JSON text; of those that have one."""
        statement = select(Task.id, Task.data).where(Task.tenant == tenant, Task.id.in_(identifiers))
        with self._database.reading() as session:
            return {number: data for number, data in session.execute(statement) if data is not None}

    def list(
        self,
        tenant: str,
        identifiers: Sequence[int],
        offset: int,
        limit: int,
        after_id: int | None = None,
        *,
        max_bytes: int,
    ) -> tuple[int, list[TaskRow]]:
        """Return how many of these tasks there are, and a page, see `sized_page`; no unknown ones."""
        known = {identifier for identifier in identifiers if 0 < identifier <= LARGEST_ID}
        if not known:
            return 0, []
        own = select(Task.id).where(Task.tenant == tenant, Task.id.in_(known))
        with self._database.reading() as session:
            return sized_page(
                session,
                own,
                (Task.data,),
                offset,
                limit,
                after_id,
                max_bytes=max_bytes,
                kind=TaskRow,
                others=_STATE,
            )

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
        is_old = Task.date_updated < self._moment(seconds)
        with self._database.writing() as session:
            result = session.execute(
                delete(Task).where(is_old, Task.status != PENDING, Task.network_id.is_(None))
            )
        return result.rowcount if isinstance(result, CursorResult) else 0

    def _moment(self, ago: float = 0.0) -> str | ColumnElement[str]:
        """Return a time as the rows have it, which is so many seconds ago."""
        return as_time(datetime.now(timezone.utc) - timedelta(seconds=ago))


def write_outcomes(
    session: Session,
    outcomes: Iterable[tuple[int, str | None, str | None]],
    moment: str | ColumnElement[str],
) -> int:
    """Write what came of tasks that are pending, and when, and return how many were."""
    count = 0
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
    return count
