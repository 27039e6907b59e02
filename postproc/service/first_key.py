"""The API key that the first start makes, on its way to the operator: never into the log, which is kept."""

from __future__ import annotations

import os
from pathlib import Path

from postproc.disk import sync
from postproc.errors import PostprocError
from postproc.service.settings import KEY_VARIABLE

FIRST_KEY = "first-key"  # in the data folder


def write_first_key(data: Path, key: str) -> Path:
    """Write a key to a file of the data folder that its owner alone may read, and return its path.

    The file holds the key and a newline. One that is there already is of a start that ended before its key
    was valid, or of keys that were all removed: it is replaced.

    Raises
    ------
    PostprocError
        If it cannot be written; nothing is left of it then.
    """
    path = data / FIRST_KEY
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
    try:
        path.unlink(missing_ok=True)
        with open(os.open(path, flags, 0o600), "wb") as file:
            try:
                if hasattr(os, "fchmod"):  # not on Windows; whatever the umask
                    os.fchmod(file.fileno(), 0o600)
                file.write(key.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                path.unlink(missing_ok=True)
                raise
        sync(data)
    except OSError as error:
        raise PostprocError(
            f"cannot write the first API key to {path}: {error.strerror}; make that possible, or give a key "
            f"by the environment variable {KEY_VARIABLE}"
        ) from None
    return path
