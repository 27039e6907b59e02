"""That a data folder and a database belong together: both know one identity.

Rows name folders, and with the wrong database every folder would be one without a row. The folder's part also
says where its database lies, so that `postproc keys` finds it.
"""

from __future__ import annotations

import uuid
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from postproc.disk import whole_file
from postproc.errors import PostprocError
from postproc.service.settings import ServiceSettings
from postproc.service.store.database import OWN_FILE, Contents, Database, shown, without_secrets
from postproc.service.store.networks import NetworkStore

_FILE = "service.json"
_CHOICE = (
    "if these two shall belong together from now on, start once with --adopt, which moves folders that the "
    "database does not know aside. Nothing was changed"
)


class Record(BaseModel):
    """What a data folder knows of its service.

    Parameters
    ----------
    id : str
        The identity.
    is_joined : bool
        Whether the database knows it too; False only while the first start writes both.
    database : str or None
        URL of the database, without its password; None for the file in the folder.
    database_file : str or None
        The file that holds the whole URL.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    is_joined: bool
    database: str | None
    database_file: str | None


def read_record(data: Path) -> Record | None:
    """Return what a data folder knows; None before the first start of a service on it.

    Raises
    ------
    PostprocError
        If its file cannot be read.
    """
    path = data / _FILE
    try:
        return Record.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PostprocError(f"cannot read {path}, which names the database of this folder: {error}") from None
    except ValidationError as error:
        raise PostprocError(
            f"{path}, which names the database of this folder, is damaged ({error.errors()[0]['msg']}): "
            "restore it from a backup, or remove it and start once with --adopt and the database it named"
        ) from None


def settings_of(data: Path) -> ServiceSettings:
    """Return settings with the database that the last service on a data folder used."""
    record = read_record(data)
    if record is None:
        return ServiceSettings(data=data)
    if record.database_file is not None:
        return ServiceSettings(data=data, database_file=Path(record.database_file))
    return ServiceSettings(data=data, database=record.database)


def check(settings: ServiceSettings, database: Database, folders: set[str]) -> None:
    """Make sure that a data folder and a database may be joined; to be asked before anything is locked.

    A service that does not belong to a database must not hold its lock, even for a moment: the one that does
    may have lost it in an outage, and would end if another had it.

    Raises
    ------
    PostprocError
        If they do not belong together.
    """
    if settings.adopt:
        return
    record, contents = read_record(settings.data), database.contents()
    known = None if contents is None else contents.identity
    if record is not None and (record.is_joined or known is not None):
        if record.id == known:
            return
        raise PostprocError(f"{_disagreement(settings.data, record, database, contents)}; {_CHOICE}")
    if known is not None:
        raise PostprocError(
            f"the database {shown(database.url)} belongs to another data folder than {settings.data}, which "
            f"is new: start with the folder of that service; {_CHOICE}"
        )
    rows = NetworkStore(database).folders() if contents is not None else set()
    if rows != folders:
        raise PostprocError(
            f"cannot tell whether the folder {settings.data} and the database {shown(database.url)} belong "
            f"together: {len(rows - folders)} networks of the database have no folder there, and "
            f"{len(folders - rows)} folders there are of no network of the database. If another database is "
            f"that folder's, start with it (--database); {_CHOICE}"
        )


def join(settings: ServiceSettings, database: Database, folders: set[str]) -> None:
    """Make sure that a data folder and a database belong together, and have the database ready.

    Both new, or both of a release that knew no identity and with the same networks: they get one.

    Parameters
    ----------
    settings : ServiceSettings
        Names the folder; `adopt` lets what does not belong together do so from now on.
    database : Database
        Locked, and not prepared yet.
    folders : set of str
        The networks' folders that are there.

    Raises
    ------
    PostprocError
        If they do not belong together: nothing was changed.
    """
    check(settings, database, folders)  # again: another service may have changed them until it ended
    record, contents = read_record(settings.data), database.contents()
    known = None if contents is None else contents.identity
    has_known = record is not None and record.id == known
    identity = record.id if record is not None and (has_known or not record.is_joined) else uuid.uuid4().hex
    url = without_secrets(database.url)
    own = database.file is not None and database.file == settings.data.absolute() / OWN_FILE
    file = settings.database_file
    new = Record(
        id=identity,
        is_joined=has_known,
        database=None if own else url.render_as_string(),
        database_file=None if file is None else str(file.absolute()),
    )
    if new != record:
        _write(settings.data, new)
    database.prepare(identity)
    if not has_known:
        _write(settings.data, new.model_copy(update={"is_joined": True}))


def check_keys(data: Path | None, database: Database) -> None:
    """Make sure that keys go to a database that a service has prepared, and that is the folder's own.

    Front ends that share a database have no folder that would name it.

    Raises
    ------
    PostprocError
        If there is none, or it belongs to another folder.
    """
    contents = database.contents()
    if contents is None:
        start = "--store URL" if data is None else f"--data {data}"
        raise PostprocError(
            f"no service has used the database {shown(database.url)} yet: `postproc serve {start}` "
            f"makes it{'' if data is None else ', and its first key'}; a service on another database is "
            "found by --database"
        )
    if data is None:
        return
    record = read_record(data)
    is_told = record is not None and (record.is_joined or contents.identity is not None)
    if record is not None and is_told and contents.identity != record.id:
        raise PostprocError(_disagreement(data, record, database, contents))


def _disagreement(data: Path, record: Record, database: Database, contents: Contents | None) -> str:
    given = shown(database.url)
    own = f"sqlite:///{data.absolute() / OWN_FILE}" if record.database is None else record.database
    if contents is None:
        what = "is empty"
    elif contents.identity is None:
        what = "is of a release that kept no identity"
    else:
        what = "belongs to another folder"
    if own == given:
        return (
            f"the database {given} {what}, and the folder {data} has used another: restore it from a backup"
        )
    return (
        f"the folder {data} belongs to the database {own}, and {given} {what}: start with the former "
        "(--database), or with another folder"
    )


def _write(data: Path, record: Record) -> None:
    with whole_file(data / _FILE) as path:
        path.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
