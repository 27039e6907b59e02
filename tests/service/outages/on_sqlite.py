"""A service whose database is a file, and a disk that can be full."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.service.full_disk import Disk
from tests.service.outages.ledger import Ledger
from tests.service.outages.scene import Scene
from tests.service.running import running


class OnSqlite(Scene):
    """A service whose database lies in its data folder."""

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        super().__init__(folder, ledger)
        self._file = self.data / "postproc.sqlite"
        self._disk = Disk(self.data, folder)
        self.environment = self._disk.environment
        self.outages = {"disk full": self._disk.full}
        self.mistakes = {
            "the database is gone": self._gone,
            "another database": self._another,
            "an empty database": self._empty,
        }

    @property
    def beside(self) -> Sequence[str]:
        """Options by which another service finds this database."""
        return ("--database", f"sqlite:///{self._file}")

    def back_up(self) -> None:
        """Keep the database as it is now."""
        with sqlite3.connect(self._file) as source, sqlite3.connect(self.folder / "backup") as target:
            source.backup(target)
        source.close()
        target.close()

    @contextmanager
    def backup(self) -> Iterator[None]:
        """Put the backup in the place of the database, as long as the block lasts."""
        with self._gone():
            shutil.copy(self.folder / "backup", self._file)
            yield
            for path in self._parts(self.data):
                path.unlink()

    def rows(self) -> dict[int, str]:
        """Return the networks that the database has, and their folders."""
        return dict(self._ask("SELECT id, folder FROM network"))

    def integrity(self) -> str:
        """Return "ok", or what is wrong with the database."""
        broken = self._ask("PRAGMA foreign_key_check")
        return f"foreign keys: {broken}" if broken else str(self._ask("PRAGMA integrity_check")[0][0])

    def _ask(self, statement: str) -> list[Any]:
        with sqlite3.connect(f"file:{self._file}?mode=ro", uri=True) as database:
            found = database.execute(statement).fetchall()
        database.close()
        return found

    def _parts(self, folder: Path) -> list[Path]:
        return [
            folder / f"{self._file.name}{end}"
            for end in ("", "-wal", "-shm")
            if (folder / f"{self._file.name}{end}").exists()
        ]

    @contextmanager
    def _gone(self) -> Iterator[Sequence[str]]:
        aside = self.folder / "aside"
        aside.mkdir(exist_ok=True)
        for path in self._parts(self.data):
            path.rename(aside / path.name)
        try:
            yield ()
        finally:
            for path in self._parts(self.data):  # made by a start that should have been refused
                path.unlink()
            for path in self._parts(aside):
                path.rename(self.data / path.name)

    @contextmanager
    def _another(self) -> Iterator[Sequence[str]]:
        folder = self.folder / "another"
        if not folder.exists():
            with running(folder):
                pass
        yield ("--database", f"sqlite:///{folder / self._file.name}")

    @contextmanager
    def _empty(self) -> Iterator[Sequence[str]]:
        file = self.folder / "empty.sqlite"
        file.write_bytes(b"")
        yield ("--database", f"sqlite:///{file}")
