"""The store of network files that front ends share: objects by the SHA-256 digest of their content.

The library is obstore, the Python side of the Rust crate object_store: S3, Google Cloud, Azure and folders in
one wheel of 5 MB without further packages, each object written as a whole or not at all. fsspec would bring
s3fs, aiobotocore and aiohttp, which hold botocore back, and writes files in place.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from postproc.disk import sync
from postproc.errors import PostprocError
from postproc.installing import install
from postproc.service.store.outages import StoreAwayError

logger = logging.getLogger(__name__)

_RECORD = "postproc.json"
_FILES = "sha256"
_CHUNK = 1 << 20
# Within what a request waits for; whoever asked tries again.
_RETRIES = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {
        "init_backoff": timedelta(seconds=0.1),
        "max_backoff": timedelta(seconds=1),
        "base": 2,
    },
}
_LIMITS = {"connect_timeout": "3s", "timeout": "60s"}
_SHORT_LIMITS = {"connect_timeout": "3s", "timeout": "5s"}  # of the record, by which it is seen to be there


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
        try:
            import obstore
            from obstore.exceptions import BaseError
            from obstore.store import from_url
        except ImportError as error:
            raise ImportError(f"--store needs its extra: {install('store')} ({error})") from error
        parts = urlsplit(url)
        if parts.scheme not in ("s3", "gs", "az", "file") or "@" in parts.netloc:
            raise PostprocError(
                "store: expected s3://bucket/prefix or file:///folder, with keys in the environment and not "
                f"in the URL, got the scheme {parts.scheme!r}"
            )
        self._folder: Path | None = None
        given: dict[str, Any] = {"retry_config": _RETRIES, "client_options": _options_of(url, _LIMITS)}
        short: dict[str, Any] = {
            "retry_config": {**_RETRIES, "max_retries": 0},
            "client_options": _options_of(url, _SHORT_LIMITS),
        }
        if parts.scheme == "file":
            self._folder = Path(unquote(parts.path))
            if parts.netloc or not self._folder.is_absolute():
                raise PostprocError(f"store: expected file:///folder, of an absolute path, got {url!r}")
            given = short = {"mkdir": True, "automatic_cleanup": True}
        self.url = url
        self._obstore: Any = obstore
        self._errors = (BaseError, OSError)
        try:
            self._store: Any = from_url(url, **given)
            self._probed: Any = from_url(url, **short)
        except self._errors as error:
            raise PostprocError(f"store: cannot open {url!r}: {_reason(error)}") from None

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
        yield from self._obstore.get(self._store, _name(digest)).stream(min_chunk_size=_CHUNK)

    def _explained(self) -> _Explained:
        return _Explained(self.url, self._errors)


class _Explained:
    """Tells errors of a store: what it has not is a FileNotFoundError, all else that it is away."""

    def __init__(self, url: str, errors: tuple[type[BaseException], ...]) -> None:
        self._url, self._errors = url, errors

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FileNotFoundError) or not isinstance(error, self._errors):
            return
        if getattr(error, "errno", None) is not None:  # of this machine's disk
            return
        raise StoreAwayError(f"the store {self._url} does not answer: {_reason(error)}") from None


def digest_of(path: Path) -> str:
    """Return the SHA-256 digest of a file, as hexadecimal digits."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def _name(digest: str) -> str:
    return f"{_FILES}/{digest[:2]}/{digest}"


def _options_of(url: str, limits: dict[str, str]) -> dict[str, Any]:
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT") or ""
    # Without TLS only where the operator names such an endpoint.
    return {**limits, "allow_http": url.startswith("s3:") and endpoint.startswith("http://")}


def _reason(error: BaseException) -> str:
    """Return the first paragraph, in one line: obstore adds a dump of the Rust error."""
    return " ".join(str(error).partition("\n\n")[0].split())
