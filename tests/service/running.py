"""The service as a process of its own, for tests that see it from outside: clients, load, kill -9."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from postproc.service.settings import KEY_VARIABLE
from postproc.service.store.database import Database
from postproc.service.store.identity import settings_of
from postproc.service.store.keys import Keys

ROOT = Path(__file__).parents[2]
KEY = "a-key-for-tests"
START_SECONDS, STOP_SECONDS = 60, 30


class NotStartedError(AssertionError):
    """A service that ended before it listened.

    Parameters
    ----------
    code : int
        Its exit code.
    text : str
        What it wrote to stderr.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"the service did not start, exit code {code}\n{text}")
        self.code, self.text = code, text


@dataclass
class Running:
    """A service that runs.

    Parameters
    ----------
    process : subprocess.Popen
        The service; a test may kill it.
    host : str
        Where it listens, ``http://127.0.0.1:12345``.
    key : str
        An API key of the tenant "default".
    data : Path
        Its data folder.
    lines : list of str
        What it has written to stderr so far: its log.
    """

    process: subprocess.Popen[str]
    host: str
    key: str
    data: Path
    lines: list[str] = field(default_factory=list)

    def kill(self) -> None:
        """End it at once, as kill -9 does."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """End it as SIGTERM does, in so many seconds at most, and return its exit code."""
        self.process.terminate()
        return self.process.wait(seconds)

    def add_key(self, tenant: str) -> str:
        """Return a new key of a tenant, as `postproc keys add` makes it."""
        database = Database(settings_of(self.data))
        try:
            return Keys(database).add(tenant)
        finally:
            database.close()


@contextmanager
def running(
    data: Path,
    *options: str,
    port: int = 0,
    module: Sequence[str] = ("postproc.cli", "serve"),
    key: str = KEY,
    environment: Mapping[str, str] | None = None,
    start_seconds: float | None = None,
) -> Iterator[Running]:
    """Run a service on a data folder, as long as the block lasts.

    Parameters
    ----------
    data : Path
        Its data folder: the same again after a `kill` is the same service again.
    *options : str
        Of ``postproc serve``.
    port : int
        Where to listen; 0 chooses a free one.
    module : sequence of str
        The module to run, and its first arguments.
    key : str
        The API key, by the environment; empty: the service makes one itself.
    environment : mapping of str to str, optional
        Further variables of its environment.
    start_seconds : float, optional
        Longest start; `START_SECONDS` if left out.

    Raises
    ------
    NotStartedError
        If it ends before it listens.
    """
    given = (
        ["--data", str(data), "--port", str(port), *options] if "serve" in module else [str(data), str(port)]
    )
    process = subprocess.Popen(
        [sys.executable, "-m", *module, *given],
        cwd=ROOT,
        env={**os.environ, KEY_VARIABLE: key, "PYTHONUNBUFFERED": "1", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    assert process.stdout is not None
    assert process.stderr is not None
    readers = [threading.Thread(target=_collect, args=(process.stderr, lines), daemon=True)]
    readers[0].start()
    watchdog = threading.Timer(start_seconds or START_SECONDS, process.kill)
    watchdog.start()
    try:
        first = process.stdout.readline()
        watchdog.cancel()
        found = re.search(r"http://\S+", first)
        if found is None:
            code = process.wait(STOP_SECONDS)
            readers[0].join(STOP_SECONDS)
            raise NotStartedError(code, first + "".join(lines))
        readers.append(threading.Thread(target=_collect, args=(process.stdout, []), daemon=True))
        readers[1].start()
        yield Running(process, found[0], key, data, lines)
    finally:
        watchdog.cancel()
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for reader in readers:
            reader.join(STOP_SECONDS)
        process.stdout.close()
        process.stderr.close()


def _collect(stream: IO[str], lines: list[str]) -> None:
    for line in stream:
        lines.append(line)
