"""What a service takes while others use it: memory and processor of all its processes, and its health."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

from tests.service.load.wire import Wire
from tests.service.running import Running

MIB = 1 << 20
_MEMORY_PAUSE, _HEALTH_PAUSE = 0.25, 0.1


class Watch:
    """Looks at a service all the time, and ends it where it takes too much memory.

    Parameters
    ----------
    service : Running
        The service.
    most : int
        Memory in bytes beyond which it is killed, so that the machine does not suffer.
    """

    def __init__(self, service: Running, most: int) -> None:
        self._service = service
        self._most = most
        self._phase = "start"
        self._stop = threading.Event()
        self.ended = threading.Event()
        self.reason = ""  # why the service has ended
        self.memory: dict[str, int] = defaultdict(int)  # the peak of each phase
        self.health: dict[str, float] = defaultdict(float)  # the longest answer of each phase
        self.unanswered: dict[str, int] = defaultdict(int)  # health checks without an answer of 200
        self.processor: dict[str, float] = {}  # seconds of each phase

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look as long as the block lasts."""
        threads = [threading.Thread(target=work, daemon=True) for work in (self._weigh, self._ask)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(2)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what is seen as that of a phase."""
        before = processor_of(self._service.process.pid)
        self._phase = name
        self.memory[name] = self.memory_now()
        try:
            yield
        finally:
            self._phase = "between"
            self.processor[name] = max(0.0, processor_of(self._service.process.pid) - before)

    def rest(self, seconds: float) -> None:
        """Wait, unless the service ends."""
        self.ended.wait(seconds)

    def memory_now(self) -> int:
        """Return the memory of the service and of all below it."""
        return memory_of(self._service.process.pid)

    def _weigh(self) -> None:
        process = self._service.process
        while not self._stop.wait(_MEMORY_PAUSE):
            if process.poll() is not None:
                self.reason = self.reason or f"the service ended by itself, exit code {process.returncode}"
                self.ended.set()
                return
            size = self.memory_now()
            self.memory[self._phase] = max(self.memory[self._phase], size)
            if size > self._most:
                self.reason = f"the service took {size // MIB} MiB and was killed at {self._most // MIB}"
                for child in (process.pid, *children_of(process.pid)):
                    with suppress(ProcessLookupError):
                        os.kill(child, 9)

    def _ask(self) -> None:
        with Wire(self._service.host, "", seconds=30) as wire:
            while not self._stop.wait(_HEALTH_PAUSE) and not self.ended.is_set():
                phase, started = self._phase, time.perf_counter()
                try:
                    is_well = wire.ask("GET", "/healthz")[0] == 200
                except (OSError, HTTPException):
                    is_well = False
                self.unanswered[phase] += not is_well
                self.health[phase] = max(self.health[phase], time.perf_counter() - started)


def memory_of(process: int) -> int:
    """Return the memory of a process and of all below it, in bytes; what they share counts once."""
    return sum(map(_memory, (process, *children_of(process))))


def processor_of(process: int) -> float:
    """Return the seconds of processor of a process and of all below it, also of those that have ended."""
    ticks = 0
    for one in (process, *children_of(process)):
        with suppress(OSError, IndexError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def children_of(process: int) -> list[int]:
    """Return the ids of all processes below one."""
    parents: dict[int, list[int]] = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            parents[int(fields[1])].append(int(path.name))
    found, waiting = [], [process]
    while waiting:
        children = parents.pop(waiting.pop(), [])
        found += children
        waiting += children
    return found


def _memory(process: int) -> int:
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:  # it has ended
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
