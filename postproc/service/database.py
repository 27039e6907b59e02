"""The database: SQLite by default, PostgreSQL where its URL is given."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from sqlalchemy import Engine, create_engine, event, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, ProgrammingError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from postproc.errors import PostprocError
from postproc.installing import install
from postproc.service.settings import ServiceSettings
from postproc.service.tables import Format, Table

FORMAT = 1
_BUSY_SECONDS = 10
_ATTEMPTS = 5
_CONNECTIONS = 48  # the threads of the requests, those of the engine, and the sweep
_SQLITE_PRAGMAS = (
    f"busy_timeout={_BUSY_SECONDS * 1000}",
    "journal_mode=WAL",
    "synchronous=FULL",  # what was acknowledged outlives a power cut
    "foreign_keys=ON",
)


class Database:
    """Sessions on the database, each one short transaction.

    Parameters
    ----------
    settings : ServiceSettings
        Where it lies.

    Raises
    ------
    PostprocError
        If it cannot be opened, or was written by a release with another format.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._url = _url_of(settings)
        self._engine = _engine_of(self._url)
        is_sqlite = self._engine.dialect.name == "sqlite"
        # SQLite has one writer at a time, and lets the others poll for their turn.
        self._writer = threading.Lock() if is_sqlite else nullcontext()
        self._reading = sessionmaker(self._engine, expire_on_commit=False)
        self._writing = sessionmaker(self._engine.execution_options(writes=True), expire_on_commit=False)
        try:
            self._prepare()
        except SQLAlchemyError as error:
            self.close()
            reason = getattr(error, "orig", None) or error
            raise PostprocError(f"cannot open the database {self._url}: {reason}") from error

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give a session that reads; its rows stay usable afterwards."""
        with self._reading.begin() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Give a session that is committed at the end, or rolled back by an error."""
        with self._writer, self._writing.begin() as session:
            yield session

    def check(self) -> None:
        """Ask it something; raises if it does not answer."""
        with self.reading() as session:
            session.execute(select(1))

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _prepare(self) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                with self.writing() as session:
                    Table.metadata.create_all(session.connection())
                    number = session.scalar(select(Format.number))
                    if number is None:
                        session.add(Format(number=FORMAT))
                break
            except (IntegrityError, ProgrammingError):  # another process makes the same tables right now
                if attempt == _ATTEMPTS - 1:
                    raise
        if number not in (None, FORMAT):
            self.close()
            raise PostprocError(
                f"the database {self._url} has format {number}, and this release of postproc has {FORMAT}: "
                "run the release that wrote it, or start with another database"
            )


def _url_of(settings: ServiceSettings) -> URL:
    if settings.database is None:
        settings.data.mkdir(parents=True, exist_ok=True)
        return URL.create("sqlite", database=str(settings.data / "postproc.sqlite"))
    try:
        url = make_url(settings.database)
    except ArgumentError:
        raise PostprocError(
            "database: expected a URL such as postgresql://user:password@host/name or sqlite:///file"
        ) from None
    if url.drivername in ("postgresql", "postgres"):  # the driver that the extra installs
        url = url.set(drivername="postgresql+psycopg")
    return url


def _engine_of(url: URL) -> Engine:
    kind = url.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise PostprocError(f"database: expected sqlite or postgresql, got {kind!r}")
    try:
        engine = create_engine(
            url, pool_size=_CONNECTIONS, max_overflow=0, pool_pre_ping=kind == "postgresql"
        )
    except (NoSuchModuleError, ImportError) as error:
        raise ImportError(
            f"the database {url.drivername!r} needs its driver: {install('postgresql')}"
        ) from error
    if kind == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_in_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # Python's sqlite3 would begin transactions by rules of its own
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin_in_sqlite(connection: Any) -> None:
    # What starts by reading and goes on to write can fail at once where another wrote in between.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
