"""The store of network files that front ends share: objects by the SHA-256 digest of their content."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from postproc.disk import sync
from postproc.errors import PostprocError
from postproc.service.store.networks import FileEntry
from postproc.service.store.outages import StoreAwayError
from postproc.stores import CHUNK, StoredPath, explained, open_store

logger = logging.getLogger(__name__)

_RECORD = "postproc.json"
_FILES = "sha256"


class DamagedError(PostprocError):
    """A file is not in the store, or not as it was when it came."""


class StoreRecord(BaseModel):
    """What a store knows of its database.

    Parameters
    ----------
    id : str
        The identity, which the database has too.
    is_joined : bool
        Whether the database knows it; False only while the first start writes both.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    is_joined: bool


@dataclass(frozen=True)
class StoredObject:
    """An object of a listing."""

    digest: str
    modified: datetime
    size: int


class ObjectStore:
    """Objects that are whole, and never change.

    Parameters
    ----------
    url : str
        ``s3://bucket/prefix`` (or ``gs://``, ``az://``), whose keys are in the variables of the environment
        that the vendors name (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``, ...), or ``file:///folder``.

    Raises
    ------
    PostprocError
        If it is no such URL.
    """

    def __init__(self, url: str) -> None:
        self._store = open_store(url)
        self._probed = open_store(url, is_short=True)  # for the record, by which it is seen to be there
        import obstore

        self.url = url
        self._obstore: Any = obstore
        self._folder = StoredPath(url).local

    def check(self) -> None:
        """Make sure that it answers, and is there: a folder that is not mounted looks like an empty one.

        Raises
        ------
        StoreAwayError
            If it is not.
        """
        if self.record() is None:
            raise StoreAwayError(f"the store {self.url} does not have its {_RECORD}: is it mounted?")

    def put(self, path: Path, digest: str) -> None:
        """Keep the content of a file whose digest is known; it appears when it is whole."""
        name = _name(digest)
        with self._explained():
            self._obstore.put(self._store, name, path)
        if self._folder is not None:
            sync(self._folder / name)
            sync((self._folder / name).parent)

    def has(self, digest: str) -> bool:
        """Tell whether an object is there and whole; reads all of it."""
        found = hashlib.sha256()
        try:
            with self._explained():
                for chunk in self._chunks(digest):
                    found.update(chunk)
        except FileNotFoundError:
            return False
        return found.hexdigest() == digest

    def fetch(self, digest: str, target: Path) -> None:
        """Write an object to a file.

        Raises
        ------
        DamagedError
            If there is none, or its content has another digest: nothing is left of it then.
        StoreAwayError
            If the store does not answer.
        """
        found = hashlib.sha256()
        try:
            with self._explained(), target.open("wb") as file:
                for chunk in self._chunks(digest):
                    found.update(chunk)
                    file.write(chunk)
        except FileNotFoundError:
            target.unlink(missing_ok=True)
            self.check()
            raise DamagedError(f"the store {self.url} has no object {_name(digest)}") from None
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        if found.hexdigest() != digest:
            target.unlink(missing_ok=True)
            raise DamagedError(
                f"the object {_name(digest)} of the store {self.url} is damaged: its digest is "
                f"{found.hexdigest()}"
            )

    def all(self) -> Iterator[StoredObject]:
        """Yield all objects."""
        with self._explained():
            for batch in self._obstore.list(self._store, prefix=_FILES):
                for item in batch:
                    yield StoredObject(
                        item["path"].rpartition("/")[2], item["last_modified"], int(item["size"])
                    )

    def remove(self, digest: str) -> None:
        """Remove an object."""
        with self._explained():
            self._obstore.delete(self._store, _name(digest))

    def record(self) -> StoreRecord | None:
        """Return what it knows of its database; None before the first start."""
        try:
            with self._explained():
                content = bytes(self._obstore.get(self._probed, _RECORD).bytes())
            return StoreRecord.model_validate_json(content)
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise PostprocError(
                f"{_RECORD} of the store {self.url} is damaged ({error.errors()[0]['msg']}): restore it"
            ) from None

    def write_record(self, record: StoreRecord) -> None:
        """Write down which database it belongs to."""
        with self._explained():
            self._obstore.put(self._store, _RECORD, record.model_dump_json().encode())

    def _chunks(self, digest: str) -> Iterator[Any]:
        yield from self._obstore.get(self._store, _name(digest)).stream(min_chunk_size=CHUNK)

    def _explained(self) -> AbstractContextManager[None]:
        return explained(self.url, StoreAwayError, "")


def digest_of(path: Path) -> str:
    """Return the SHA-256 digest of a file, as hexadecimal digits."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def entries_of(folder: Path) -> list[FileEntry]:
    """Return the files in a folder, as a store has them; reads all of them."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        FileEntry(path.relative_to(folder).as_posix(), digest_of(path), path.stat().st_size) for path in paths
    ]


def _name(digest: str) -> str:
    return f"{_FILES}/{digest[:2]}/{digest}"
