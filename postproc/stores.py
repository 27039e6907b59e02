"""Files in stores: S3, Google Cloud, Azure, and folders, by their URLs (extra ``store``).

The library is obstore, the Python side of the Rust crate object_store: all of them in one wheel of 5 MB
without further packages, each object written as a whole or not at all. fsspec would bring s3fs, aiobotocore
and aiohttp, which hold botocore back, and writes files in place.
"""

from __future__ import annotations

import errno
import functools
import io
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import unquote

from postproc.disk import whole_file
from postproc.errors import PostprocError, StoreError
from postproc.installing import install

SCHEMES = ("s3", "gs", "az", "file")
CHUNK = 1 << 20
# Within what a request of the service waits for; whoever asked tries again.
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
# What object_store takes no path with.
_UNNAMEABLE = re.compile(r"/\.{0,2}/(?!$)|/\.{1,2}/$|[\0-\x1f\x7f\ud800-\udfff]")
_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_SHORT_LIMITS = {"connect_timeout": "3s", "timeout": "5s"}
_ADVICE = (
    "; see whether the URL, the keys in the environment (AWS_ACCESS_KEY_ID, ...: docs/scaling.md) and the "
    "network are right"
)


def is_url(text: object) -> bool:
    """Whether it is a URL, and not a path; one of a folder with such a name may begin with ``./``.

    ``s3:/`` begins no folder of that name either, but a URL that `check_url` refuses.
    """
    return re.match(rf"[A-Za-z][\w+.-]*://|({'|'.join(SCHEMES)}):/", str(text)) is not None


def open_store(url: str, *, is_short: bool = False) -> Any:
    """Open a store of obstore.

    Parameters
    ----------
    url : str
        ``s3://bucket/prefix`` (or ``gs://``, ``az://``), whose keys are in the variables of the environment
        that the vendors name (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``, ...), or ``file:///folder``.
    is_short : bool
        Whether to give up soon, as for a look whether it is there.

    Raises
    ------
    PostprocError
        If it is no such URL.
    """
    try:
        import obstore  # noqa: F401
        from obstore.store import from_url
    except ImportError as error:
        raise ImportError(f"a store needs its extra: {install('store')} ({error})") from error
    check_url(url)
    limits = _SHORT_LIMITS if is_short else _LIMITS
    given: dict[str, Any] = {
        "retry_config": {**_RETRIES, "max_retries": 0} if is_short else _RETRIES,
        "client_options": {**limits, "allow_http": _is_plain(url)},
    }
    if url.startswith("file:"):
        given = {"mkdir": True, "automatic_cleanup": True}
    try:
        return from_url(url, **given)
    except store_errors() as error:
        raise PostprocError(f"store: cannot open {url!r}: {reason(error)}") from None


def check_url(url: str) -> None:
    """Raise a `PostprocError` if it is not the URL of a store."""
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme not in SCHEMES or re.search("[@:]", bucket):
        start = "".join(re.findall(r"^[^:/]*:?/{0,2}", url))  # a secret may follow
        raise PostprocError(
            "store: expected s3://bucket/prefix or file:///folder, with keys in the environment and not "
            f"in the URL, got one that begins with {start!r}"
        )
    if scheme == "file":
        if bucket or not key.strip("/") or not Path(unquote(f"/{key}")).is_absolute():
            raise PostprocError(f"store: expected file:///folder, of an absolute path, got {url!r}")
    elif not re.fullmatch(r"[\w.-]+", bucket, re.ASCII):
        raise PostprocError(f"store: expected {scheme}://bucket/prefix, got {url!r}")
    elif _UNNAMEABLE.search(f"/{key.rstrip('/')}/"):
        raise PostprocError(
            f"store: expected names between slashes, without '.', '..' and control characters, got {url!r}"
        )


def store_errors() -> tuple[type[BaseException], ...]:
    """Give what obstore raises; of that, a FileNotFoundError is of what a store does not have."""
    from obstore.exceptions import BaseError

    return BaseError, OSError


def reason(error: BaseException) -> str:
    """Return the first paragraph, in one line, and of S3's XML the code and the message.

    obstore adds a dump of the Rust error.
    """
    text = " ".join(str(error).partition("\n\n")[0].split())
    return re.sub(r"(<\?xml.*?)?<Error>.*?<Code>(.*?)</Code>.*?<Message>(.*?)</Message>.*", r"\2: \3", text)


@contextmanager
def explained(url: str, kind: type[Exception] = StoreError, advice: str = _ADVICE) -> Iterator[None]:
    """Tell errors of a store: what it has not is a FileNotFoundError, all else that it does not answer."""
    from obstore.exceptions import AlreadyExistsError

    try:
        yield
    except store_errors() as error:
        if isinstance(error, AlreadyExistsError) or getattr(error, "errno", None) is not None:
            raise  # the latter is of this machine's disk
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url) from None
        raise kind(f"the store {url} does not answer: {reason(error)}{advice}") from None


@contextmanager
def copied(source: StoredPath, fetch: Callable[[StoredPath, Path], None] | None = None) -> Iterator[Path]:
    """Give the path of a copy on this machine, which goes at the end; errors of ours name the URL instead.

    Parameters
    ----------
    source : StoredPath
        A file.
    fetch : function, optional
        Fetches it, and what belongs to it, by default it alone.
    """
    # Windows removes no file that is in use, as weights beside a network may be.
    with tempfile.TemporaryDirectory(prefix="postproc-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / source.name
        try:
            (fetch or StoredPath.fetch)(source, path)
            yield path
        except PostprocError as error:
            texts = (str(part).replace(folder, source.folder.url) for part in error.args)
            raise type(error)(*texts) from error.__cause__


@functools.lru_cache(maxsize=16)
def _opened(url: str, *_endpoints: str | None) -> Any:
    """Open a store once, for as long as the environment says the same of it."""
    return open_store(url)


def _is_plain(url: str) -> bool:
    """Whether there is no TLS, which is so only where the operator names such an endpoint."""
    endpoint = next(filter(None, map(os.environ.get, _ENDPOINTS)), "")
    return url.startswith("s3:") and endpoint.startswith("http://")


def place_of(path: str | os.PathLike[str]) -> Path | StoredPath:
    """Give a path of this machine, or that of a store where it is a URL."""
    return path if isinstance(path, StoredPath) else StoredPath(str(path)) if is_url(path) else Path(path)


@dataclass(frozen=True, order=True, slots=True)
class StoredPath:
    """A file in a store, or all whose names begin with a folder's, by its URL.

    ``file:///folder`` is read and written by path, and needs no extra. As a path of the system it is its
    URL, which names it in results.

    Parameters
    ----------
    url : str
        As of `open_store`; slashes at its end do not count.

    Raises
    ------
    PostprocError
        If it is no such URL.
    """

    url: str

    def __post_init__(self) -> None:
        check_url(self.url)
        object.__setattr__(self, "url", self.url.rstrip("/"))

    def __str__(self) -> str:
        return self.url

    def __fspath__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> StoredPath:
        name = str(PurePosixPath(name))  # without "./"
        return StoredPath(f"{self.url}/{name if self.local is None else name.replace('%', '%25')}")

    @property
    def name(self) -> str:
        """The last part of its URL."""
        return self._pure.name

    @property
    def stem(self) -> str:
        """Its name without the ending."""
        return self._pure.stem

    @property
    def suffix(self) -> str:
        """The ending of its name, with the dot."""
        return self._pure.suffix

    @property
    def folder(self) -> StoredPath:
        """The folder that it lies in."""
        return StoredPath(self.url.rpartition("/")[0])

    def relative_to(self, folder: StoredPath) -> PurePosixPath:
        """Its path below a folder."""
        return self._pure.relative_to(folder._pure)

    @property
    def is_bucket(self) -> bool:
        """Whether it is a whole bucket, which may be a folder, and no file."""
        return "/" not in self.url.partition("://")[2]

    @property
    def local(self) -> Path | None:
        """The path of a ``file://``; None in a store."""
        scheme, _, path = self.url.partition("://")
        return Path(unquote(path)) if scheme == "file" else None

    @property
    def _pure(self) -> PurePosixPath:
        return PurePosixPath(self.local or self.url.partition("://")[2])

    def _opened(self) -> tuple[Any, Any, str]:
        """Give obstore, the store, and the file's name there."""
        scheme, _, rest = self.url.partition("://")
        bucket, _, key = rest.partition("/")
        store = _opened(f"{scheme}://{bucket}", *map(os.environ.get, _ENDPOINTS))
        import obstore

        return obstore, store, key

    def exists(self) -> bool:
        """Whether there is such a file, or a folder with something in it."""
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        """Whether there is such a file."""
        if self.local is not None:
            return self.local.is_file()
        obstore, store, key = self._opened()
        try:
            with explained(self.url):
                obstore.head(store, key)
        except FileNotFoundError:
            return False
        return bool(key)

    def is_dir(self) -> bool:
        """Whether there is such a folder, which a store has where a name begins with it."""
        if self.local is not None:
            return self.local.is_dir()
        return next(self._listed(1), None) is not None

    def below(self) -> list[StoredPath]:
        """List all files in this folder and those in it, by name; hidden ones of a disk too."""
        if self.local is not None:
            paths = (path for path in sorted(self.local.rglob("*")) if path.is_file())
            return [self / path.relative_to(self.local).as_posix() for path in paths]
        return sorted(self._listed())

    def read_bytes(self) -> bytes:
        """Read the whole file.

        Raises
        ------
        FileNotFoundError
            If there is none.
        StoreError
            If the store does not answer.
        """
        if self.local is not None:
            return self.local.read_bytes()
        obstore, store, key = self._opened()
        with explained(self.url):
            return bytes(obstore.get(store, key).bytes())

    def open(self, mode: Literal["rb"] = "rb") -> Any:
        """Open the file to be read, at any place of it."""
        if self.local is not None:
            return self.local.open(mode)
        obstore, store, key = self._opened()
        with explained(self.url):
            return _Reader(self.url, obstore.open_reader(store, key))

    def fetch(self, target: Path) -> None:
        """Write the file to a new one on this machine, piece by piece; raises as `read_bytes`."""
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.local is not None:
            shutil.copyfile(self.local, target)
            return
        obstore, store, key = self._opened()
        with explained(self.url), target.open("wb") as file:
            for chunk in obstore.get(store, key).stream(min_chunk_size=CHUNK):
                file.write(chunk)

    def put(self, content: Path | bytes, *, is_new: bool = False) -> None:
        """Write the file, which appears when it is whole.

        Parameters
        ----------
        content : Path or bytes
        is_new : bool
            Whether one that is there is an error instead of replaced.

        Raises
        ------
        FileExistsError
            If there is one that may not be replaced.
        StoreError
            If the store does not answer, or does not take it.
        """
        if self.local is not None:
            if is_new and self.local.exists():
                raise FileExistsError(self.url)
            with whole_file(self.local) as partial:
                if isinstance(content, bytes):
                    partial.write_bytes(content)
                else:
                    shutil.copyfile(content, partial)
            return
        obstore, store, key = self._opened()
        try:
            with explained(self.url):
                if is_new:  # in one request, as only that is asked for on condition
                    obstore.put(store, key, content, mode="create", use_multipart=False)
                else:
                    obstore.put(store, key, content)
        except obstore.exceptions.AlreadyExistsError:
            raise FileExistsError(self.url) from None
        except FileNotFoundError:
            raise StoreError(f"{self.url}: there is no such bucket; make it, or name another") from None

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the file; S3 does not tell whether there was one."""
        if self.local is not None:
            self.local.unlink(missing_ok)
            return
        obstore, store, key = self._opened()
        try:
            with explained(self.url):
                obstore.delete(store, key)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def _listed(self, chunk: int = 1000) -> Iterator[StoredPath]:
        obstore, store, key = self._opened()
        base = self.url.removesuffix(key) if key else f"{self.url}/"
        try:
            with explained(self.url):
                for batch in obstore.list(store, prefix=f"{key}/" if key else None, chunk_size=chunk):
                    for item in batch:
                        found = StoredPath(f"{base}{item['path']}")
                        # What consoles make for a folder, "folder/" without content, is none of its files.
                        if item["size"] or (found != self and found.is_file()):
                            yield found
        except FileNotFoundError:
            return


class _Reader(io.RawIOBase):
    """A file of a store as Python's own files are, which pyarrow asks for; its errors name the URL."""

    def __init__(self, url: str, reader: Any) -> None:
        self._url, self._reader = url, reader

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        position: int = self._reader.seek(offset, whence)
        return position

    def tell(self) -> int:
        position: int = self._reader.tell()
        return position

    def readinto(self, buffer: Any) -> int:
        with explained(self._url):
            content = memoryview(self._reader.read(len(buffer)))
        buffer[: len(content)] = content
        return len(content)
