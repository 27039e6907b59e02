"""What this package was made of: the sources of its kernels, in folders or an archive."""

from __future__ import annotations

import functools
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
        compiled = (path for path in folder.rglob("*.pyc") if path.parent.name != "__pycache__")
        for path in sorted(folder.rglob("*.py")) or sorted(compiled):
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
