"""The files of networks: staged, written to the disk, then put in place in one step."""

from __future__ import annotations

import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from postproc.disk import sync
from postproc.service.store.locks import lock_file, patiently
from postproc.service.store.networks import FileEntry

logger = logging.getLogger(__name__)

MODEL = "model.onnx"
NAMED = "files"  # folder of what the preprocessing names
_MARK = "unsettled"  # beside them, while the row comes or goes


class NetworkFolders:
    """The folders of a data folder: ``networks/<id>`` are served, ``staging/<id>`` are on their way.

    A folder gets its place after everything in it has reached the disk, and its row after that: whatever
    has a row is whole. While a folder and its row come or go it is marked, so that the next start can tell
    what an upload or a deletion left from a network whose row is in another database, or in a newer backup.
    What a start sweeps goes to ``swept/<id>`` first.

    Parameters
    ----------
    data : Path
        The data folder; made if it is missing, for this user alone.
    wait : float
        Seconds to wait for another service that uses it to end.

    Raises
    ------
    PostprocError
        If another service uses it.
    """

    def __init__(self, data: Path, wait: float = 0.0) -> None:
        # Whatever the umask is: who can read here has the tenants' results, and who can write the service.
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._networks, self._staging, self._swept = data / "networks", data / "staging", data / "swept"
        for folder in (self._networks, self._staging, self._swept):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = patiently(lambda: lock_file(data / "lock", f"the folder {data}"), wait)

    @property
    def is_away(self) -> bool:
        """Whether the files cannot be asked for now."""
        return False

    def close(self) -> None:
        """Let another service use the data folder."""
        self._lock.close()

    def names(self) -> set[str]:
        """Return the names of the networks' folders that are there."""
        return {path.name for path in self._networks.iterdir()}

    def missing(self, known: Iterable[str]) -> list[str]:
        """Return which of these networks have no model."""
        return sorted(name for name in known if not self.model(name).is_file())

    def sweep(self, known: Collection[str], *, take_all: bool = False) -> int:
        """Move aside what uploads and deletions left unfinished, and return how much that was.

        What a row knows comes back if it was swept before: the database may be an older backup. What no row
        knows, and no upload or deletion left, stays where it is.

        Parameters
        ----------
        known : collection of str
            The folders that have a row.
        take_all : bool
            Move everything aside that has none.
        """
        found = self.names()
        for name in set(known) - found:
            if (self._swept / name).is_dir():
                (self._swept / name).rename(self._networks / name)
                logger.warning("the files of a network came back from %s", self._swept / name)
        stray = list(self._staging.iterdir())
        unknown: list[Path] = []
        for name in found - set(known):
            path = self._networks / name
            (stray if take_all or (path / _MARK).exists() else unknown).append(path)
        for name in known:
            self.settle(name)
        for path in stray:
            self._set_aside(path)
        if unknown:
            logger.warning(
                "%d folders in %s are of no network of this database, such as an older backup; they stay",
                len(unknown),
                self._networks,
            )
        return len(stray)

    def expire(self, seconds: float, known: Collection[str]) -> None:
        """Remove what was swept longer than this ago; what a row knows is kept for the next start."""
        for path in self._swept.iterdir():
            if path.name not in known and time.time() - path.lstat().st_mtime > seconds:
                _remove(path)

    def stage(self) -> Path:
        """Make a folder for the files of an upload."""
        folder = self._staging / uuid.uuid4().hex
        folder.mkdir()
        return folder

    def arrange(self, staged: Path, model: Path, named: Mapping[str, Path]) -> None:
        """Give the files of an upload the names by which they are used.

        Raises
        ------
        OSError
            If a name that the preprocessing gives cannot be that of a file.
        """
        folder = staged / NAMED
        folder.mkdir()
        for name, path in named.items():
            target = folder / name  # the schema lets no absolute path pass, and no ".."
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
        model.rename(staged / MODEL)

    def publish(self, staged: Path) -> str:
        """Write a staged folder to the disk, put it in its place, and return its name; `settle` it later."""
        (staged / _MARK).touch()
        sync_all(staged)
        staged.rename(self._networks / staged.name)
        sync(self._networks)
        return staged.name

    def entries(self, name: str) -> Sequence[FileEntry]:
        """Return the files of a network as a store has them; none here, where there is no store."""
        return ()

    def fetch(self, network_id: int, name: str) -> None:
        """Have the files of a network at hand, which they are here."""

    def gone(self, known: Callable[[], Collection[str]]) -> Sequence[int]:
        """Return the ids of networks that were deleted elsewhere: none here, where nobody else deletes."""
        return ()

    def mark(self, name: str) -> None:
        """Note on the disk that the row of a network is about to go."""
        folder = self._networks / name
        if folder.is_dir():
            (folder / _MARK).touch()
            sync(folder)

    def settle(self, name: str) -> None:
        """Note that a network has its row."""
        (self._networks / name / _MARK).unlink(missing_ok=True)

    def set_aside(self, name: str) -> None:
        """Take the files of a network that got no row away; should it have one, the next start finds them."""
        self._set_aside(self._networks / name)

    def remove(self, name: str) -> None:
        """Remove the files of a network whose row is gone."""
        self._remove_at_once(self._networks / name)

    def discard(self, staged: Path) -> None:
        """Remove what is left of an upload, if anything is; in one step, where it is being published."""
        self._remove_at_once(staged)

    def folder(self, name: str) -> Path:
        """Return the folder of the files that the network's preprocessing names."""
        return self._networks / name / NAMED

    def model(self, name: str) -> Path:
        """Return the network's ONNX file."""
        return self._networks / name / MODEL

    def _remove_at_once(self, path: Path) -> None:
        removed = self._staging / f"{path.name}.removed"  # half a network never looks like one
        try:
            path.rename(removed)
        except FileNotFoundError:
            return
        except OSError:
            logger.exception("cannot remove the files of a network: they are left to the next start")
            return
        _remove(removed)

    def _set_aside(self, path: Path) -> None:
        try:
            target = path.rename(self._swept / path.name)
            os.utime(target)  # from now on
        except OSError:
            logger.exception("cannot move %s aside: it is left to the next start", path)


def sync_all(folder: Path) -> None:
    """Wait until a folder, and all in it, is on the disk."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            sync(Path(parent, name))
        sync(Path(parent))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    if path.exists():
        logger.warning("cannot remove %s: it is left to the next start", path)
