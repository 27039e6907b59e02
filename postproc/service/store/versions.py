"""The recognition versions of a tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import defer

from postproc.service.errors import ApiError, not_found
from postproc.service.store.common import SizedRow, forget_current_versions, remove, sized_page
from postproc.service.store.database import Database
from postproc.service.store.tables import Network, Spec, Version, now

_TEXTS = Version.extra, Spec.name, Network.name
_NAMED: Any = Version, Spec.name, Network.name, Network.public_id


@dataclass(frozen=True)
class NamedVersion:
    """A version, the names of what it belongs to, and the id of its network where that is public."""

    version: Version
    spec_name: str
    network_name: str
    public_network: str | None


class VersionStore:
    """Rows of recognition versions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, spec: Spec, network: Network, post_processings: list[Any], extra: Mapping[str, Any]
    ) -> Version:
        """Keep a version; the first of a spec becomes its current one."""
        moment = now()
        try:
            with self._database.writing() as session:
                version = Version(
                    tenant=spec.tenant,
                    spec_id=spec.id,
                    network_id=network.id,
                    post_processings=post_processings,
                    extra=dict(extra),
                    update_date=moment,
                )
                session.add(version)
                session.flush()
                session.execute(
                    update(Spec)
                    .where(Spec.id == spec.id, Spec.current_version_id.is_(None))
                    .values(current_version_id=version.id)
                )
        except IntegrityError:
            raise ApiError(
                409, f"spec {spec.id} or network {network.id} was deleted while the version was checked"
            ) from None
        return version

    def get(self, tenant: str, identifier: int) -> NamedVersion:
        """Return a version, or raise a 404."""
        return NamedVersion(*self._one(tenant, identifier, *_NAMED))

    def network_of(self, tenant: str, identifier: int) -> Network:
        """Return the network of a version, or raise a 404."""
        network: Network = self._one(tenant, identifier, Network)[0]
        return network

    def documents(self, tenant: str, identifier: int) -> tuple[list[Any], list[Any]]:
        """Return the outputs of a version's spec, and its post-processings, or raise a 404."""
        outputs, post_processings = self._one(tenant, identifier, Spec.outputs, Version.post_processings)
        return outputs, post_processings

    def foremost(self, count: int) -> Sequence[tuple[str, int]]:
        """Return tenants and ids of versions: the current ones of specs, then others, the newest first."""
        is_other = case((Spec.current_version_id == Version.id, 0), else_=1)
        statement = (
            select(Version.tenant, Version.id)
            .join(Spec, Version.spec_id == Spec.id)
            .order_by(is_other, Version.id.desc())
            .limit(count)
        )
        with self._database.reading() as session:
            return [(tenant, identifier) for tenant, identifier in session.execute(statement)]

    def list(
        self,
        tenant: str,
        offset: int,
        limit: int,
        after_id: int | None = None,
        *,
        max_bytes: int,
        spec_id: int | None = None,
    ) -> tuple[int, list[SizedRow]]:
        """Return how many versions there are, and a page of them, see `sized_page`.

        They are those of one spec if it is named, or a 404.
        """
        own = _with_parents(tenant, Version.id)
        with self._database.reading() as session:
            if spec_id is not None:
                is_it = Spec.id == spec_id, Spec.tenant == tenant
                if session.scalar(select(Spec.id).where(*is_it)) is None:
                    raise not_found("spec", spec_id)
                own = own.where(Version.spec_id == spec_id)
            return sized_page(session, own, _TEXTS, offset, limit, after_id, max_bytes=max_bytes)

    def listed(self, tenant: str, identifiers: Sequence[int]) -> Sequence[NamedVersion]:
        """Return these versions without their post-processings; those that are gone are left out."""
        own = _with_parents(tenant, *_NAMED).where(Version.id.in_(identifiers)).order_by(Version.id)
        with self._database.reading() as session:
            rows = session.execute(own.options(defer(Version.post_processings, raiseload=True)))
            return [NamedVersion(*row) for row in rows]

    def remove(self, tenant: str, identifier: int) -> None:
        """Delete a version, or raise a 404."""
        with self._database.writing() as session:
            remove(session, Version, tenant, identifier)
            forget_current_versions(session, tenant)

    def _one(self, tenant: str, identifier: int, *columns: Any) -> Any:
        """Return columns of a version and of what it belongs to, or raise a 404."""
        with self._database.reading() as session:
            row = session.execute(_with_parents(tenant, *columns).where(Version.id == identifier)).first()
        if row is None:
            raise not_found("version", identifier)
        return row


def _with_parents(tenant: str, *columns: Any) -> Any:
    return (
        select(*columns)
        .join_from(Version, Spec, Version.spec_id == Spec.id)
        .join(Network, Version.network_id == Network.id)
        .where(Version.tenant == tenant)
    )
