"""Tasks that front ends share: each is leased by the one that runs it, and taken over where that one dies.

A lease lives as long as its front end says that it does, in one row for all its leases. It goes in the
transaction that writes the outcome of its task, and only its holder can let it go so: a task may be run
twice, and is written once.
"""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Float,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from postproc.service.store.database import Database
from postproc.service.store.tables import ERROR, PENDING, Base, FrontEnd, Lease, Resumption, Task
from postproc.service.store.tasks import TaskStore, write_outcomes
from postproc.service.store.usage import UsageExchange
from postproc.service.tracing import Trace
from postproc.service.work import STOPPED, TargetName, TaskRequest

MOST_LOSSES = 3  # front ends that may die with a task, before it is taken for the reason

_MOST_BYTES = 64 << 20  # of images that are taken over together
_KEPT_RESUMPTIONS = 3600.0  # seconds
_KEPT_FRONT_ENDS = 3600.0


@dataclass(frozen=True)
class Taken:
    """A task that was another front end's.

    Parameters
    ----------
    task_id : int
        Of it.
    tenant : str
        Whose it is.
    since : float
        When it was acknowledged, `time.monotonic`.
    losses : int
        Front ends that died with it.
    document : dict
        What is to run, as the lease has it.
    content : bytes
        Its images.
    """

    task_id: int
    tenant: str
    since: float
    losses: int
    document: dict[str, Any]
    content: bytes

    @property
    def age(self) -> float:
        """Seconds since it was acknowledged: it may be long until it runs."""
        return time.monotonic() - self.since

    @property
    def request_id(self) -> str:
        """Of the HTTP request; rows of older releases have none."""
        found = self.document.get("request_id") if isinstance(self.document, dict) else None
        return found if isinstance(found, str) else ""

    @property
    def trace(self) -> Trace:
        """The span that what becomes of it belongs to; likewise."""
        found = self.document.get("trace") if isinstance(self.document, dict) else None
        return found if isinstance(found, dict) else {}

    @property
    def request(self) -> TaskRequest:
        """Return what is to run; read late, so that one that cannot be read holds up no others."""
        images, start = [], 0
        for size in self.document["sizes"]:
            images.append(self.content[start : start + size])
            start += size
        target = TargetName(self.document["kind"], self.document["id"])
        return TaskRequest(target, self.document["options"], images, self.request_id, self.trace)


@dataclass(frozen=True)
class Seen:
    """What a front end sees of the others every other second.

    Parameters
    ----------
    held : mapping of str to int
        Tasks that others hold, by tenant.
    had : mapping of str to float
        Seconds of calls that tenants have had of others since it was told last.
    resumed : list of int or str
        Networks that may run again.
    waiting : int
        Tasks that wait for someone to take them over.
    front_ends : int
        Those that live.
    """

    held: Mapping[str, int] = field(default_factory=dict)
    had: Mapping[str, float] = field(default_factory=dict)
    resumed: Sequence[int | str] = ()
    waiting: int = 0
    front_ends: int = 0


class LeasedTasks(TaskStore):
    """Rows of tasks, and the leases of one front end.

    Parameters
    ----------
    database : Database
        PostgreSQL, which front ends share.
    seconds : float
        How long a front end that says nothing counts as alive.
    """

    def __init__(self, database: Database, seconds: float) -> None:
        super().__init__(database)
        self.front_end = uuid.uuid4().hex
        self._seconds = seconds
        self._name = socket.gethostname()
        self._resumptions: set[int] | None = None  # that were read
        self._usage = UsageExchange(self.front_end)

    def beat(self) -> None:
        """Say that this front end lives: one statement, so that a slow database hears it in time."""
        with self._database.writing() as session:
            expires = func.clock_timestamp() + _interval(self._seconds)
            known = session.execute(
                update(FrontEnd).where(FrontEnd.id == self.front_end).values(expires=expires)
            )
            if not _count(known):
                row = {"id": self.front_end, "name": self._name, "expires": expires}
                session.execute(insert(FrontEnd).values(row))

    def look(self, had: Mapping[str, float]) -> Seen:
        """Say what tenants have had of this front end in all, and look at the others."""
        with self._database.writing() as session:
            others = Lease.front_end != self.front_end
            held = select(Lease.tenant, func.count()).where(others).group_by(Lease.tenant)
            found = {row[0]: row[1] for row in session.execute(held)}
            told = self._usage.exchange(session, had)
            resumptions = session.scalars(select(Resumption)).all()
            waiting = _counted(session, Lease, _is_free())
            living = _counted(session, FrontEnd, FrontEnd.expires > func.clock_timestamp())
        # Not before all is read and written: what counts as seen is not seen again.
        return Seen(found, self._usage.more(told), self._resumed(resumptions), waiting, living)

    def leave(self) -> None:
        """Hand over what this front end still holds, and say that it is gone."""
        with self._database.writing() as session:
            session.execute(update(Lease).where(Lease.front_end == self.front_end).values(front_end=None))
            session.execute(delete(FrontEnd).where(FrontEnd.id == self.front_end))
        self._unfinished.clear()

    def take_over(self, most: int, *, of_dead: bool) -> list[Taken]:
        """Take tasks that were handed over, and of front ends that died; this one holds their leases then.

        The oldest ones of each tenant in turns.

        Parameters
        ----------
        most : int
            How many; fewer where their images are large.
        of_dead : bool
            Whether to take those that nobody handed over.
        """
        which = _is_free() if of_dead else Lease.front_end.is_(None)
        age = func.extract("epoch", func.clock_timestamp() - Lease.created)
        with self._database.writing() as session:
            place = func.row_number().over(partition_by=Lease.tenant, order_by=Lease.task_id)
            places = select(Lease.task_id, place.label("place")).where(which).subquery()
            free = (
                select(Lease.task_id, func.octet_length(Lease.images))
                .join(places, places.c.task_id == Lease.task_id)
                .where(which)  # once more, of the row that is locked: another one may have had it
                .order_by(places.c.place, Lease.task_id)
                .limit(most)
            )
            sizes = session.execute(free.with_for_update(skip_locked=True, of=Lease)).all()
            sums = accumulate(size for _, size in sizes)
            chosen = [row[0] for row, total in zip(sizes, sums, strict=True) if total <= _MOST_BYTES]
            # One that is larger comes alone.
            chosen = chosen or [row[0] for row in sizes[:1]]
            statement = select(Lease, age).where(Lease.task_id.in_(chosen)).order_by(Lease.task_id)
            found = session.execute(statement).all()
            taken = []
            for lease, seconds in found:
                lease.losses += lease.front_end is not None
                lease.front_end = self.front_end
                since = time.monotonic() - float(seconds)
                taken.append(
                    Taken(lease.task_id, lease.tenant, since, lease.losses, lease.request, lease.images)
                )
        self._unfinished.update((task.task_id, task.since) for task in taken)
        return taken

    def hand_over(self, task_ids: Sequence[int]) -> None:
        """Let another front end have tasks of this one."""
        with self._database.writing() as session:
            self._hand_over(session, task_ids)
        for task_id in task_ids:
            self._unfinished.pop(task_id, None)

    def finish(self, outcomes: Sequence[tuple[int, str | None, str | None]]) -> int:
        """Write what came of tasks whose leases this front end holds, as `TaskStore.finish`.

        Those that did not run since it is being stopped are handed over.
        """
        ended = [outcome for outcome in outcomes if outcome[2] != STOPPED]
        with self._database.writing() as session:
            self._hand_over(session, [task_id for task_id, _, error in outcomes if error == STOPPED])
            own = Lease.task_id.in_([task_id for task_id, _, _ in ended]), Lease.front_end == self.front_end
            held = set(session.scalars(delete(Lease).where(*own).returning(Lease.task_id)))
            own_ended = (outcome for outcome in ended if outcome[0] in held)
            count = write_outcomes(session, own_ended, self._moment())
        for task_id, _, _ in outcomes:
            self._unfinished.pop(task_id, None)
        return count

    def fail_pending(self, error: str) -> int:
        """End pending tasks that nobody can run: those of a single process, which came with a copy."""
        leased = select(Lease.task_id).where(Lease.task_id == Task.id).exists()
        with self._database.writing() as session:
            result = session.execute(
                update(Task)
                .where(Task.status == PENDING, ~leased)
                .values(status=ERROR, error=error, date_updated=self._moment())
            )
        return _count(result)

    def fail_unfinished(self, error: str) -> int:
        """Hand over what is left, and say that this front end is gone; nothing fails."""
        self.leave()
        return 0

    def resume(self, network_id: int | str) -> None:
        """Let all front ends know that a network may run again."""
        row = {"network": str(network_id), "is_public": isinstance(network_id, str)}
        with self._database.writing() as session:
            # Who has not read the last one reads this: as many rows as networks, however often it is called.
            session.execute(delete(Resumption).filter_by(**row))
            session.execute(insert(Resumption).values(row))

    def expire(self, seconds: float) -> int:
        """Delete old tasks, and what is known of front ends and resumptions of long ago."""
        with self._database.writing() as session:
            old = func.clock_timestamp()
            session.execute(delete(Resumption).where(Resumption.created < old - _interval(_KEPT_RESUMPTIONS)))
            session.execute(delete(FrontEnd).where(FrontEnd.expires < old - _interval(_KEPT_FRONT_ENDS)))
        return super().expire(seconds)

    def _moment(self, ago: float = 0.0) -> ColumnElement[str]:
        """Return a time by the database's clock: a front end whose own is wrong deletes nobody's results."""
        moment = func.timezone("UTC", func.clock_timestamp() - _interval(ago))
        return func.to_char(moment, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')

    def _overdue(self, seconds: float) -> list[int]:
        """Return its own: those of the living are theirs to end, and those of the dead are taken over."""
        age = func.clock_timestamp() - Lease.created
        own = select(Lease.task_id).where(Lease.front_end == self.front_end, age > _interval(seconds))
        with self._database.reading() as session:
            return list(session.scalars(own))

    def _lease(self, tenant: str, describe: Callable[[], TaskRequest]) -> Lease:
        request = describe()
        return Lease(
            tenant=tenant,
            front_end=self.front_end,
            losses=0,
            request={
                "kind": request.target.kind,
                "id": request.target.id,
                "options": request.options,
                "sizes": [len(image) for image in request.images],
                "request_id": request.request_id,
                "trace": dict(request.trace),
            },
            images=b"".join(request.images),
        )

    def _hand_over(self, session: Session, task_ids: Sequence[int]) -> None:
        if task_ids:
            own = Lease.task_id.in_(task_ids), Lease.front_end == self.front_end
            session.execute(update(Lease).where(*own).values(front_end=None))

    def _resumed(self, rows: Sequence[Resumption]) -> list[int | str]:
        """Return the networks that were resumed since this was asked last."""
        known, self._resumptions = self._resumptions, {row.id for row in rows}
        if known is None:  # nothing is held back here yet
            return []
        return [row.network if row.is_public else int(row.network) for row in rows if row.id not in known]


def _is_free() -> ColumnElement[bool]:
    """Tell of a lease that its front end is dead, or has handed it over."""
    lives = (
        select(FrontEnd.id)
        .where(FrontEnd.id == Lease.front_end, FrontEnd.expires > func.clock_timestamp())
        .correlate(Lease)
        .exists()
    )
    return or_(Lease.front_end.is_(None), ~lives)


def _counted(session: Session, table: type[Base], which: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).select_from(table).where(which)) or 0


def _interval(seconds: float) -> ColumnElement[Any]:
    return func.make_interval(0, 0, 0, 0, 0, 0, cast(seconds, Float))


def _count(result: Any) -> int:
    return result.rowcount if isinstance(result, CursorResult) else 0
