"""That one service at a time uses a data folder and a database."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Protocol, TypeVar

from sqlalchemy import Connection, Engine, TextClause, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from postproc.disk import hold
from postproc.errors import PostprocError
from postproc.service.store.database import Database, limits_of, shown

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
_CHECK_SECONDS = 2.0
_LINGER_SECONDS = 3.0
_JOIN_SECONDS = 1.0

_NAME = f"postproc on {socket.gethostname()}, process {os.getpid()}"[:63]  # as PostgreSQL shows its sessions

# One lock a schema: services may share a database whose schemas are theirs.
_KEY = "1886352500, hashtext(coalesce(current_schema(), ''))"
_TRY = text(f"SELECT pg_try_advisory_lock({_KEY})")
_TRY_SHARED = text(f"SELECT pg_try_advisory_lock_shared({_KEY})")  # front ends, beside each other
_HOLDER = text(
    "SELECT a.pid, a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = 1886352500 "
    "AND l.objid::bigint = (hashtext(coalesce(current_schema(), ''))::bigint & 4294967295) "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_SETTINGS = {
    # A machine that went down without a word keeps its lock for half a minute, not for two hours.
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "idle_session_timeout": "0",  # since release 14
}
_SET = text("SELECT set_config(name, :value, false) FROM pg_settings WHERE name = :name")

Held = TypeVar("Held")


class Lock(Protocol):
    """What is held until it is closed, or the process ends."""

    def close(self) -> None:
        """Let others have it."""


class InUseError(PostprocError):
    """Another service uses it."""


def patiently(take: Callable[[], Held], seconds: float) -> Held:
    """Call until it raises no `InUseError`, for some seconds; then raise that."""
    deadline = time.monotonic() + seconds
    said = False
    while True:
        try:
            return take()
        except InUseError as error:
            if time.monotonic() >= deadline:
                raise
            if not said:
                logger.info("waits up to %g s: %s", seconds, error)
                said = True
        time.sleep(_POLL_SECONDS)


def lock_file(path: Path, what: str) -> IO[bytes]:
    """Hold a file for as long as this process lives.

    Raises
    ------
    InUseError
        If another process holds it.
    """
    handle = path.open("ab")
    try:
        hold(handle)
    except OSError:
        handle.close()
        raise InUseError(f"another service uses {what}: end it, or choose another") from None
    return handle


def lock_database(database: Database, on_lost: Callable[[str], None], *, is_shared: bool = False) -> Lock:
    """Hold a database for as long as this process lives.

    Parameters
    ----------
    database : Database
        SQLite is locked by a file beside its own, PostgreSQL by an advisory lock of a session.
    on_lost : callable
        Told why, by a thread, if another service took the lock while PostgreSQL was away.
    is_shared : bool
        Hold it beside other front ends, and against what wants it alone; PostgreSQL's only.

    Raises
    ------
    InUseError
        If another service holds it.
    PostprocError
        If it cannot be opened.
    """
    what = f"the database {shown(database.url)}"
    if database.file is None:
        # The session of a process that has just ended may hold it for a moment.
        statement = _TRY_SHARED if is_shared else _TRY
        return patiently(lambda: _SessionLock(database.url, what, on_lost, statement), _LINGER_SECONDS)
    try:
        file = database.file.resolve()  # so that all links to it mean the same lock
        return lock_file(file.with_name(f"{file.name}-lock"), what)
    except OSError as error:
        raise PostprocError(f"cannot open {what}: {error}") from None


class _SessionLock:
    """An advisory lock of PostgreSQL, which a thread takes again where its session was ended."""

    def __init__(self, url: URL, what: str, on_lost: Callable[[str], None], statement: TextClause) -> None:
        self._what, self._on_lost, self._statement = what, on_lost, statement
        self._engine = _engine_of(url)
        self._closing = threading.Event()
        self._session = 0  # the number of PostgreSQL's process that holds the lock for this one
        try:
            self._connection = self._taken()
        except SQLAlchemyError as error:
            reason = getattr(error, "orig", None) or error
            raise PostprocError(f"cannot open {what}: {reason}") from error
        self._thread = threading.Thread(target=self._keep, name="postproc-lock", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the session, and with it the lock; where the database hangs, as soon as it goes on."""
        self._closing.set()
        self._thread.join(_JOIN_SECONDS)

    def _taken(self) -> Connection:
        connection = self._engine.connect()
        try:
            for name, value in _SETTINGS.items():
                connection.execute(_SET, {"name": name, "value": value})
            if not connection.scalar(self._statement):
                self._refuse(connection)
            self._session = connection.scalar(text("SELECT pg_backend_pid()")) or 0
        except BaseException:
            connection.close()
            raise
        return connection

    def _refuse(self, connection: Connection) -> None:
        found = connection.execute(_HOLDER).first()
        if found is not None and (found.pid, found.application_name) == (self._session, _NAME):
            # The server has not seen yet that this connection broke.
            connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": found.pid})
            raise _OwnGhostError("the last session still holds the lock")
        holder = f" ({found.application_name})" if found is not None and found.application_name else ""
        raise InUseError(f"another service uses {self._what}{holder}: end it, or choose another")

    def _keep(self) -> None:
        while not self._closing.wait(_CHECK_SECONDS):
            try:
                self._connection.execute(text("SELECT 1"))
            except SQLAlchemyError:
                self._end_session()
                if not self._take_again():
                    return
        self._end_session()

    def _take_again(self) -> bool:
        while not self._closing.is_set():
            try:
                self._connection = self._taken()
            except InUseError as error:
                self._on_lost(str(error))
                return False
            except (SQLAlchemyError, _OwnGhostError):
                self._closing.wait(_POLL_SECONDS)
            else:
                return True
        return False

    def _end_session(self) -> None:
        with contextlib.suppress(SQLAlchemyError):
            self._connection.close()


class _OwnGhostError(Exception):
    """The lock is held by a session of this process, which it lost."""


def _engine_of(url: URL) -> Engine:
    return create_engine(
        url,
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={**limits_of(url), "application_name": _NAME},
    )
