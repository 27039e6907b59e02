"""The memory of a process that runs networks: measured, and limited by the operating system."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_STATM = Path("/proc/self/statm")
_STACK = 512 << 10  # bytes of a thread's, as macOS has it: by glibc it is 8 MiB, of which little is used


class NetworkMemory:
    """Limits what networks take to load and to run, and nothing else of this process.

    Linux counts what is private and may be written to, also where it was not touched yet, and refuses more
    (``RLIMIT_DATA`` of setrlimit(2)): an allocation fails, as where memory is short, before any is lost.
    Other systems have no such limit, and nor has the memory of a GPU; there nothing is limited here.

    Parameters
    ----------
    most : int
        Bytes that networks may take.
    is_limited : bool
        Whether to limit them.
    """

    def __init__(self, most: int, is_limited: bool = True) -> None:
        self.most = most
        self._is_limited = is_limited and sys.platform == "linux"
        if self._is_limited:
            _shrink_stacks()
        self._own = _allocated()  # what this process takes beside networks

    @property
    def used(self) -> int:
        """Bytes that networks take now; 0 where that is not known."""
        return max(0, _allocated() - self._own)

    @contextmanager
    def limited(self) -> Iterator[None]:
        """Let allocations fail that networks must not make, as long as the context lasts."""
        if not self._is_limited:
            yield
            return
        _limit(self._own + self.most)
        try:
            yield
        finally:
            _limit(None)

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Count what is allocated in the context, such as compiled kernels, as this process's own."""
        before = _allocated()
        try:
            yield
        finally:
            self._own += max(0, _allocated() - before)


def _allocated() -> int:
    try:
        return int(_STATM.read_text().split()[5]) * _page_size()
    except (OSError, IndexError):
        return 0


def _page_size() -> int:
    import resource

    return resource.getpagesize()


def _limit(size: int | None) -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = hard if size is None else size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _shrink_stacks() -> None:
    """Give threads that libraries start small stacks, which count though they are hardly touched."""
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        attributes = ctypes.create_string_buffer(256)  # a pthread_attr_t, of 56 bytes on x86-64
        library.pthread_attr_init(attributes)
        library.pthread_attr_setstacksize(attributes, ctypes.c_size_t(_STACK))
        library.pthread_setattr_default_np(attributes)
