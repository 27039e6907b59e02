"""Files of the cache of compiled kernels: whole, and nobody else's."""

from __future__ import annotations

import pickle
import zlib
from typing import Any

from numba.core.caching import IndexDataCacheFile

from ._trusted_paths import TrustedDirectory

_CHECKSUM = 4  # bytes


class CheckedFiles(IndexDataCacheFile):
    """The index and the code of a function in a directory that is open, each behind a checksum.

    Without one a flipped bit is machine code that runs, and half an object file ends the process in LLVM.
    """

    def __init__(self, directory: TrustedDirectory, filename_base: str, source_stamp: str) -> None:
        super().__init__(directory.path, filename_base, source_stamp)
        self._directory = directory

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
            raise ValueError(f"{self._directory.path / name} is damaged: its checksum differs")
        return pickle.loads(data)

    def _write(self, name: str, content: Any) -> None:
        data = self._dump(content)
        self._directory.write(name, (zlib.crc32(data).to_bytes(_CHECKSUM, "little"), data))
