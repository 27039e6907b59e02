"""A service brought to another database and another place of its files, with every id it has given."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import Table, func, insert, select, text
from sqlalchemy.orm import Session

from postproc.errors import PostprocError
from postproc.service.settings import ServiceSettings
from postproc.service.store.database import Database, shown
from postproc.service.store.files import NetworkFolders
from postproc.service.store.identity import check, join
from postproc.service.store.joining import check_store_settings, join_store
from postproc.service.store.locks import lock_database
from postproc.service.store.networks import FileEntry, NetworkStore
from postproc.service.store.objects import DamagedError, ObjectStore, digest_of, entries_of
from postproc.service.store.tables import (
    Base,
    Format,
    FrontEnd,
    Identity,
    Network,
    Resumption,
    StoredFile,
    Usage,
)

_ROWS = 20  # at once: each may have a result of many megabytes
_OWN = (Format, Identity, FrontEnd, Usage, Resumption)  # of each database itself


@dataclass(frozen=True)
class Copied:
    """What a copy has brought.

    Parameters
    ----------
    rows : dict of str to int
        Rows of each table.
    files : int
        Files of networks, those that were there already among them.
    """

    rows: dict[str, int]
    files: int


class _Files(Protocol):
    """The files of networks, on either side of a copy."""

    def entries(self, folder: str) -> list[FileEntry]:
        """Return the files of a network; none where they are missing."""

    def at(self, folder: str, entry: FileEntry, place: Path) -> Path:
        """Return where a file lies: its own place, or this one, to which it is fetched."""

    def bring(self, folder: str, entries: list[FileEntry], source: _Files) -> None:
        """Keep the files of a network; those that are here already stay."""


class _InFolders:
    """The files of a data folder."""

    def __init__(self, folders: NetworkFolders) -> None:
        self._folders = folders

    def entries(self, folder: str) -> list[FileEntry]:
        if not self._folders.model(folder).is_file():
            return []
        self._folders.settle(folder)  # its mark is no file of the network; nothing else runs here
        return entries_of(self._folders.model(folder).parent)

    def at(self, folder: str, entry: FileEntry, place: Path) -> Path:
        return self._folders.model(folder).parent / entry.path

    def bring(self, folder: str, entries: list[FileEntry], source: _Files) -> None:
        if self.entries(folder) == entries:
            return
        self._folders.remove(folder)
        staged = self._folders.stage()
        try:
            for entry in entries:
                target = staged / entry.path
                target.parent.mkdir(parents=True, exist_ok=True)
                path = source.at(folder, entry, target)
                if path != target:
                    shutil.copyfile(path, target)
                    if digest_of(target) != entry.digest:
                        raise DamagedError(f"{path} was changed while it was copied")
            staged = staged.rename(staged.with_name(folder))
            self._folders.settle(self._folders.publish(staged))
        finally:
            self._folders.discard(staged)


class _InStore:
    """The files of a store, which a database names."""

    def __init__(self, objects: ObjectStore, database: Database, scratch: Path) -> None:
        self._objects, self._scratch = objects, scratch
        self._networks = NetworkStore(database)

    def entries(self, folder: str) -> list[FileEntry]:
        return self._networks.files(folder)

    def at(self, folder: str, entry: FileEntry, place: Path) -> Path:
        self._objects.fetch(entry.digest, place)
        return place

    def bring(self, folder: str, entries: list[FileEntry], source: _Files) -> None:
        for entry in entries:
            if not self._objects.has(entry.digest):
                place = self._scratch / entry.digest
                try:
                    self._objects.put(source.at(folder, entry, place), entry.digest)
                finally:
                    place.unlink(missing_ok=True)


def copy_service(
    source: ServiceSettings, target: ServiceSettings, scratch: Path, tell: Callable[[str], None]
) -> Copied:
    """Copy a service that does not run to another database and place of files; the source stays as it is.

    Files come first, each as a whole and checked by its digest; then all rows, in one transaction. What is
    interrupted is begun again with the same command, and goes on where files are there already.

    Parameters
    ----------
    source, target : ServiceSettings
        A data folder and its database, or a store and its database; of the target's only what is empty.
    scratch : Path
        An empty folder for files on their way.
    tell : callable
        Told how far it is.

    Raises
    ------
    PostprocError
        If one of them runs, the target has rows, files are missing or damaged, or what is the same on both
        sides.
    """
    with ExitStack() as opened:
        database, files = _opened(source, scratch, opened, is_target=False)
        new_database, new_files = _opened(target, scratch, opened, is_target=True)
        with new_database.reading() as session:
            if any(session.scalar(select(func.count()).select_from(table)) for table in _tables(target)):
                raise PostprocError(
                    f"the database {shown(new_database.url)} has rows already, of another service or of a "
                    "copy that is complete: name an empty one"
                )
        folders = sorted(NetworkStore(database).folders())
        entries = {folder: files.entries(folder) for folder in folders}
        if missing := [folder for folder in folders if not entries[folder]]:
            raise PostprocError(
                f"the files of {len(missing)} networks are missing ({', '.join(missing[:3])}): restore them, "
                "or delete these networks while the service runs"
            )
        for number, folder in enumerate(folders, 1):
            new_files.bring(folder, entries[folder], files)
            tell(f"files of network {number} of {len(folders)}")
        rows = _copy_rows(source, target, database, new_database, entries, tell)
    return Copied(rows, sum(map(len, entries.values())))


def _opened(
    settings: ServiceSettings, scratch: Path, opened: ExitStack, *, is_target: bool
) -> tuple[Database, _Files]:
    """Open one side, for this process alone."""
    if settings.store is None and not is_target and not settings.data.is_dir():
        raise PostprocError(f"{settings.data} does not exist: expected the data folder of a service")
    database = Database(settings)
    opened.callback(database.close)
    if not is_target and database.contents() is None:
        raise PostprocError(f"no service has used the database {shown(database.url)} yet")
    if settings.store is None:
        folders = NetworkFolders(settings.data)
        opened.callback(folders.close)
        check(settings, database, folders.names())
        opened.callback(lock_database(database, lambda _: None).close)
        if is_target:
            join(settings, database, folders.names())
        return database, _InFolders(folders)
    check_store_settings(database.url)
    objects = ObjectStore(settings.store)
    opened.callback(lock_database(database, lambda _: None).close)
    join_store(database, objects)
    return database, _InStore(objects, database, scratch)


def _tables(settings: ServiceSettings) -> list[Table]:
    """Return the tables that a service of these settings has, in an order in which rows can come."""
    own = {kind.__table__ for kind in _OWN}
    return [
        table
        for table in Base.metadata.sorted_tables
        if table not in own and (settings.store is not None or not table.info.get("is_of_front_ends"))
    ]


def _copy_rows(
    source: ServiceSettings,
    target: ServiceSettings,
    database: Database,
    new_database: Database,
    entries: dict[str, list[FileEntry]],
    tell: Callable[[str], None],
) -> dict[str, int]:
    copied = {}
    stored = StoredFile.__table__
    with database.reading() as reading, new_database.writing() as writing:
        known = _tables(source)
        for table in _tables(target):
            if table is stored:
                _write_entries(reading, writing, entries)
                continue
            if table not in known:
                continue  # leases, of which a single process has none
            count = 0
            for rows in _batches(reading, table):
                writing.execute(insert(table), rows)
                count += len(rows)
            if count != (there := writing.scalar(select(func.count()).select_from(table))):
                raise PostprocError(f"{count} rows of {table.name} were copied, and {there} are there")
            if "id" in table.c:
                _set_last_id(writing, table, _last_id(reading, table))
            copied[table.name] = count
            tell(f"{count} rows of {table.name}")
    return copied


def _batches(session: Session, table: Table) -> Iterator[list[dict[str, object]]]:
    order = list(table.primary_key.columns)
    found = session.execute(select(table).order_by(*order), execution_options={"yield_per": _ROWS})
    for rows in found.mappings().partitions(_ROWS):
        yield [dict(row) for row in rows]


def _write_entries(reading: Session, writing: Session, entries: dict[str, list[FileEntry]]) -> None:
    for identifier, folder in reading.execute(select(Network.id, Network.folder)).all():
        writing.add_all(
            StoredFile(network_id=identifier, path=entry.path, digest=entry.digest, size=entry.size)
            for entry in entries.get(folder, ())
        )
    writing.flush()


def _last_id(session: Session, table: Table) -> int:
    """Return the last id that a table has given, also where its row is gone."""
    most = session.scalar(select(func.max(table.c.id))) or 0
    if _is_sqlite(session):
        given = session.scalar(
            text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table.name}
        )
    else:
        sequence = session.scalar(
            text("SELECT pg_get_serial_sequence(:name, 'id')"), {"name": f'"{table.name}"'}
        )
        given = session.scalar(text(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}"))
    return max(most, given or 0)


def _set_last_id(session: Session, table: Table, last: int) -> None:
    """Have the next id of a table be a larger one."""
    if not last:
        return
    given = {"name": table.name, "last": last}
    if _is_sqlite(session):
        session.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), given)
        session.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), given)
    else:
        given["name"] = f'"{table.name}"'
        session.execute(text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)"), given)


def _is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"
