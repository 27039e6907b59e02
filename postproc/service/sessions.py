"""The networks in memory: each loaded once, and unloaded when others need the room."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from postproc.onnx_network import OnnxNetwork
from postproc.service.metrics import Metrics
from postproc.service.work import NetworkFiles

logger = logging.getLogger(__name__)

Key: TypeAlias = "tuple[int | str, Path]"


@dataclass(eq=False)
class _Entry:
    """A network in memory or on its way there."""

    size: int
    users: int = 0
    used: int = 0
    is_loaded: threading.Event = field(default_factory=threading.Event)
    network: OnnxNetwork | None = None
    error: Exception | None = None


class SessionCache:
    """Networks by their ids; from many threads at once.

    A network is loaded by its first user, outside the lock, while further ones wait. A failure goes to all
    who wait, and the next user tries again. Above the memory limit those that nobody uses are unloaded, the
    least recently used first; one in use never is, so that the limit may be exceeded by networks in use.

    Parameters
    ----------
    load : callable
        Opens a network.
    memory : int
        Limit, in bytes, of the estimate: twice the size of a network's files.
    metrics : Metrics
        Counts loads and evictions.
    """

    def __init__(self, load: Callable[[NetworkFiles], OnnxNetwork], memory: int, metrics: Metrics) -> None:
        self._load = load
        self._memory = memory
        self._metrics = metrics
        self._lock = threading.Lock()
        self._entries: dict[Key, _Entry] = {}
        self._uses = 0
        metrics.watch_sessions(lambda: len(self._entries), lambda: self.size)

    @property
    def size(self) -> int:
        """Estimated memory of what is loaded, in bytes."""
        with self._lock:
            return self._size()

    @contextmanager
    def use(self, files: NetworkFiles) -> Iterator[OnnxNetwork]:
        """Give a network, which stays loaded for as long as the context lasts.

        Raises
        ------
        RunnerError
            If it cannot be loaded.
        """
        # The path too: where an id stands for other files than before, those are loaded.
        key = files.id, files.model
        unloaded: list[_Entry] = []  # released behind the lock, since that takes time
        with self._lock:
            entry = self._entries.get(key)
            is_first = entry is None
            if entry is None:
                size = 2 * _folder_size(files)
                unloaded = self._make_room(size)
                entry = self._entries[key] = _Entry(size)
            entry.users += 1
            self._touch(entry)
        unloaded.clear()
        try:
            if is_first:
                self._fill(key, entry, files)
            entry.is_loaded.wait()
            if entry.network is None:
                raise entry.error or RuntimeError("a network was not loaded")
            yield entry.network
        finally:
            with self._lock:
                entry.users -= 1
                self._touch(entry)
                unloaded = self._make_room(0)
            unloaded.clear()

    def forget(self, network_id: int | str) -> None:
        """Drop a network; whoever uses it keeps it until the end of the use."""
        with self._lock:
            for key in [key for key in self._entries if key[0] == network_id]:
                del self._entries[key]

    def clear(self) -> None:
        """Drop all networks."""
        with self._lock:
            self._entries.clear()

    def _fill(self, key: Key, entry: _Entry, files: NetworkFiles) -> None:
        try:
            entry.network = self._load(files)
        except Exception as error:
            entry.error = error
        finally:
            if entry.network is None:
                with self._lock:
                    if self._entries.get(key) is entry:
                        del self._entries[key]
            self._metrics.loaded(entry.network is not None)
            entry.is_loaded.set()

    def _make_room(self, size: int) -> list[_Entry]:
        """Take out what nobody uses until `size` more bytes fit; the lock is held."""
        unloaded = []
        total = self._size() + size
        idle = sorted((entry.used, key) for key, entry in self._entries.items() if entry.users == 0)
        for _, key in idle:
            if total <= self._memory:
                break
            unloaded.append(self._entries.pop(key))
            total -= unloaded[-1].size
            self._metrics.evicted()
            logger.info("network %s unloaded to make room", key[0])
        return unloaded

    def _touch(self, entry: _Entry) -> None:
        self._uses += 1
        entry.used = self._uses

    def _size(self) -> int:
        return sum(entry.size for entry in self._entries.values())


def _folder_size(files: NetworkFiles) -> int:
    """Add up the files of a network, its weights among them; 0 if they are gone, which loading reports."""
    try:
        return sum(path.stat().st_size for path in files.folder.rglob("*") if path.is_file())
    except OSError:
        return 0
