"""A data folder and a database that belong together; what a start does where they do not."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, update

from postproc.errors import PostprocError
from postproc.service.settings import ServiceSettings
from postproc.service.store.database import OWN_FILE, Database
from postproc.service.store.identity import check_keys
from postproc.service.store.tables import Base, Format, Identity
from tests.service.objects import IMAGE, made, make_network, make_version, post_network
from tests.service.serving import serving


def folders_of(data: Path) -> set[str]:
    return {path.name for path in (data / "networks").iterdir()}


def upload(data: Path, **settings: Any) -> int:
    """Serve once, and upload a network."""
    with serving(data, **settings) as service:
        return int(make_network(service.client)["id"])


def networks_of(data: Path, **settings: Any) -> list[int]:
    with serving(data, **settings) as service:
        found = service.client.get("/networks").json()["results"]
        for row in found:
            made(service.client.post(f"/networks/{row['id']}/inference", files=IMAGE))
        return [row["id"] for row in found]


def _files_of(data: Path) -> dict[Path, bytes]:
    found = (path for path in data.rglob("*") if path.is_file() and not path.name.endswith("lock"))
    return {path: path.read_bytes() for path in found}


def refused(data: Path, message: str, **settings: Any) -> None:
    """Start a service that must refuse, and must change no file in the folder."""
    before = _files_of(data)
    with pytest.raises(PostprocError, match=message), serving(data, **settings):
        pass
    assert _files_of(data) == before


@pytest.fixture(params=["sqlite", "postgresql"])
def make_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Give a function that makes URLs of empty databases, of each kind."""
    if request.param == "postgresql":
        make: Callable[[], str] = request.getfixturevalue("postgres")
        return make
    numbers = iter(range(100))
    return lambda: f"sqlite:///{tmp_path}/{next(numbers)}.sqlite"


def test_start_without_its_database_is_refused_and_loses_nothing(
    make_url: Callable[[], str], tmp_path: Path
) -> None:
    data, url = tmp_path / "data", make_url()
    network = upload(data, database=url)
    refused(data, "belongs to the database .* is empty: start with the former")
    refused(data, "belongs to the database .* is empty", database=make_url())
    assert not (data / OWN_FILE).exists()
    assert networks_of(data, database=url) == [network]


def test_start_with_the_database_of_another_folder_is_refused(
    make_url: Callable[[], str], tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    url, other_url = make_url(), make_url()
    network, other_network = upload(one, database=url), upload(other, database=other_url)
    refused(one, "belongs to another folder", database=other_url)
    (tmp_path / "new").mkdir()
    refused(tmp_path / "new", "belongs to another data folder than .* which is new", database=url)
    assert networks_of(one, database=url) == [network]
    assert networks_of(other, database=other_url) == [other_network]


def test_database_that_was_emptied_is_not_taken_for_the_folders_own(
    make_url: Callable[[], str], tmp_path: Path
) -> None:
    data, url = tmp_path / "data", make_url()
    upload(data, database=url)
    database = Database(ServiceSettings(data=data, database=url))
    with database.writing() as session:
        Base.metadata.drop_all(session.connection())
    refused(data, "is empty, and the folder .* has used another: restore it from a backup", database=url)
    database.close()


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to be read as its head" * 20])
def test_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    upload(tmp_path)
    kept = tmp_path / "kept"
    (tmp_path / OWN_FILE).rename(kept)
    (tmp_path / OWN_FILE).write_bytes(content)
    refused(tmp_path, "is empty" if not content else "cannot open the database .*: file is not a database")
    kept.rename(tmp_path / OWN_FILE)
    assert len(networks_of(tmp_path)) == 1


def test_older_backup_of_the_database_loses_no_network_of_the_newer_one(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        first, second = make_network(service.client)["id"], make_network(service.client)["id"]
    backup, newer = tmp_path / "backup", tmp_path / "newer"
    shutil.copy(tmp_path / OWN_FILE, backup)
    with serving(tmp_path) as service:
        third = make_network(service.client)["id"]
        assert service.client.delete(f"/networks/{first}").status_code == 204
    shutil.copy(tmp_path / OWN_FILE, newer)

    shutil.copy(backup, tmp_path / OWN_FILE)
    with serving(tmp_path) as service:
        assert [row["id"] for row in service.client.get("/networks").json()["results"]] == [first, second]
        assert len(service.services.missing) == 1  # the files of the first are gone
        assert httpx.get(f"{service.host}/healthz").json()["missing_networks"] == 1
        assert made(service.client.post(f"/networks/{second}/inference", files=IMAGE))
        assert len(folders_of(tmp_path)) == 2

    shutil.copy(newer, tmp_path / OWN_FILE)
    assert networks_of(tmp_path) == [second, third]


def test_folder_and_database_of_an_older_release_are_adopted_where_they_match(
    make_url: Callable[[], str], tmp_path: Path
) -> None:
    data, url = tmp_path / "data", make_url()
    network = upload(data, database=url)
    _as_before(data, url)
    assert networks_of(data, database=url) == [network]
    refused(data, "is empty")


@pytest.mark.parametrize("missing", ["row", "folder"])
def test_folder_and_database_of_an_older_release_that_differ_are_a_choice(
    make_url: Callable[[], str], tmp_path: Path, missing: str
) -> None:
    data, url, new = tmp_path / "data", make_url(), make_url()
    upload(data, database=url)
    _as_before(data, url)
    if missing == "row":
        refused(data, "0 networks of the database .* and 1 folders there .*--adopt", database=new)
        assert networks_of(data, database=new, adopt=True) == []
        assert len(list((data / "swept").iterdir())) == 1
        # Its own database has it back.
        assert len(networks_of(data, database=url, adopt=True)) == 1
    else:
        kept = shutil.move(data / "networks" / folders_of(data).pop(), tmp_path / "kept")
        refused(data, "1 networks of the database .* and 0 folders there .*--adopt", database=url)
        with serving(data, database=url, adopt=True) as service:
            assert len(service.services.missing) == 1
        assert Path(kept).exists()


def _as_before(data: Path, url: str) -> None:
    """Make a folder and a database as the last release left them."""
    (data / "service.json").unlink()
    database = Database(ServiceSettings(data=data, database=url))
    with database.writing() as session:
        session.execute(update(Format).values(number=1))
        Base.metadata.tables["identity"].drop(session.connection())
    database.close()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": "a"}'])
def test_record_that_is_damaged_says_what_to_do(tmp_path: Path, content: str) -> None:
    network = upload(tmp_path)
    (tmp_path / "service.json").write_text(content)
    refused(
        tmp_path,
        r"service.json, .* is damaged \(.*\): restore it .* or remove it and start once with --adopt",
    )
    (tmp_path / "service.json").unlink()
    refused(tmp_path, "belongs to another data folder")
    assert networks_of(tmp_path, adopt=True) == [network]
    assert networks_of(tmp_path) == [network]


@pytest.mark.parametrize("moment", ["before the database", "after the database"])
def test_first_start_that_is_cut_off_goes_on_at_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    plain = Database.prepare

    def prepare(self: Database, identity: str) -> None:
        if moment == "after the database":
            plain(self, identity)
        raise KeyboardInterrupt

    monkeypatch.setattr(Database, "prepare", prepare)
    with pytest.raises(KeyboardInterrupt), serving(tmp_path):
        pass
    monkeypatch.undo()
    network = upload(tmp_path)
    assert networks_of(tmp_path) == [network]


def test_identity_of_a_database_whose_row_is_gone_is_not_guessed(tmp_path: Path) -> None:
    upload(tmp_path)
    database = Database(ServiceSettings(data=tmp_path))
    with database.writing() as session:
        session.execute(delete(Identity))
    database.close()
    refused(tmp_path, "is of a release that kept no identity")


def test_keys_do_not_go_to_the_database_of_an_older_release_beside_the_folders_own(tmp_path: Path) -> None:
    data, older = tmp_path / "data", tmp_path / "older"
    upload(data)
    upload(older)
    url = f"sqlite:///{older / OWN_FILE}"
    _as_before(older, url)
    settings = ServiceSettings(data=older)  # of a folder that knows none either, they are its own
    check_keys(older, Database(settings))
    with pytest.raises(PostprocError, match="is of a release that kept no identity"):
        check_keys(data, Database(ServiceSettings(data=data, database=url)))


def test_folder_keeps_no_password(postgres: Callable[[], str], tmp_path: Path) -> None:
    url = postgres().replace("postgres@", "postgres:hunter2@")
    with serving(tmp_path, database=f"{url}&passfile=/nowhere"):
        pass
    assert "hunter2" not in (tmp_path / "service.json").read_text()
    file = tmp_path / "url"
    file.write_text(url)
    with serving(tmp_path, database_file=file):
        pass
    text = (tmp_path / "service.json").read_text()
    assert "hunter2" not in text
    assert str(file) in text


def test_upload_that_got_no_row_is_moved_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path) as service:

        def fail(*_: Any) -> None:
            raise sqlite3.OperationalError("as if it was away")

        monkeypatch.setattr(service.services.networks, "add", fail)
        assert post_network(service.client).status_code == 500
    assert folders_of(tmp_path) == set()
    assert len(list((tmp_path / "swept").iterdir())) == 1


def test_deletion_that_fails_keeps_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path) as service:
        network = make_version(service.client)["network_id"]

        def fail(*_: Any) -> None:
            raise sqlite3.OperationalError("as if it was away")

        monkeypatch.setattr(service.services.networks, "remove", fail)
        assert service.client.delete(f"/networks/{network}").status_code == 500
        monkeypatch.undo()
        made(service.client.post(f"/networks/{network}/inference", files=IMAGE))
        assert not list(tmp_path.glob("networks/*/unsettled"))
    assert networks_of(tmp_path) == [network]


def test_backup_beside_the_log_of_a_crash_is_refused_and_kept_whole(tmp_path: Path) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup"
    network = upload(data)
    log, kept = data / f"{OWN_FILE}-wal", tmp_path / "log"
    with serving(data) as service:
        with closing(sqlite3.connect(data / OWN_FILE)) as database:
            database.execute(f"VACUUM INTO '{backup}'")
        make_network(service.client)
        shutil.copy(log, kept)  # as a kill -9 leaves it
    shutil.copy(backup, data / OWN_FILE)
    shutil.copy(kept, log)
    refused(data, f"log is still there and would damage it: remove {log}")
    log.unlink()
    assert networks_of(data) == [network]
