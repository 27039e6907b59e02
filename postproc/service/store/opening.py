"""A database and the files of networks, as one service has them for itself, or as front ends share them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from postproc.service.metrics import Metrics
from postproc.service.settings import ServiceSettings
from postproc.service.store.database import Database, url_of
from postproc.service.store.files import NetworkFolders
from postproc.service.store.identity import check, join
from postproc.service.store.leases import LeasedTasks
from postproc.service.store.locks import Lock, lock_database, patiently
from postproc.service.work import TASK_MARGIN

_MOST_IDLE = 30.0  # seconds; a large result may take some of them on its way


@dataclass(frozen=True)
class Opened:
    """What a service works on.

    Parameters
    ----------
    folders : NetworkFolders
        The files of networks.
    database : Database
        Locked, and ready.
    lock : Lock
        Of the database.
    leased : LeasedTasks or None
        The tasks, where front ends share them.
    """

    folders: NetworkFolders
    database: Database
    lock: Lock
    leased: LeasedTasks | None = None


def open_alone(settings: ServiceSettings, on_lost: Callable[[str], None]) -> Opened:
    """Open a data folder and its database, for one process.

    Raises
    ------
    PostprocError
        If they cannot be used, or do not belong together.
    """
    with ExitStack() as opened:
        folders = NetworkFolders(settings.data, settings.wait)
        opened.callback(folders.close)
        database = Database(settings)
        opened.callback(database.close)
        check(settings, database, folders.names())
        lock = patiently(lambda: lock_database(database, on_lost), settings.wait)
        opened.callback(lock.close)
        join(settings, database, folders.names())
        opened.pop_all()
    return Opened(folders, database, lock)


def open_shared(settings: ServiceSettings, on_lost: Callable[[str], None], metrics: Metrics) -> Opened:
    """Open a store and its database, which other front ends may have open, too.

    Raises
    ------
    PostprocError
        If they cannot be used, or do not belong together, or a service has the database for itself.
    """
    # Here: one process on a data folder does not pay for them.
    from postproc.service.store.cached_files import CachedFolders
    from postproc.service.store.joining import check_store_settings, join_store
    from postproc.service.store.objects import ObjectStore

    with ExitStack() as opened:
        check_store_settings(url_of(settings))
        database = Database(settings, most_idle=_MOST_IDLE)
        opened.callback(database.close)
        objects = ObjectStore(settings.store or "")
        folders = CachedFolders(
            settings.data,
            settings.wait,
            objects=objects,
            database=database,
            max_bytes=settings.store_cache,
            in_use=settings.task_timeout + TASK_MARGIN,
            metrics=metrics,
        )
        opened.callback(folders.close)
        lock = patiently(lambda: lock_database(database, on_lost, is_shared=True), settings.wait)
        opened.callback(lock.close)
        join_store(database, objects)
        opened.pop_all()
    return Opened(folders, database, lock, LeasedTasks(database, settings.lease_seconds))
