"""Directories of code that is run: opened step by step, where only those can write who are trusted."""

from __future__ import annotations

import errno
import functools
import os
import stat
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from ._sources import archive

_MOST_LINKS = 40  # as Linux follows
# Of a directory on the way one needs to be no more than searched.
_DIRECTORY = (
    getattr(os, "O_PATH", getattr(os, "O_SEARCH", os.O_RDONLY))
    | getattr(os, "O_DIRECTORY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
)
_TO_READ = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # one does not wait for a pipe
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


class DistrustError(Exception):
    """What lies at a path may be another user's."""


class TrustedDirectory:
    """A directory, opened so that nobody else can have put it, or what is read from it, into its place.

    What lies there is run. So all that leads there, links too, must belong to one who could as well change
    this package or this process: root, this user, or the owner of the package. The group of each may write,
    as in OpenShift's images (group 0), in Debian's ``/usr/local`` and where a user has a group of its own;
    everybody may only where the sticky bit keeps them from renaming what others own, and in the directory
    itself never. On Windows nothing is checked.

    It is opened anew for each use. A descriptor that were kept would lead to a directory that was removed and
    made again, and to any file once a daemon has closed all descriptors and their numbers are used again.

    Parameters
    ----------
    path : Path
        Where it lies; relative to the working directory of now.
    make : bool, optional
        Make what is missing, with mode 755.

    Raises
    ------
    DistrustError
        If another user could write there, or could have led the way there.
    OSError
        If it is not there, or may not be entered.
    """

    def __init__(self, path: Path, make: bool = False) -> None:
        self.path = path.absolute()
        self._descriptor: int | None = None
        if hasattr(os, "geteuid"):
            self._descriptor = _Way(self.path, make).descriptor
        elif make:
            self.path.mkdir(mode=0o755, parents=True, exist_ok=True)
        elif not self.path.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(self.path))

    def __enter__(self) -> TrustedDirectory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give its descriptor back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def read(self, name: str) -> bytes:
        """Read a file; a DistrustError if another user could have written it."""
        if self._descriptor is None:
            return (self.path / name).read_bytes()
        with open(self.path / name, "rb", opener=functools.partial(self._open_to_read, name)) as file:
            return file.read()

    def write(self, name: str, blocks: Iterable[bytes]) -> None:
        """Write a file, in one go: others find it as it was before, or whole."""
        temporary = self._name(f"{name}.tmp.{uuid.uuid4().hex[:16]}")
        where = self._descriptor
        try:
            with open(os.open(temporary, _NEW_FILE, 0o644, dir_fd=where), "wb") as file:
                file.writelines(blocks)
            os.replace(temporary, self._name(name), src_dir_fd=where, dst_dir_fd=where)
        except BaseException as error:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=where)
            raise _with_path(error, self.path / temporary) from None

    def try_writing(self) -> None:
        """Write nothing, and raise an OSError if that fails."""
        name = self._name(f"writable.tmp.{uuid.uuid4().hex[:16]}")
        os.close(os.open(name, _NEW_FILE, 0o644, dir_fd=self._descriptor))
        os.unlink(name, dir_fd=self._descriptor)

    def _name(self, name: str) -> str:
        return name if self._descriptor is not None else os.fspath(self.path / name)

    def _open_to_read(self, name: str, path: str, flags: int) -> int:
        try:
            descriptor = os.open(name, flags | _TO_READ, dir_fd=self._descriptor)
        except OSError as error:
            raise _with_path(error, Path(path)) from None
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise DistrustError(f"{path} is no regular file")
            _judge(found, Path(path))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


class _Way:
    """The way to a directory, from the root of the file system, by descriptors: `descriptor` is its end."""

    def __init__(self, path: Path, make: bool) -> None:
        self._make = make
        self._links = 0
        self._steps = list(reversed(path.parts))  # still to go, the next one last
        self._here = Path(path.anchor)
        self.descriptor = -1
        try:
            self._go()
        except BaseException:
            self._close()
            raise

    def _go(self) -> None:
        while self._steps:
            name = self._steps.pop()
            here = self._here / name
            try:
                self._enter(self._open(name), here)
            except OSError as error:
                if not self._follow(name, here):
                    raise _with_path(error, here) from None
        _judge(os.fstat(self.descriptor), self._here)

    def _open(self, name: str) -> int:
        if name.startswith("/"):
            return os.open("/", _DIRECTORY)
        try:
            return os.open(name, _DIRECTORY, dir_fd=self.descriptor)
        except FileNotFoundError:
            if not self._make:
                raise
        with suppress(FileExistsError):  # another process was faster
            os.mkdir(name, 0o755, dir_fd=self.descriptor)
        return os.open(name, _DIRECTORY, dir_fd=self.descriptor)

    def _enter(self, descriptor: int, here: Path) -> None:
        self._close()
        self.descriptor, self._here = descriptor, here
        _judge(os.fstat(descriptor), here, sticky_helps=True)

    def _follow(self, name: str, here: Path) -> bool:
        """Put the target of a link before what is still to go; nothing if it is no link."""
        try:
            found = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except OSError:
            return False
        self._links += 1
        if not stat.S_ISLNK(found.st_mode) or self._links > _MOST_LINKS:
            return False
        _judge_owner(found, here)  # and so nobody else can replace it before it is read
        self._steps += reversed(Path(os.readlink(name, dir_fd=self.descriptor)).parts)
        return True

    def _close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _judge(found: os.stat_result, path: Path, sticky_helps: bool = False) -> None:
    # Outside of a user namespace, "/" and what lies right in it, such as /home, are root's.
    if not (sticky_helps and len(path.parts) <= 2 and found.st_uid in _strangers()):
        _judge_owner(found, path)
    if found.st_mode & stat.S_IWOTH and not (sticky_helps and found.st_mode & stat.S_ISVTX):
        raise DistrustError(f"every user may write to {path}, and its code would be run")


def _judge_owner(found: os.stat_result, path: Path) -> None:
    if found.st_uid not in {0, os.geteuid(), _owner_of_package()} - _strangers():
        raise DistrustError(f"{path} belongs to another user (uid {found.st_uid}), whose code would be run")


@functools.cache
def _owner_of_package() -> int:
    return (archive() or Path(__file__)).stat().st_uid


@functools.cache
def _strangers() -> frozenset[int]:
    """Return the number that all users have whom this user namespace does not know; none without one."""
    try:
        number = int(Path("/proc/sys/kernel/overflowuid").read_text())
        lines = Path("/proc/self/uid_map").read_text().splitlines()
    except OSError:  # a system that has none
        return frozenset()
    known = (range(first, first + count) for first, _, count in (map(int, line.split()) for line in lines))
    return frozenset() if any(number in numbers for numbers in known) else frozenset({number})


def _with_path(error: BaseException, path: Path) -> BaseException:
    """Tell the whole path, of which an error knows a part."""
    if not isinstance(error, OSError):
        return error
    return OSError(error.errno, error.strerror, os.fspath(path))
