"""Disks that are full."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CAP_SYS_ADMIN = 21  # the bit of the capability that mount(2) needs
_MEBIBYTES = 24
_SECONDS = 20


def can_mount() -> bool:
    """Whether this process may mount a file system; root in a container often may not."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return False
    found = re.search(r"^CapEff:\s+([0-9a-f]+)$", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> _CAP_SYS_ADMIN & 1)


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
