"""Files of the cache of compiled kernels: whole, and nobody else's."""

from __future__ import annotations

import os
import pickle
import stat
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numba.core.caching import IndexDataCacheFile

_CHECKSUM = 4  # bytes


class CheckedFiles(IndexDataCacheFile):
    """The index and the code of a function, each behind a checksum.

    Without one a flipped bit is machine code that runs, and half an object file ends the process in LLVM.
    """

    def _load_index(self) -> dict[Any, str]:
        try:
            version, stamp, overloads = self._read(Path(self._index_path))
        except FileNotFoundError:
            return {}
        if (version, stamp) != (self._version, self._source_stamp):
            return {}
        found: dict[Any, str] = overloads
        return found

    def _save_index(self, overloads: dict[Any, str]) -> None:
        self._write(self._index_path, (self._version, self._source_stamp, overloads))

    def _load_data(self, name: str) -> Any:
        return self._read(Path(self._data_path(name)))

    def _save_data(self, name: str, data: Any) -> None:
        self._write(self._data_path(name), data)

    def _read(self, path: Path) -> Any:
        content = memoryview(path.read_bytes())
        checksum, data = content[:_CHECKSUM], content[_CHECKSUM:]
        if checksum != zlib.crc32(data).to_bytes(_CHECKSUM, "little"):
            raise ValueError(f"{path} is damaged: its checksum differs")
        return pickle.loads(data)

    def _write(self, path: str, content: Any) -> None:
        data = self._dump(content)
        with self._open_for_write(path) as file:
            file.write(zlib.crc32(data).to_bytes(_CHECKSUM, "little"))
            file.write(data)


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
        for path in sorted(folder.glob("*.py")) or sorted(folder.glob("*.pyc")):
            yield path.name.encode() + b"\0" + path.read_bytes() + b"\0"
    elif zipfile.is_zipfile(source):
        inside = folder.relative_to(source).as_posix()
        with zipfile.ZipFile(source) as file:
            for entry in file.infolist():
                if entry.filename.startswith(f"{inside}/"):
                    yield f"{entry.filename} {entry.CRC} {entry.file_size}\n".encode()
    else:  # of PyInstaller's, which may be gigabytes
        found = source.stat()
        yield f"{found.st_size} {found.st_mtime_ns}".encode()


def reason_to_distrust(directory: Path) -> str:
    """Say why code must not be loaded from a directory; nothing where it may be.

    What lies there is run. So whoever can write to it must be one who could as well change this package or
    this process: root, this user, or the owner of the package. A group may write, as in OpenShift's images.
    """
    if not hasattr(os, "geteuid"):
        return ""
    try:
        found, package = directory.stat(), (archive() or Path(__file__)).stat()
    except OSError as error:
        return f"{error.filename} cannot be looked at ({error.strerror}), nor code there be trusted"
    if found.st_uid not in (0, os.geteuid(), package.st_uid):
        return f"{directory} belongs to another user (uid {found.st_uid}), whose code would be run"
    if found.st_mode & stat.S_IWOTH:
        return f"every user may write to {directory}, and its code would be run"
    return ""
