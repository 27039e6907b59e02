"""A directory whose files only trusted users can have put in their place.

What lies in the cache is run. So whoever could change it must be one who could as well change this package or
this process: root, this user, or the owner of the package. Each name on the way is opened by itself, without
following links, and what was opened is judged: what a name means may change between a look and its use.
"""

from __future__ import annotations

import errno
import os
import stat
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

# Windows has neither owners nor modes of this kind, nor descriptors of directories.
_JUDGES = hasattr(os, "geteuid") and os.open in os.supports_dir_fd

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_READING = os.O_RDONLY | _NO_LINK | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_MAKING = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | getattr(os, "O_BINARY", 0)
# A directory on the way may be searched, though perhaps not listed.
_PASSING = os.O_RDONLY | _NO_LINK | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_PATH", 0)
_MOST_LINKS = 40  # as Linux has it


class DistrustError(OSError):
    """Another user could have put this there."""


class TrustedDirectory:
    """A directory that is used only while its whole path is in trusted hands; looked through anew each time.

    Links on the path are followed where they are a trusted user's, since packages and home directories may
    lie behind some. A group may write, as in OpenShift's images. In a directory with the sticky bit, such as
    ``/tmp``, others may write, and cannot change what they do not own.

    Parameters
    ----------
    path : Path
        Where it lies.
    package : Path
        A file of this package, whose owner is trusted.

    Raises
    ------
    DistrustError
        By all methods, if another user owns a part of the path or the file, or every user may write to it.
    OSError
        By all methods, if something is missing or fails.
    """

    def __init__(self, path: Path, package: Path) -> None:
        self._path, self._package = path, package

    def check(self) -> None:
        """Raise unless it is there and can be trusted."""
        with self._opened(makes=False):
            pass

    def check_writing(self) -> None:
        """Raise unless files can be written there; makes it where it is missing."""
        with self._opened(makes=True) as place:
            name = self._named(place, f"probe.{uuid.uuid4().hex[:16]}")
            os.close(os.open(name, _MAKING, 0o644, dir_fd=place))
            os.unlink(name, dir_fd=place)

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        with self._opened(makes=False) as place:
            file = os.fdopen(os.open(self._named(place, name), _READING, dir_fd=place), "rb")
        with file:
            if _JUDGES:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    raise DistrustError(errno.EPERM, "expected a file", str(self._path / name))
                _Judge(self._package)(found, self._path / name)
            return file.read()

    def write(self, name: str, content: Sequence[bytes]) -> None:
        """Write a file, which appears when it is whole; makes the directory where it is missing."""
        with self._opened(makes=True) as place:
            final = self._named(place, name)
            unfinished = f"{final}.tmp.{uuid.uuid4().hex[:16]}"
            try:
                # Others may not write, whatever the umask is: it would not be read then.
                with os.fdopen(os.open(unfinished, _MAKING, 0o644, dir_fd=place), "wb") as file:
                    file.writelines(content)
                os.replace(unfinished, final, src_dir_fd=place, dst_dir_fd=place)
            except BaseException:
                with suppress(OSError):
                    os.unlink(unfinished, dir_fd=place)
                raise

    def _named(self, place: int | None, name: str) -> str:
        return str(self._path / name) if place is None else name

    @contextmanager
    def _opened(self, *, makes: bool) -> Iterator[int | None]:
        """Give its descriptor; None where names are whole paths."""
        if not _JUDGES:
            if makes:
                self._path.mkdir(parents=True, exist_ok=True)
            elif not self._path.is_dir():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._path))
            yield None
            return
        way = _Way(_Judge(self._package), makes)
        try:
            way.walk(Path(os.path.abspath(self._path)))
            way.judge(is_last=True)
            yield way.descriptor
        finally:
            os.close(way.descriptor)


class _Judge:
    """Knows whom to trust."""

    def __init__(self, package: Path) -> None:
        # The owner of "/" too: in a container it may be none of the others, and all is in its hands.
        self._trusted = {0, os.geteuid(), package.stat().st_uid, os.stat("/").st_uid}

    def __call__(self, found: os.stat_result, path: Path, *, may_be_shared: bool = False) -> None:
        """Raise unless what was opened, or a link, is in trusted hands."""
        if found.st_uid not in self._trusted:
            raise DistrustError(
                f"{path} belongs to another user (uid {found.st_uid}), whose code would be run"
            )
        is_guarded = stat.S_ISLNK(found.st_mode) or (may_be_shared and found.st_mode & stat.S_ISVTX)
        if found.st_mode & stat.S_IWOTH and not is_guarded:
            raise DistrustError(f"every user may write to {path}, and its code would be run")


class _Way:
    """A path that is gone along, name by name, from the root on; `descriptor` is of where it has come to."""

    def __init__(self, judge: _Judge, makes: bool) -> None:
        self._judge, self._makes = judge, makes
        self._links = 0
        self._here = Path("/")
        self.descriptor = os.open("/", _PASSING)

    def walk(self, path: Path) -> None:
        """Go on from here, or from the root if the path begins there."""
        names = list(path.parts)
        if path.is_absolute():
            self._move(os.open(names.pop(0), _PASSING), Path("/"))
        for name in names:
            self.judge(is_last=False)
            self._step(name)

    def judge(self, *, is_last: bool) -> None:
        """Raise unless the directory that is open is in trusted hands."""
        self._judge(os.fstat(self.descriptor), self._here, may_be_shared=not is_last)

    def _step(self, name: str) -> None:
        try:
            descriptor = os.open(name, _PASSING, dir_fd=self.descriptor)
        except FileNotFoundError:
            if not self._makes:
                raise
            with suppress(FileExistsError):  # another process was first
                os.mkdir(name, 0o755, dir_fd=self.descriptor)  # which no umask opens to others
            descriptor = os.open(name, _PASSING, dir_fd=self.descriptor)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            self.walk(self._target(name))
            return
        self._move(descriptor, self._here / name)

    def _target(self, name: str) -> Path:
        """Return where a link leads; raise if it is none, or another user's."""
        path = self._here / name
        found = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        if not stat.S_ISLNK(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        self._judge(found, path)
        self._links += 1
        if self._links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        return Path(os.readlink(name, dir_fd=self.descriptor))

    def _move(self, descriptor: int, here: Path) -> None:
        os.close(self.descriptor)
        self.descriptor, self._here = descriptor, here
