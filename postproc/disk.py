"""Files that have reached the disk, or appear only when they are whole, and files that one process holds."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


def sync(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk."""
    if sys.platform == "win32" and path.is_dir():  # Windows opens no folders
        return
    handle = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def settle(unfinished: Path, final: Path) -> None:
    """Give a file its name, in the same folder, once all of it is on the disk."""
    sync(unfinished)
    os.replace(unfinished, final)
    sync(final.parent)  # the name is in the folder, which is a file of its own


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, which takes its name once all is written.

    If the block raises, the temporary file goes and what was at `path` stays. A link stays a link. A pipe or
    a device, such as ``/dev/stdout``, cannot be replaced: it is given itself.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".partial")
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        give_usual_mode(partial, 0o666)
        settle(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def give_usual_mode(path: Path, mode: int) -> None:
    """Give what tempfile makes private the mode of other new files."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(mode & ~mask)


def hold(file: IO[Any]) -> None:
    """Lock a file until it is closed; the system lets go of it when this process ends, however it does.

    Raises
    ------
    OSError
        If another process holds it.
    """
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
