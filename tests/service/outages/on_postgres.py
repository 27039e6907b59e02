"""A service whose database is on a PostgreSQL server that stops, hangs and ends sessions."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path

import psycopg

from tests.service.outages.ledger import Ledger
from tests.service.outages.scene import Scene
from tests.service.postgres import Cluster
from tests.service.running import running

_ENDING_SECONDS = 0.3  # between two times that sessions are ended


class OnPostgres(Scene):
    """A service whose database is on a PostgreSQL server of its own."""

    def __init__(self, folder: Path, ledger: Ledger, server: Cluster) -> None:
        super().__init__(folder, ledger)
        self._server = server
        self._admin("CREATE DATABASE service")
        self.database = ("--database", server.url("service"))
        self.outages = {
            "PostgreSQL stopped": self._stopped,
            "PostgreSQL hangs": self._hanging,
        }
        self.nuisances = {"sessions ended again and again": self._ended}
        self.mistakes = {
            "--database left out": lambda: nullcontext(()),
            "another database": self._another,
            "an empty database": self._empty,
        }

    def back_up(self) -> None:
        """Keep the database as it is now."""
        self._end_sessions("service")
        self._admin("CREATE DATABASE backup TEMPLATE service")

    @contextmanager
    def backup(self) -> Iterator[None]:
        """Put the backup in the place of the database, as long as the block lasts."""
        self._end_sessions("service")
        self._admin("ALTER DATABASE service RENAME TO aside")
        self._admin("CREATE DATABASE service TEMPLATE backup")
        try:
            yield
        finally:
            self._admin("DROP DATABASE service WITH (FORCE)")
            self._admin("ALTER DATABASE aside RENAME TO service")

    def rows(self) -> dict[int, str]:
        """Return the networks that the database has, and their folders."""
        with psycopg.connect(self._server.url("service")) as connection:
            return dict(connection.execute("SELECT id, folder FROM network").fetchall())

    def integrity(self) -> str:
        """Return "ok", or what is wrong with the database."""
        with psycopg.connect(self._server.url("service")) as connection:
            for table in ("network", "spec", "version", "task"):
                connection.execute(f"SELECT * FROM {table}").fetchall()
            lost = connection.execute(
                "SELECT count(*) FROM version v LEFT JOIN network n ON n.id = v.network_id "
                "LEFT JOIN spec s ON s.id = v.spec_id WHERE n.id IS NULL OR s.id IS NULL"
            ).fetchone()
        return "ok" if lost == (0,) else f"{lost} versions without a network or a spec"

    @contextmanager
    def _stopped(self) -> Iterator[None]:
        self._server.stop()
        try:
            yield
        finally:
            self._server.start()

    @contextmanager
    def _hanging(self) -> Iterator[None]:
        self._server.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._server.signal(signal.SIGCONT)

    @contextmanager
    def _ended(self) -> Iterator[None]:
        stopping = threading.Event()

        def work() -> None:
            while not stopping.wait(_ENDING_SECONDS):
                self._end_sessions("service")

        with ThreadPoolExecutor(1) as pool:
            working = pool.submit(work)
            try:
                yield
            finally:
                stopping.set()
            working.result()

    @contextmanager
    def _another(self) -> Iterator[Sequence[str]]:
        folder, options = self.folder / "another", ("--database", self._server.url("another"))
        if not folder.exists():
            self._admin("CREATE DATABASE another")
            with running(folder, *options):
                pass
        yield options

    @contextmanager
    def _empty(self) -> Iterator[Sequence[str]]:
        self._admin("DROP DATABASE IF EXISTS empty")
        self._admin("CREATE DATABASE empty")
        yield ("--database", self._server.url("empty"))

    def _end_sessions(self, name: str) -> None:
        self._admin(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'")

    def _admin(self, statement: str) -> None:
        with psycopg.connect(self._server.url(), autocommit=True) as connection:
            connection.execute(statement)
