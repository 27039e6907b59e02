"""The networks of a tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from postproc.service.store.tables import PUBLIC, SUCCESS, Network, Task, now

_TEXTS = (
    *(Network.name, Network.description, Network.meta),
    *(Network.framework, Network.preprocessing, Network.postprocessings),
)


class NetworkStore:
    """Rows of networks; their files are those of `postproc.service.store.files`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, tenant: str, fields: Mapping[str, Any], folder: str, report: Mapping[str, Any]) -> Network:
        """Keep a network whose files are in place, with the task of its upload, which is done."""
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
        return network

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
