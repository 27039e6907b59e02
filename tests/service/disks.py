"""Disks that are full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MEBIBYTES = 24
_SECONDS = 20


def can_mount() -> bool:
    """Whether this user may mount a file system of his own."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and Path("/proc/filesystems").is_file()


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system of a few megabytes in memory."""
    folder.mkdir()
    size = f"size={_MEBIBYTES}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=True, timeout=_SECONDS)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True, timeout=_SECONDS)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Leave no room on the disk of a folder, as long as the block lasts."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:  # it is full
            pass
    try:
        yield
    finally:
        ballast.unlink()
