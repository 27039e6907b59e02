"""Opening a database: what it finds there, and what it says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError

from postproc.errors import PostprocError
from postproc.service.database import FORMAT, Database
from postproc.service.settings import ServiceSettings
from postproc.service.tables import Format


def test_database_of_another_format_is_refused(settings: ServiceSettings) -> None:
    opened = Database(settings)
    with opened.writing() as session:
        session.execute(update(Format).values(number=FORMAT + 1))
    opened.close()
    with pytest.raises(
        PostprocError, match=f"has format {FORMAT + 1}, and this release of postproc has {FORMAT}"
    ):
        Database(settings)


def test_database_opened_by_many_at_once_is_made_once(settings: ServiceSettings) -> None:
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: Database(settings), range(4)))
    with opened[0].reading() as session:
        assert session.scalars(select(Format.number)).all() == [FORMAT]
    for database in opened:
        database.close()


def test_sqlite_waits_for_the_disk_and_keeps_foreign_keys(tmp_path: Path) -> None:
    opened = Database(ServiceSettings(data=tmp_path))
    with opened.reading() as session:
        values = {
            name: session.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    opened.close()
    assert values == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_writing_is_rolled_back_by_an_error(database: Database) -> None:
    with pytest.raises(IntegrityError), database.writing() as session:
        session.add_all([Format(number=99), Format(number=FORMAT)])
    with database.reading() as session:
        assert session.scalars(select(Format.number)).all() == [FORMAT]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "expected a URL"),
        ("mysql://user@host/name", "expected sqlite or postgresql"),
        ("nothing://x", "expected sqlite or postgresql"),
        ("postgresql://user:hunter2@127.0.0.1:1/x", "cannot open the database"),
        ("sqlite:////nowhere/at/all.sqlite", "cannot open the database"),
    ],
)
def test_database_that_cannot_be_opened_says_why(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises((PostprocError, ImportError), match=message) as raised:
        Database(ServiceSettings(data=tmp_path, database=url))
    assert "hunter2" not in str(raised.value)
