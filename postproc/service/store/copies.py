"""Copies of networks' files from a store: in a folder of one front end, or of all replicas of a machine."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path

from postproc.errors import PostprocError
from postproc.service.store.files import sync_all
from postproc.service.store.networks import FileEntry
from postproc.service.store.objects import ObjectStore


class Copies:
    """Folders of files that were fetched from the store, by name; from many processes at once.

    Each appears when it is whole and its digests have been checked. Those that were used least recently go
    where they take too much, with what processes left unfinished that were killed.

    Parameters
    ----------
    objects : ObjectStore
        The store.
    folder : Path
        Of the copies.
    staging : Path, optional
        Folder on the same disk of what comes and goes, by default the same one.
    max_bytes : int
        Most bytes of the copies.
    in_use : float
        Seconds after its last use in which a copy stays in any case.
    kept : collection of str
        Names of others that stay.
    count : callable
        Counts what is fetched and evicted, as `Metrics.count`.
    prefix : str
        Of the names of these counters.
    """

    def __init__(
        self,
        objects: ObjectStore,
        folder: Path,
        *,
        staging: Path | None = None,
        max_bytes: int,
        in_use: float,
        kept: Collection[str] = (),
        count: Callable[..., None],
        prefix: str,
    ) -> None:
        self._objects = objects
        self._folder, self._staging = folder, staging or folder
        self._max_bytes, self._in_use, self._kept = max_bytes, in_use, kept
        self._count, self._prefix = count, prefix

    def touch(self, name: str) -> bool:
        """Note that a copy is used; return whether there is one."""
        try:
            os.utime(self._folder / name)
        except FileNotFoundError:
            return False
        return True

    def fetch(self, name: str, entries: Sequence[FileEntry]) -> Path:
        """Return the folder of a network's files, which are fetched where they are not here.

        Raises
        ------
        StoreAwayError
            If the store does not answer.
        DamagedError
            If it lacks them.
        """
        target = self._folder / name
        if not self.touch(name):
            staged = Path(tempfile.mkdtemp(prefix=".", dir=self._staging))
            outcome = "error"
            try:
                for entry in entries:
                    path = staged / entry.path
                    path.parent.mkdir(parents=True, exist_ok=True)
                    self._objects.fetch(entry.digest, path)
                    self._count(f"{self._prefix}_file_fetch_bytes", entry.size)
                sync_all(staged)  # a copy is not checked again
                outcome = "success"
                with suppress(OSError):  # another process was faster
                    staged.rename(target)
            finally:
                self._count(f"{self._prefix}_file_fetches", outcome=outcome)
                shutil.rmtree(staged, ignore_errors=True)
            os.utime(target)
            self.evict()
        return target

    def evict(self) -> None:
        """Remove the copies that were used least recently, beyond the limit."""
        found = []
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # another thread or process removes it
                size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
                found.append((path.stat().st_mtime, size, path))
        total = sum(size for _, size, _ in found)
        for used, size, path in sorted(found):
            if total <= self._max_bytes or time.time() - used < self._in_use:
                return
            if path.name in self._kept:
                continue
            with suppress(OSError):  # in one step: what is there by its name is whole
                gone = path.rename(self._staging / f".{uuid.uuid4().hex}")
                self._count(f"{self._prefix}_file_evictions")
                shutil.rmtree(gone, ignore_errors=True)
            total -= size


def folder_for_all(folder: Path | None) -> Path:
    """Make the folder that processes of this user share, by default one among the system's temporary files.

    Raises
    ------
    PostprocError
        If others may write to it.
    """
    folder = folder or Path(tempfile.gettempdir()) / f"postproc-networks-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PostprocError(f"{folder} has to be a folder that this user alone may write to")
    return folder
