"""What this package was made of: the sources of its kernels, in folders or an archive."""

from __future__ import annotations

import functools
import hashlib
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


@functools.cache
def content_digest() -> str:
    """Digest of all that kernels are made of here."""
    return _digest(contents(archive()))


def source_digest() -> str | None:
    """Digest of the kernels' sources; None where none were installed, as in a program of PyInstaller's."""
    if archive() is not None or not _files(Path(__file__).parent, ".py"):
        return None
    return content_digest()


def _digest(contents: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for content in contents:
        digest.update(content)
    return digest.hexdigest()[:16]


def contents(source: Path | None) -> Iterator[bytes]:
    """Yield what differs where the kernels do, of the archive that holds them or of their folder."""
    folder = Path(__file__).parent
    if source is None:
        # An install without sources has compiled modules in their place.
        for path in _files(folder, ".py") or _files(folder, ".pyc"):
            name = path[len(str(folder)) + 1 :].replace(os.sep, "/")
            with open(path, "rb") as file:
                yield name.encode() + b"\0" + file.read() + b"\0"
    elif zipfile.is_zipfile(source):
        inside = folder.relative_to(source).as_posix()
        with zipfile.ZipFile(source) as whole:
            for entry in whole.infolist():
                if entry.filename.startswith(f"{inside}/"):
                    yield f"{entry.filename} {entry.CRC} {entry.file_size}\n".encode()
    else:  # of PyInstaller's, which may be gigabytes
        found = source.stat()
        yield f"{found.st_size} {found.st_mtime_ns}".encode()


def _files(folder: Path, suffix: str) -> list[str]:
    """List files of a suffix, but for what others keep and remove beside sources: caches, hidden files."""
    found: list[str] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__" and name[0] != "."]
        found += [os.path.join(parent, name) for name in names if name.endswith(suffix) and name[0] != "."]
    return sorted(found)
