"""The recognition specs of a tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import defer

from postproc.service.errors import InputError
from postproc.service.store.common import SizedRow, owned, remove, sized_page
from postproc.service.store.database import Database
from postproc.service.store.tables import Spec, Version, now

_TEXTS = Spec.name, Spec.description, Spec.meta, Spec.extra


class SpecStore:
    """Rows of recognition specs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, tenant: str, fields: Mapping[str, Any]) -> Spec:
        """Keep a spec."""
        moment = now()
        with self._database.writing() as session:
            spec = Spec(tenant=tenant, create_date=moment, update_date=moment, **fields)
            session.add(spec)
        return spec

    def get(self, tenant: str, identifier: int) -> Spec:
        """Return a spec, or raise a 404."""
        with self._database.reading() as session:
            return owned(session, Spec, tenant, identifier)

    def list(
        self, tenant: str, offset: int, limit: int, after_id: int | None = None, *, max_bytes: int
    ) -> tuple[int, list[SizedRow]]:
        """Return how many specs there are, and a page of them, see `sized_page`."""
        own = select(Spec.id).where(Spec.tenant == tenant)
        with self._database.reading() as session:
            return sized_page(session, own, _TEXTS, offset, limit, after_id, max_bytes=max_bytes)

    def listed(self, tenant: str, identifiers: Sequence[int]) -> Sequence[Spec]:
        """Return these specs without their outputs; those that are gone are left out."""
        own = select(Spec).where(Spec.tenant == tenant, Spec.id.in_(identifiers)).order_by(Spec.id)
        with self._database.reading() as session:
            return session.scalars(own.options(defer(Spec.outputs, raiseload=True))).all()

    def update(self, tenant: str, identifier: int, changes: Mapping[str, Any]) -> Spec:
        """Change fields of a spec and return it.

        Raises
        ------
        ApiError
            A 404 if there is no such spec; a 400 if its new current version is not one of its versions.
        """
        with self._database.writing() as session:
            spec = owned(session, Spec, tenant, identifier)
            current = changes.get("current_version_id")
            if current is not None:
                own = select(Version.id).where(Version.id == current, Version.spec_id == identifier)
                # Locked: it is not deleted before this is written, and then the spec is left without it.
                if session.scalar(own.with_for_update(read=True)) is None:
                    raise InputError(
                        "current_version_id", f"expected a version of spec {identifier}, got {current}"
                    )
            for name, value in changes.items():
                setattr(spec, name, value)
            spec.update_date = now()
        return spec

    def remove(self, tenant: str, identifier: int) -> None:
        """Delete a spec with its versions, or raise a 404."""
        with self._database.writing() as session:
            remove(session, Spec, tenant, identifier)
