"""Files of the cache of compiled kernels: whole, and nobody else's."""

from __future__ import annotations

import pickle
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numba.core.caching import IndexDataCacheFile

from ._trusted_paths import TrustedDirectory

_CHECKSUM = 4  # bytes


class CheckedFiles(IndexDataCacheFile):
    """The index and the code of a function, each behind a checksum, in a directory that is trusted.

    Without a checksum a flipped bit is machine code that runs, and half an object file ends the process in
    LLVM.
    """

    def __init__(self, directory: Path, filename_base: str, source_stamp: str) -> None:
        super().__init__(str(directory), filename_base, source_stamp)
        self._directory = trusted(directory)

    def _load_index(self) -> dict[Any, str]:
        try:
            version, stamp, overloads = self._read(self._index_name)
        except FileNotFoundError:
            return {}
        if (version, stamp) != (self._version, self._source_stamp):
            return {}
        found: dict[Any, str] = overloads
        return found

    def _save_index(self, overloads: dict[Any, str]) -> None:
        self._write(self._index_name, (self._version, self._source_stamp, overloads))

    def _load_data(self, name: str) -> Any:
        return self._read(name)

    def _save_data(self, name: str, data: Any) -> None:
        self._write(name, data)

    def _read(self, name: str) -> Any:
        content = memoryview(self._directory.read(name))
        checksum, data = content[:_CHECKSUM], content[_CHECKSUM:]
        if checksum != zlib.crc32(data).to_bytes(_CHECKSUM, "little"):
            raise ValueError(f"{self._data_path(name)} is damaged: its checksum differs")
        return pickle.loads(data)

    def _write(self, name: str, content: Any) -> None:
        data = self._dump(content)
        self._directory.write(name, (zlib.crc32(data).to_bytes(_CHECKSUM, "little"), data))


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


def trusted(directory: Path) -> TrustedDirectory:
    """Return the directory as one that is trusted where the owner of this package is."""
    return TrustedDirectory(directory, archive() or Path(__file__))
