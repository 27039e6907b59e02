"""Copies of networks' files on a machine of a cluster, which its replicas share."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from postproc.errors import PostprocError
from postproc.service.on_ray.messages import NetworkSource
from postproc.service.store.files import sync_all
from postproc.service.store.objects import ObjectStore


class Copies:
    """Folders of files that were fetched from the store, by what is in them; from many processes at once.

    Each appears when it is whole and its digests have been checked. Those that were used least recently go
    where they take too much, with what replicas left unfinished that were killed.

    Parameters
    ----------
    objects : ObjectStore
        The store.
    folder : Path, optional
        Of the copies; by default one of this user's among the system's temporary files.
    max_bytes : int
        Most bytes of the copies.
    in_use : float
        Seconds after its last use in which a copy stays in any case.
    count : callable, optional
        Counts what is fetched and evicted, as `Metrics.count`.

    Raises
    ------
    PostprocError
        If others may write to the folder.
    """

    def __init__(
        self,
        objects: ObjectStore,
        folder: Path | None,
        *,
        max_bytes: int,
        in_use: float,
        count: Callable[..., None] = lambda name, amount=1, **labels: None,
    ) -> None:
        self._objects = objects
        self._folder = folder or Path(tempfile.gettempdir()) / f"postproc-networks-{os.getuid()}"
        self._max_bytes, self._in_use, self._count = max_bytes, in_use, count
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self._folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
            raise PostprocError(f"{self._folder} has to be a folder that this user alone may write to")

    def fetch(self, source: NetworkSource) -> Path:
        """Return the folder of a network's files, which are fetched where they are not here.

        Raises
        ------
        StoreAwayError
            If the store does not answer.
        DamagedError
            If it lacks them.
        """
        target = self._folder / source.key
        if not _touch(target):
            staged = Path(tempfile.mkdtemp(prefix=".", dir=self._folder))
            outcome = "error"
            try:
                for entry in source.entries:
                    path = staged / entry.path
                    path.parent.mkdir(parents=True, exist_ok=True)
                    self._objects.fetch(entry.digest, path)
                    self._count("postproc_replica_file_fetch_bytes", entry.size)
                sync_all(staged)
                outcome = "success"
                with suppress(OSError):  # another replica was faster
                    staged.rename(target)
            finally:
                self._count("postproc_replica_file_fetches", outcome=outcome)
                shutil.rmtree(staged, ignore_errors=True)
            os.utime(target)
            self._evict()
        return target

    def _evict(self) -> None:
        found = []
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # another replica does the same
                size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
                found.append((path.stat().st_mtime, size, path))
        total = sum(size for _, size, _ in found)
        for used, size, path in sorted(found):
            if total <= self._max_bytes or time.time() - used < self._in_use:
                return
            with suppress(OSError):  # in one step: what is there by its name is whole
                gone = path.rename(path.with_name(f".{uuid.uuid4().hex}"))
                self._count("postproc_replica_file_evictions")
                shutil.rmtree(gone, ignore_errors=True)
            total -= size


def _touch(path: Path) -> bool:
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True
