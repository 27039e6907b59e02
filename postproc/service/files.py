"""The files of networks: staged, written to the disk, then put in place in one step."""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO

from postproc.disk import hold, sync
from postproc.errors import PostprocError

logger = logging.getLogger(__name__)

MODEL = "model.onnx"
NAMED = "files"  # folder of what the preprocessing names


class NetworkFolders:
    """The folders of a data folder: ``networks/<id>`` are served, ``staging/<id>`` are on their way.

    A folder gets its place after everything in it has reached the disk, and its row after that: whatever
    has a row is whole. What has none was never acknowledged, and goes at the next start.

    Parameters
    ----------
    data : Path
        The data folder; made if it is missing.

    Raises
    ------
    PostprocError
        If another service uses it.
    """

    def __init__(self, data: Path) -> None:
        self._networks, self._staging = data / "networks", data / "staging"
        for folder in (self._networks, self._staging):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(data / "lock")

    def close(self) -> None:
        """Let another service use the data folder."""
        self._lock.close()

    def sweep(self, known: Collection[str]) -> int:
        """Remove what no row knows, and return how much that was; log what rows know and is missing."""
        found = {path.name for path in self._networks.iterdir()}
        for name in set(known) - found:
            logger.error("the files of a network are missing: %s", self._networks / name)
        stray = [*self._staging.iterdir(), *(self._networks / name for name in found - set(known))]
        for path in stray:
            _remove(path)
        return len(stray)

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
        """Write a staged folder to the disk, put it in its place, and return its name."""
        for parent, _, names in os.walk(staged, topdown=False):
            for name in names:
                sync(Path(parent, name))
            sync(Path(parent))
        staged.rename(self._networks / staged.name)
        sync(self._networks)
        return staged.name

    def remove(self, name: str) -> None:
        """Remove the files of a network whose row is gone."""
        _remove(self._networks / name)

    def discard(self, staged: Path) -> None:
        """Remove what is left of an upload, if anything is."""
        _remove(staged)

    def folder(self, name: str) -> Path:
        """Return the folder of the files that the network's preprocessing names."""
        return self._networks / name / NAMED

    def model(self, name: str) -> Path:
        """Return the network's ONNX file."""
        return self._networks / name / MODEL


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    if path.exists():
        logger.warning("cannot remove %s: it is left to the next start", path)


def _lock(path: Path) -> IO[bytes]:
    """Hold a file for as long as this process lives."""
    handle = path.open("ab")
    try:
        hold(handle)
    except OSError:
        handle.close()
        raise PostprocError(
            f"another service uses the folder {path.parent}: end it, or choose another"
        ) from None
    return handle
