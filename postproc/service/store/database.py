"""The database: SQLite by default, PostgreSQL where its URL is given."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, delete, event, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import QueuePool

from postproc.errors import PostprocError
from postproc.installing import install
from postproc.service.settings import ServiceSettings
from postproc.service.store.tables import Base, Format, Identity

FORMAT = 2  # 1 knew no identity
OWN_FILE = "postproc.sqlite"  # in the data folder, where no database is named
_AGREEMENTS = 1886352501  # PostgreSQL's locks of this kind, beside that of `locks`
_AGREED_SECONDS = 5.0
_BUSY_SECONDS = 10
_CONNECTIONS = 48  # the threads of the requests, those of the engine, and the sweep
_LONGEST_URL = 10_000
_SECRET = re.compile("pass|secret", re.IGNORECASE)  # in names of libpq's parameters
# libpq waits for minutes by itself for a server whose machine is gone. What the URL says goes first.
_POSTGRESQL_LIMITS = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_SQLITE_PRAGMAS = (
    f"busy_timeout={_BUSY_SECONDS * 1000}",
    "synchronous=FULL",  # what was acknowledged outlives a power cut
    "foreign_keys=ON",
)


@dataclass(frozen=True)
class Contents:
    """What a database says of itself.

    Parameters
    ----------
    number : int
        Its format.
    identity : str or None
        That it shares with a data folder; None in format 1.
    """

    number: int
    identity: str | None


class Database:
    """Sessions on the database, each one short transaction.

    Nothing is made or changed before `prepare`.

    Parameters
    ----------
    settings : ServiceSettings
        Where it lies.
    most_idle : float, optional
        Seconds after which PostgreSQL ends a transaction in which nothing comes: a process that hangs in one
        would keep its rows from others.

    Raises
    ------
    PostprocError
        If the settings name no database that could be opened.
    """

    def __init__(self, settings: ServiceSettings, most_idle: float | None = None) -> None:
        self.url = url_of(settings)
        self._engine = _engine_of(self.url)
        if most_idle is not None:
            _end_idle(self._engine, most_idle)
        # SQLite has one writer at a time, and lets the others poll for their turn.
        self._writer = threading.Lock() if self.file is not None else nullcontext()
        self._place: tuple[int, int] | None = None  # of the file
        self._reading = sessionmaker(self._engine, expire_on_commit=False)
        self._writing = sessionmaker(self._engine.execution_options(writes=True), expire_on_commit=False)

    @property
    def file(self) -> Path | None:
        """The file of SQLite."""
        return Path(self.url.database or "") if self.url.get_backend_name() == "sqlite" else None

    @property
    def connections(self) -> int:
        """Connections that are in use."""
        pool = self._engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

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

    @contextmanager
    def agreed(self, what: str, *, is_shared: bool = False, waits: bool = True) -> Iterator[bool]:
        """Hold a lock of PostgreSQL by its name while the block lasts; gives whether that was to be had.

        Parameters
        ----------
        what : str
            Its name, the same for all who share the database.
        is_shared : bool
            Beside others who share it, and against who wants it alone.
        waits : bool
            Some seconds for it, and raises then; else the block runs at once.
        """
        function = f"pg_{'' if waits else 'try_'}advisory_lock{'_shared' if is_shared else ''}"
        key = f"{_AGREEMENTS}, hashtext(coalesce(current_schema(), '') || :what)"
        engine = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            try:
                # Whoever has it may hang.
                connection.exec_driver_sql(f"SET lock_timeout = {round(_AGREED_SECONDS * 1000)}")
                found = connection.scalar(text(f"SELECT {function}({key})"), {"what": what})
                yield waits or bool(found)
            finally:
                connection.invalidate()  # its session ends, and the lock with it

    def check(self) -> None:
        """Ask it something; raises if it does not answer, or its file is another than that which is open."""
        with self.reading() as session:
            session.execute(select(1))
        if self.file is not None and _place_of(self.file) != self._place:
            raise FileNotFoundError(
                f"{self.file} was removed or replaced while it is open: what is written is lost"
            )

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def contents(self) -> Contents | None:
        """Return what it says of itself; None where it has no tables of a service.

        Raises
        ------
        PostprocError
            If it cannot be opened, or was written by a later release.
        """
        if self.file is not None:
            if not (self.file.exists() and self.file.stat().st_size):
                return None  # to open it would make it
            _check_log(self.file)
        with self._explained(), self.reading() as session:
            names = inspect(session.connection())
            number = session.scalar(select(Format.number)) if names.has_table(Format.__tablename__) else None
            if number is None:
                return None
            if number > FORMAT:
                raise PostprocError(
                    f"the database {shown(self.url)} has format {number}, and this release of postproc has "
                    f"{FORMAT}: run the release that wrote it, or start with another database"
                )
            known = session.scalar(select(Identity.id)) if names.has_table(Identity.__tablename__) else None
            return Contents(number, known)

    def prepare(self, identity: str, *, for_front_ends: bool = False) -> None:
        """Make the tables that are missing, and write down the identity; in one transaction.

        Those of front ends are made where they share the database.
        """
        tables = [
            table
            for table in Base.metadata.sorted_tables
            if for_front_ends or not table.info.get("is_of_front_ends")
        ]
        with self._explained(), closing(self._engine.raw_connection()) as connection:
            if self.file is not None:
                connection.cursor().execute("PRAGMA journal_mode=WAL")  # which its file keeps
        with self._explained(), self.writing() as session:
            Base.metadata.create_all(session.connection(), tables=tables)
            for kind in (Format, Identity):
                session.execute(delete(kind))
            session.add_all([Format(number=FORMAT), Identity(id=identity)])
        if self.file is not None:
            self._place = _place_of(self.file)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            self.close()
            reason = getattr(error, "orig", None) or error
            raise PostprocError(f"cannot open the database {shown(self.url)}: {reason}") from error


def url_of(settings: ServiceSettings) -> URL:
    """Return where the database of a service lies.

    Raises
    ------
    PostprocError
        If that is no URL, of a database that is supported.
    """
    text = settings.database
    if settings.database_file is not None:
        if text is not None:
            raise PostprocError("database: expected a URL or the file that holds it, got both")
        text = _read_url(settings.database_file)
    if text is None:
        return URL.create("sqlite", database=str(settings.data.absolute() / OWN_FILE))
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        raise PostprocError(
            "database: expected a URL such as postgresql://user:password@host/name or sqlite:///file"
        ) from None
    kind = url.get_backend_name()
    if kind in ("postgresql", "postgres"):
        # The driver that the extra installs.
        return url if "+" in url.drivername else url.set(drivername="postgresql+psycopg")
    if kind != "sqlite":
        raise PostprocError(f"database: expected sqlite or postgresql, got {kind!r}")
    name = url.database or ""
    if name in ("", ":memory:") or name.startswith("file:"):
        raise PostprocError(
            f"database: expected a path, sqlite:///file or sqlite:////folder/file, got {name!r}"
        )
    return url.set(database=str(Path(name).absolute()))


def shown(url: URL) -> str:
    """Return a URL as logs and errors may show it: without passwords, wherever they stand in it."""
    return without_secrets(url).render_as_string()


def without_secrets(url: URL) -> URL:
    """Return a URL without its passwords."""
    kept = {name: value for name, value in url.query.items() if not _SECRET.search(name)}
    return URL.create(url.drivername, url.username, None, url.host, url.port, url.database, kept)


def _read_url(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST_URL + 1).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PostprocError(f"cannot read the database's URL from {path}: {error}") from None
    if not text or len(text) > _LONGEST_URL or "\n" in text:
        raise PostprocError(f"{path}: expected one line, the URL of a database")
    return text


def limits_of(url: URL) -> dict[str, int]:
    """Return how long a connection may take to open, and to be found broken: arguments of the driver."""
    is_libpq = url.drivername.startswith("postgresql+psycopg")
    return {name: value for name, value in _POSTGRESQL_LIMITS.items() if is_libpq and name not in url.query}


def _engine_of(url: URL) -> Engine:
    kind = url.get_backend_name()
    # What stands before an @ may be of a password, which no error may show: one with an @, or, where the
    # user has a slash, or a third one comes before them, all of it.
    if "@" in (url.host or "") or (kind != "sqlite" and re.search(":.*@", url.database or "")):
        raise PostprocError(
            "database: expected one @ before the host, and no slash; write those of a user as %2F, and an @ "
            "of a password as %40"
        )
    try:
        engine = create_engine(
            url,
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_pre_ping=kind == "postgresql",
            connect_args=limits_of(url),
            hide_parameters=True,  # errors, which are logged, would show what tenants sent
        )
    except ArgumentError:
        raise PostprocError("database: expected numbers as ports, and one for each host") from None
    except (NoSuchModuleError, ImportError) as error:
        raise ImportError(
            f"the database {url.drivername!r} needs its driver: {install('postgresql')}"
        ) from error
    if kind == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_in_sqlite)
    return engine


def _end_idle(engine: Engine, seconds: float) -> None:
    @event.listens_for(engine, "connect")
    def _(connection: Any, _: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = {max(1, round(seconds * 1000))}")
        connection.commit()


def _place_of(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_dev, found.st_ino


def _check_log(file: Path) -> None:
    """Make sure that SQLite's log beside a file is not that of the file which stood there before a backup.

    SQLite would write the newer pages over the older file, and neither be. `VACUUM INTO` writes a file that
    knows no log, and a service's own knows one before there is any.
    """
    log = file.with_name(f"{file.name}-wal")
    if not (log.exists() and log.stat().st_size):
        return
    with file.open("rb") as opened:
        head = opened.read(20)
    if head[18:] == b"\1\1":  # versions of the format: 1 has no log, 2 has one
        raise PostprocError(
            f"{file} was put in the place of another database, whose log is still there and would damage it: "
            f"remove {log} and {file.name}-shm"
        )


def _set_up_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # Python's sqlite3 would begin transactions by rules of its own
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin_in_sqlite(connection: Any) -> None:
    # What starts by reading and goes on to write can fail at once where another wrote in between.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
