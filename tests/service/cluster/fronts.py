"""Front ends that a supervisor keeps running."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx

from tests.ports import free_port
from tests.service.cluster.processes import born, descendants
from tests.service.running import NotStartedError, Running, running

_SECONDS = 300


class FrontEnd:
    """A ``postproc serve`` at a port of its own.

    Parameters
    ----------
    data : Path
        Its data folder.
    *options : str
        Further ones of ``postproc serve``.
    module : sequence of str
        As of `running`.
    """

    def __init__(self, data: Path, *options: str, module: Sequence[str] = ("postproc.cli", "serve")) -> None:
        self._data, self._options, self._module = data, options, module
        self._stack = ExitStack()
        self.port = free_port()
        self.service: Running | None = None
        self.lines: list[str] = []
        self._started: dict[int, str] = {}  # by those that were killed

    @property
    def host(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self.service is not None and self.service.process.poll() is None

    def start(self) -> None:
        """Start it, again and again as a supervisor does where it ends at once, and wait until it listens."""
        deadline = time.monotonic() + _SECONDS
        while True:
            self._end()
            try:
                self.service = self._stack.enter_context(
                    running(
                        self._data,
                        *self._options,
                        port=self.port,
                        module=self._module,
                        start_seconds=_SECONDS,
                    )
                )
                return
            except NotStartedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def kill(self) -> None:
        """End it as kill -9 does."""
        assert self.service is not None
        self._started |= descendants(self.service.process.pid)
        self.service.kill()

    def left(self) -> list[int]:
        """Return processes that those which were killed had started, and that run still."""
        return [process for process, since in self._started.items() if born(process) == since]

    def close(self) -> None:
        """End it, if it runs."""
        self._end()

    def is_ready(self) -> bool:
        """Whether it says that it takes requests."""
        try:
            return httpx.get(f"{self.host}/readyz", timeout=10, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def client(self, key: str) -> httpx.Client:
        """Return a client of it and of no other."""
        return httpx.Client(
            base_url=f"{self.host}/v0.7", headers={"X-API-KEY": key}, timeout=60, trust_env=False
        )

    def _end(self) -> None:
        self._stack.close()
        if self.service is not None:
            self.lines += self.service.lines
            self.service = None
