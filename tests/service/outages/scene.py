"""A service and its database, of either kind, and what can be done to them."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from postproc.service.work import TASK_MARGIN
from tests.ports import free_port
from tests.service.digits import client_of
from tests.service.outages.ledger import Ledger
from tests.service.running import NotStartedError, Running, running

TASK_TIMEOUT = 10.0
_OPTIONS = ("--task-timeout", f"{TASK_TIMEOUT:g}", "--task-seconds", "86400", "--queue-length", "64")
_READY_SECONDS = 60.0
_STOP_SECONDS = 45.0  # beyond the 35 s of all steps of its end together, where the database hangs
_HEALTH_SECONDS = 5.0

Outage = Callable[[], AbstractContextManager[Any]]


class Scene:
    """A service on one port, which may be stopped and started again.

    Parameters
    ----------
    folder : Path
        For the data folder and all else.
    ledger : Ledger
        Where it is counted how things end.
    """

    bound = TASK_TIMEOUT + TASK_MARGIN

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self.folder, self.data, self.ledger = folder, folder / "data", ledger
        self.database: tuple[str, ...] = ()
        self.environment: dict[str, str] = {}
        self.outages: dict[str, Outage] = {}
        self.nuisances: dict[str, Outage] = {}
        self.mistakes: dict[str, Outage] = {}
        self.stops = 0
        self.longest_stop = 0.0
        self.service: Running | None = None
        self._port = free_port()
        self._stack = ExitStack()

    @property
    def beside(self) -> Sequence[str]:
        """Options by which another service finds this database."""
        return self.database

    def client(self, seconds: float) -> httpx.Client:
        """Return a client, which finds each service that is started here."""
        assert self.service is not None
        client = client_of(self.service)
        client.timeout = httpx.Timeout(seconds)
        return client

    def start(self) -> None:
        """Start the service."""
        self.service = self._stack.enter_context(self._running())

    def kill(self) -> None:
        """End it at once."""
        assert self.service is not None
        self.stops += 1
        self.service.kill()
        self._leave()

    def stop(self) -> None:
        """End it as SIGTERM does, and count how it ended."""
        assert self.service is not None
        self.stops += 1
        began = time.monotonic()
        try:
            code = str(self.service.stop(_STOP_SECONDS))
        except subprocess.TimeoutExpired:
            self.ledger.violation("SIGTERM does not end the service in time")
            code = "none"
        self.longest_stop = max(self.longest_stop, time.monotonic() - began)
        self.ledger.kind.exits[f"SIGTERM: {code}"] += 1
        self._leave()

    @contextmanager
    def successor(self) -> Iterator[None]:
        """Start another service for the place of this one, which has to be stopped in the block."""
        stack = ExitStack()
        with ThreadPoolExecutor(1) as pool:
            started = pool.submit(stack.enter_context, self._running("--wait", "50"))
            yield
            self.service, self._stack = started.result(), stack

    def close(self) -> None:
        """End what runs."""
        if self.service is not None:
            self.service.kill()
            self._leave()

    def try_to_start(self, data: Path, *options: str) -> bool:
        """Start a service that should be refused, end it if it is not, and count how it ended."""
        try:
            with running(data, *options, *_OPTIONS, environment=self.environment) as service:
                service.stop()
        except NotStartedError as error:
            said = re.search(r'"event": "(.*?)"', error.text)  # its log is JSON
            text = error.text if said is None else said[1]
            self.ledger.kind.exits[f"{error.code}: {text.replace(str(self.folder), '...')[:200]}"] += 1
            if error.code != 1 or "Traceback" in error.text:
                self.ledger.violation("a start that cannot be does not say why", error.text[-500:])
            return False
        return True

    def wait_until_ready(self) -> bool:
        """Wait until the service takes requests again."""
        deadline = time.monotonic() + _READY_SECONDS
        with self.client(5.0) as client:
            while time.monotonic() < deadline:
                try:
                    if client.get(f"{self._host}/readyz").status_code == 200:
                        return True
                except httpx.TransportError:
                    pass
                time.sleep(0.1)
        return False

    def health(self) -> tuple[int, str, int]:
        """Return the status of /healthz, what it says, and the status of /readyz."""
        with self.client(_HEALTH_SECONDS) as client:
            try:
                health = client.get(f"{self._host}/healthz")
                ready = client.get(f"{self._host}/readyz")
            except httpx.TransportError as error:
                return 0, repr(error), 0
        return health.status_code, str(health.json().get("status")), ready.status_code

    def files(self) -> set[str]:
        """Return what the data folder holds, without locks and what is there while the database is open."""
        found = {str(path.relative_to(self.data)) for path in self.data.rglob("*")}
        return {name for name in found if not name.endswith(("-wal", "-shm", "-journal", "lock"))}

    def folders(self) -> set[str]:
        """Return the names of the folders of networks."""
        return {path.name for path in (self.data / "networks").iterdir()}

    def swept(self) -> set[str]:
        """Return the names of what starts have moved aside."""
        return {path.name for path in (self.data / "swept").iterdir()}

    def back_up(self) -> None:
        """Keep the database as it is now; the service is stopped."""
        raise NotImplementedError

    def backup(self) -> AbstractContextManager[None]:
        """Put a backup in the place of the database, as long as the block lasts."""
        raise NotImplementedError

    def rows(self) -> dict[int, str]:
        """Return the networks that the database has, and their folders."""
        raise NotImplementedError

    def integrity(self) -> str:
        """Return "ok", or what is wrong with the database."""
        raise NotImplementedError

    @property
    def _host(self) -> str:
        assert self.service is not None
        return self.service.host

    def _running(self, *options: str) -> AbstractContextManager[Running]:
        given = (*self.database, *_OPTIONS, *options)
        return running(self.data, *given, port=self._port, environment=self.environment)

    def _leave(self) -> None:
        assert self.service is not None
        with (self.folder / "service.log").open("a") as log:
            log.writelines(self.service.lines)
        self.service = None
        self._stack.close()
