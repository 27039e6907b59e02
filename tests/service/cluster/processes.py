"""Programs that run as long as they are needed, and may be killed and started again."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.service.running import ROOT

_SECONDS = 30


def born(process: int) -> str | None:
    """Return when a process began, which tells it from a later one of its number; None if it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def descendants(process: int) -> dict[int, str]:
    """Return the processes that a process has started, and they others, and when each began."""
    found: dict[int, str] = {}
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, path.read_text().split()):
                found |= {child: born(child) or "", **descendants(child)}
    return found


class Program:
    """A program that listens on a port of the loopback.

    Parameters
    ----------
    command : sequence of str
        What runs.
    port : int
        Where it listens, once it has started.
    log : Path
        What it writes goes to the end of this file.
    """

    def __init__(self, command: Sequence[str], port: int, log: Path) -> None:
        self._command, self.port, self.log = command, port, log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=ROOT, stdout=log, stderr=log)
        deadline = time.monotonic() + _SECONDS
        while True:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            assert self._process.poll() is None, f"{self._command[0]} ended: {self.log.read_text()[-2000:]}"
            assert time.monotonic() < deadline, (
                f"{self._command[0]} does not listen: {self.log.read_text()[-2000:]}"
            )
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as kill -9 does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_SECONDS)
