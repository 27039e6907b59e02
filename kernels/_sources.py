"""What this package was made of: the sources of its kernels, in folders or an archive."""

from __future__ import annotations

import functools
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path


@functools.cache
def archive() -> Path | None:
    """File that holds this package where it lies in no folder: a zip, or an executable of PyInstaller's."""
    if getattr(sys, "frozen", False):
        return Path(sys.executable)
    return next((path for path in Path(__file__).parents if path.is_file()), None)


def contents(source: Path | None) -> Iterator[bytes]:
    """Yield what differs where the kernels do, of the archive that holds them or of their folder."""
    folder = Path(__file__).parent
    if source is None:
        # An install without sources has compiled modules in their place.
        for path in _files(folder, ".py") or _files(folder, ".pyc"):
            name = path.relative_to(folder).as_posix()
            yield name.encode() + b"\0" + path.read_bytes() + b"\0"
    elif zipfile.is_zipfile(source):
        inside = folder.relative_to(source).as_posix()
        with zipfile.ZipFile(source) as file:
            for entry in file.infolist():
                if entry.filename.startswith(f"{inside}/"):
                    yield f"{entry.filename} {entry.CRC} {entry.file_size}\n".encode()
    else:  # of PyInstaller's, which may be gigabytes
        found = source.stat()
        yield f"{found.st_size} {found.st_mtime_ns}".encode()


def _files(folder: Path, suffix: str) -> list[Path]:
    """List files of a suffix, but for those that are cached beside sources: others may be removing them."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        found += [Path(parent, name) for name in names if name.endswith(suffix)]
    return sorted(found)
