"""Opening a database: what it finds there, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError

from postproc.errors import PostprocError
from postproc.service.settings import ServiceSettings
from postproc.service.store.database import FORMAT, OWN_FILE, Contents, Database, shown, url_of
from postproc.service.store.keys import Keys
from postproc.service.store.locks import lock_database
from postproc.service.store.tables import Base, Format


def test_database_of_a_later_format_is_refused(database: Database) -> None:
    assert database.contents() == Contents(FORMAT, "identity")
    with database.writing() as session:
        session.execute(update(Format).values(number=FORMAT + 1))
    with pytest.raises(
        PostprocError, match=f"has format {FORMAT + 1}, and this release of postproc has {FORMAT}"
    ):
        database.contents()


def test_database_is_not_made_by_looking_into_it(tmp_path: Path) -> None:
    database = Database(ServiceSettings(data=tmp_path))
    assert database.contents() is None
    assert list(tmp_path.iterdir()) == []
    database.close()


def test_database_of_the_first_format_keeps_its_rows(database: Database) -> None:
    key = Keys(database).add("one")
    with database.writing() as session:
        session.execute(update(Format).values(number=1))
        Base.metadata.tables["identity"].drop(session.connection())
    assert database.contents() == Contents(1, None)
    database.prepare("new")
    assert database.contents() == Contents(FORMAT, "new")
    assert Keys(database).tenant_of(key) == "one"


def test_sqlite_waits_for_the_disk_and_keeps_foreign_keys(tmp_path: Path) -> None:
    opened = Database(ServiceSettings(data=tmp_path))
    opened.prepare("identity")
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
        ("postgresql://x:y@z:port/x", "expected a URL"),
        ("sqlite://", "expected a path"),
        ("sqlite:///file:x?uri=true", "expected a path"),
        ("postgresql://user:hunter2@127.0.0.1:1/x", "cannot open the database"),
        ("postgresql://user@127.0.0.1:1/x?password=hunter2", "cannot open the database"),
        ("sqlite:////nowhere/at/all.sqlite", "cannot open the database"),
    ],
)
def test_database_that_cannot_be_opened_says_why(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(PostprocError, match=message) as raised:
        lock_database(Database(ServiceSettings(data=tmp_path, database=url)), print)
    assert "hunter2" not in str(raised.value)


def test_url_of_a_file_is_read_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://user:hunter2@host/name?sslpassword=hunter2\n")
    settings = ServiceSettings(data=tmp_path, database_file=file)
    url = url_of(settings)
    assert url.password == "hunter2"
    assert shown(url) == "postgresql+psycopg://user@host/name"
    assert "hunter2" not in repr(ServiceSettings(data=tmp_path, database=file.read_text().strip()))


@pytest.mark.parametrize("content", ["", "sqlite:///a\nsqlite:///b", "x" * 20_000])
def test_file_that_holds_no_url_says_so(tmp_path: Path, content: str) -> None:
    file = tmp_path / "url"
    file.write_text(content)
    with pytest.raises(PostprocError, match="one line, the URL"):
        url_of(ServiceSettings(data=tmp_path, database_file=file))
    with pytest.raises(PostprocError, match="got both"):
        url_of(ServiceSettings(data=tmp_path, database_file=file, database="sqlite:///x"))


def test_check_sees_that_the_file_is_another_than_that_which_is_open(tmp_path: Path) -> None:
    database, kept = Database(ServiceSettings(data=tmp_path)), tmp_path / "kept"
    database.prepare("identity")
    database.check()
    (tmp_path / OWN_FILE).rename(kept)
    with pytest.raises(FileNotFoundError):
        database.check()
    (tmp_path / OWN_FILE).write_bytes(kept.read_bytes())  # as a backup that is put there while it runs
    with pytest.raises(FileNotFoundError, match="removed or replaced"):
        database.check()
    kept.replace(tmp_path / OWN_FILE)
    database.check()
    database.close()
