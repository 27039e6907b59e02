"""The networks of a tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import defer

from postproc.service.store.common import (
    SizedRow,
    forget_current_versions,
    owned,
    remove,
    sized_page,
)
from postproc.service.store.database import Database
from postproc.service.store.tables import PUBLIC, SUCCESS, Network, StoredFile, Task, now

_TEXTS = (
    *(Network.name, Network.description, Network.meta),
    *(Network.framework, Network.preprocessing, Network.postprocessings),
)


@dataclass(frozen=True)
class FileEntry:
    """A file of a network in a store.

    Parameters
    ----------
    path : str
        Among the network's files, with slashes.
    digest : str
        SHA-256 of its content, as hexadecimal digits.
    size : int
        In bytes.
    """

    path: str
    digest: str
    size: int


class NetworkStore:
    """Rows of networks; their files are those of `postproc.service.store.files`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        tenant: str,
        fields: Mapping[str, Any],
        folder: str,
        report: Mapping[str, Any],
        files: Sequence[FileEntry] = (),
    ) -> Network:
        """Keep a network whose files are in place, with the task of its upload, which is done.

        Where they are in a store, `files` are their entries.
        """
        moment = now()
        with self._database.writing() as session:
            network = Network(
                tenant=tenant,
                folder=folder,
                report=dict(report),
                create_date=moment,
                update_date=moment,
                **fields,
            )
            session.add(network)
            session.flush()
            task = Task(
                tenant=tenant,
                status=SUCCESS,
                data="{}",
                network_id=network.id,
                date_created=moment,
                date_updated=moment,
            )
            session.add(task)
            session.flush()
            network.task_id = task.id
            session.add_all(StoredFile(network_id=network.id, **asdict(entry)) for entry in files)
        return network

    def files(self, folder: str) -> list[FileEntry]:
        """Return the files that a network has in the store."""
        columns = StoredFile.path, StoredFile.digest, StoredFile.size
        statement = select(*columns).join(Network, Network.id == StoredFile.network_id)
        with self._database.reading() as session:
            rows = session.execute(statement.where(Network.folder == folder).order_by(StoredFile.path))
            return [FileEntry(*row) for row in rows]

    def digests(self) -> dict[str, set[str]]:
        """Return the digests of all files that networks have in the store, and whose they are: folders."""
        statement = select(StoredFile.digest, Network.folder).join(
            Network, Network.id == StoredFile.network_id
        )
        found: dict[str, set[str]] = {}
        with self._database.reading() as session:
            for digest, folder in session.execute(statement):
                found.setdefault(digest, set()).add(folder)
        return found

    def get(self, tenant: str, identifier: int) -> Network:
        """Return a network, or raise a 404."""
        with self._database.reading() as session:
            return owned(session, Network, tenant, identifier)

    def public(self, name: str, fields: Mapping[str, Any], report: Mapping[str, Any]) -> Network:
        """Return the row that stands for a public network, made where it is missing."""
        try:
            with self._database.writing() as session:
                is_it = (Network.tenant == PUBLIC, Network.folder == name)
                network = session.scalar(select(Network).where(*is_it))
                if network is None:
                    moment = now()
                    network = Network(tenant=PUBLIC, folder=name, create_date=moment, update_date=moment)
                    session.add(network)
                for field, value in {**fields, "report": dict(report)}.items():  # of this release
                    setattr(network, field, value)
        except IntegrityError:  # another request has just made it
            return self.public(name, fields, report)
        return network

    def list(
        self, tenant: str, offset: int, limit: int, after_id: int | None = None, *, max_bytes: int
    ) -> tuple[int, list[SizedRow]]:
        """Return how many networks there are, and a page of them, see `sized_page`."""
        own = select(Network.id).where(Network.tenant == tenant)
        with self._database.reading() as session:
            return sized_page(session, own, _TEXTS, offset, limit, after_id, max_bytes=max_bytes)

    def listed(self, tenant: str, identifiers: Sequence[int]) -> Sequence[Network]:
        """Return these networks, without the reports of their checks; those that are gone are left out."""
        own = (
            select(Network).where(Network.tenant == tenant, Network.id.in_(identifiers)).order_by(Network.id)
        )
        with self._database.reading() as session:
            return session.scalars(own.options(defer(Network.report, raiseload=True))).all()

    def update(self, tenant: str, identifier: int, changes: Mapping[str, Any]) -> Network:
        """Change fields of a network and return it, or raise a 404."""
        with self._database.writing() as session:
            network = owned(session, Network, tenant, identifier)
            for name, value in changes.items():
                setattr(network, name, value)
            network.update_date = now()
        return network

    def remove(self, tenant: str, identifier: int) -> None:
        """Delete a network with its versions, or raise a 404."""
        with self._database.writing() as session:
            remove(session, Network, tenant, identifier)
            forget_current_versions(session, tenant)

    def folders(self) -> set[str]:
        """Return the folders of all tenants' networks; public ones have none."""
        with self._database.reading() as session:
            return set(session.scalars(select(Network.folder).where(Network.tenant != PUBLIC)))
