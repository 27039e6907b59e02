"""That a database and a store of files belong together, whichever front end comes first."""

from __future__ import annotations

import uuid

from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

from postproc.errors import PostprocError
from postproc.service.store.database import Database, shown
from postproc.service.store.objects import ObjectStore, StoreRecord
from postproc.service.store.outages import reason_of


def check_store_settings(url: URL) -> None:
    """Make sure that a database is one that front ends can share.

    Raises
    ------
    PostprocError
        If it is SQLite.
    """
    if url.get_backend_name() != "postgresql":
        raise PostprocError(
            "store: front ends that share a store share a PostgreSQL, too: expected --database "
            f"postgresql://user:password@host/name, got {shown(url)}"
        )


def join_store(database: Database, objects: ObjectStore) -> None:
    """Have a database and a store ready that belong together; both new, they do from now on.

    Raises
    ------
    PostprocError
        If they do not belong together: nothing was changed.
    """
    try:
        with database.agreed("join"):
            _join(database, objects)
    except OperationalError as error:
        raise PostprocError(
            f"cannot open the database {shown(database.url)}, where another start may be under way: "
            f"{reason_of(error)}"
        ) from None


def _join(database: Database, objects: ObjectStore) -> None:
    contents, record = database.contents(), objects.record()
    known = None if contents is None else contents.identity
    if record is None or not record.is_joined:
        if contents is not None and (record is None or record.id != known):
            raise PostprocError(
                f"the database {shown(database.url)} belongs to a data folder or to another store, and "
                f"the store {objects.url} is new: start with what belongs to it, or with another "
                "database; `postproc store copy` brings a service into a store. Nothing was changed"
            )
        record = StoreRecord(id=uuid.uuid4().hex, is_joined=False) if record is None else record
        objects.write_record(record)
    elif record.id != known:
        found = "is empty" if contents is None else "belongs to another store or folder"
        raise PostprocError(
            f"the store {objects.url} belongs to another database, and {shown(database.url)} {found}: "
            "start with the database of that store, restored from a backup where it was lost, or with "
            "another store. Nothing was changed"
        )
    database.prepare(record.id, for_front_ends=True)
    if not record.is_joined:
        objects.write_record(record.model_copy(update={"is_joined": True}))
