"""The files of networks in a store that front ends share, and this one's copies of what it uses."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path

from postproc.service.errors import InputError, RefusedError
from postproc.service.metrics import Metrics
from postproc.service.store.copies import Copies
from postproc.service.store.database import Database
from postproc.service.store.files import NetworkFolders, sync_all
from postproc.service.store.networks import FileEntry, NetworkStore
from postproc.service.store.objects import DamagedError, ObjectStore, entries_of
from postproc.service.store.outages import StoreAwayError

logger = logging.getLogger(__name__)

_FETCHERS = 4
_PATIENCE = 4.0  # seconds that a request waits for files; the vendor's client waits for 8
_CHECK_SECONDS = 600.0  # between two listings of the store
_LEAST_AGE = 3600.0  # seconds that an object without a row stays, however short the operator's time
_UPLOADS = "objects"  # the lock: uploads share it, and who removes objects has it alone


class CachedFolders(NetworkFolders):
    """The folders of `NetworkFolders`, as copies of what the store has.

    A network's files are in the store before it has its row, and are there for every front end from then on.
    Here they come when a request needs them, are checked by their digests, and go when they were used least
    recently and take more than the limit. Objects of no network go from the store after a time, so that a
    restored backup of the database finds its files.

    Parameters
    ----------
    data : Path
        The folder of the copies, this front end's own.
    wait : float
        As of `NetworkFolders`.
    objects : ObjectStore
        The store.
    database : Database
        Which names the files.
    max_bytes : int
        Most bytes of the copies.
    in_use : float
        Seconds after its last use in which a copy stays in any case.
    metrics : Metrics
        Counts what is fetched and evicted.
    """

    def __init__(
        self,
        data: Path,
        wait: float,
        *,
        objects: ObjectStore,
        database: Database,
        max_bytes: int,
        in_use: float,
        metrics: Metrics,
    ) -> None:
        super().__init__(data, wait)
        self._objects, self._database = objects, database
        self._rows = NetworkStore(database)
        self._lock_of_fetches = threading.Lock()
        self._fetches: dict[str, Future[None]] = {}
        self._fetchers = ThreadPoolExecutor(_FETCHERS, "postproc-store")
        self._ids: dict[str, int] = {}  # of the networks whose copies were used
        # Folders that have no row yet, and what is held meanwhile.
        self._publishing: dict[str, ExitStack] = {}
        self._entries: dict[str, list[FileEntry]] = {}
        self._lacking: set[str] = set()  # networks whose files the store has not
        self._checked = -_CHECK_SECONDS
        self._is_away = False
        self._copies = Copies(
            objects,
            self._networks,
            staging=self._staging,
            max_bytes=max_bytes,
            in_use=in_use,
            kept=self._publishing,
            count=metrics.count,
            prefix="postproc",
        )

    @property
    def is_away(self) -> bool:
        """Whether the store did not answer when it was asked last."""
        return self._is_away

    def close(self) -> None:
        """Let another front end use the folder."""
        self._fetchers.shutdown(wait=False, cancel_futures=True)
        super().close()

    def sweep(self, known: Collection[str], *, take_all: bool = False) -> int:
        """Remove copies of what is no longer known, and what the last run left unfinished."""
        for path in self._staging.iterdir():
            self.discard(path)
        for name in self.names() - set(known):
            self.remove(name)
        return 0

    def missing(self, known: Iterable[str]) -> list[str]:
        """Return which of these networks lack files in the store, as it was seen last."""
        return sorted(self._lacking & set(known))

    def expire(self, seconds: float, known: Collection[str]) -> None:
        """Look whether the store answers, keep the copies within their limit, and now and then tidy up."""
        try:
            self._objects.check()
            if time.monotonic() - self._checked >= _CHECK_SECONDS:
                self._check(max(seconds, _LEAST_AGE))
                self._checked = time.monotonic()
        except StoreAwayError as error:
            if not self._is_away:
                logger.error("%s", error)
            self._is_away = True
        else:
            if self._is_away:
                logger.warning("the store answers again")
            self._is_away = False
        self._copies.evict()

    def publish(self, staged: Path) -> str:
        """Put the files of an upload into the store, and return the folder's name; `settle` it later."""
        name = staged.name
        held = ExitStack()
        try:
            # From now on nobody removes an object that another upload had left.
            held.enter_context(self._database.agreed(_UPLOADS, is_shared=True))
            entries = entries_of(staged)
            self._objects.check()
            for entry in entries:
                # Also in the place of one, which may be damaged.
                self._objects.put(staged / entry.path, entry.digest)
            sync_all(staged)
            self._publishing[name], self._entries[name] = held, entries
            staged.rename(self._networks / name)
        except BaseException:
            self._publishing.pop(name, None)
            self._entries.pop(name, None)
            held.close()
            raise
        return name

    def entries(self, name: str) -> Sequence[FileEntry]:
        """Return what `publish` has put into the store."""
        return self._entries[name]

    def mark(self, name: str) -> None:
        """Do nothing: what has no row in the end goes by itself."""

    def settle(self, name: str) -> None:
        """Note that a network has its row."""
        self._entries.pop(name, None)
        held = self._publishing.pop(name, None)
        if held is not None:
            held.close()

    def set_aside(self, name: str) -> None:
        """Remove the copy of a network that got no row."""
        self.settle(name)
        self.remove(name)

    def discard(self, staged: Path) -> None:
        """Remove what is left of an upload, which has ended, however it did."""
        self.settle(staged.name)
        super().discard(staged)

    def fetch(self, network_id: int, name: str) -> None:
        """Have the files of a network here, fetched where they are not; waits for some seconds at most.

        Raises
        ------
        ApiError
            A 503 where the store is away, or the files take longer to come.
        InputError
            If the store lacks them.
        """
        self._ids[name] = network_id
        with self._lock_of_fetches:
            fetch = self._fetches.get(name)
            if fetch is None:
                if self._copies.touch(name):
                    return
                fetch = self._fetches[name] = self._fetchers.submit(self._fetch, name)
                fetch.add_done_callback(lambda _: self._fetches.pop(name, None))
        try:
            fetch.result(_PATIENCE)
        except NotYet:
            raise _later("the network's files are on their way from the store; send this again") from None
        except StoreAwayError as error:
            logger.warning("%s", error)
            raise _later("the store of network files does not answer; send this again later") from None
        except DamagedError as error:
            logger.error("the files of network %d cannot be had: %s", network_id, error)
            self._lacking.add(name)
            raise InputError("network", "its files cannot be read; upload the network again") from None

    def gone(self, known: Callable[[], Collection[str]]) -> Sequence[int]:
        """Remove the copies of networks that have no row any more, and return the ids of those used."""
        found = (self.names() | set(self._ids)) - set(self._publishing)
        found -= set(known())  # read after: what has got its row in between is among them
        for name in found:
            self.remove(name)
        return [self._ids.pop(name) for name in found if name in self._ids]

    def _fetch(self, name: str) -> None:
        entries = self._rows.files(name)
        if not entries:
            raise DamagedError(f"the database names no files of {name}")
        self._copies.fetch(name, entries)

    def _check(self, seconds: float) -> None:
        """Look which networks lack files, and remove objects of none that are older than this."""
        needed = self._rows.digests()  # first: what came in between would seem to lack its files
        found = {item.digest: item for item in self._objects.all()}
        self._lacking = set().union(*(needed[digest] for digest in needed.keys() - found.keys()))
        limit = datetime.now(timezone.utc) - timedelta(seconds=seconds)
        old = {digest for digest in found.keys() - needed.keys() if found[digest].modified < limit}
        if not old:
            return  # and no upload waits
        with self._database.agreed(_UPLOADS, waits=False) as is_alone:
            if is_alone:  # else an upload is under way; the next turn will do
                for digest in old - self._rows.digests().keys():
                    self._objects.remove(digest)


def _later(message: str) -> RefusedError:
    return RefusedError(message, "files", 2.0)
