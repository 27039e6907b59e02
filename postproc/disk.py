"""Files that have reached the disk, and files that one process holds."""

from __future__ import annotations

import os
import sys
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
