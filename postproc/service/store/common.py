"""What the stores share: rows of one tenant, by id and in pages."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import CursorResult, Select, delete, func, select, update
from sqlalchemy.orm import Session

from postproc.service.errors import not_found
from postproc.service.tables import Network, Spec, Version

Row = TypeVar("Row", Network, Spec, Version)


def owned(session: Session, kind: type[Row], tenant: str, identifier: int) -> Row:
    """Return a row of a tenant.

    Raises
    ------
    ApiError
        A 404 if the tenant has no such row.
    """
    row = session.scalar(select(kind).where(kind.id == identifier, kind.tenant == tenant))
    if row is None:
        raise not_found(kind.__tablename__, identifier)
    return row


def counted_rows(
    session: Session, statement: Select[Any], key: Any, offset: int, limit: int, after_id: int | None = None
) -> tuple[int, list[Any]]:
    """Return how many rows there are, and a page of them by ascending `key`: pages stay as they are.

    Rows that are deleted between two pages move those of an offset, and not those after an id.
    """
    count = session.scalar(select(func.count()).select_from(statement.order_by(None).subquery())) or 0
    rows = session.execute(page_of(statement, key, offset, limit, after_id)).all() if count else []
    return count, list(rows)


def page_of(
    statement: Select[Any], key: Any, offset: int, limit: int, after_id: int | None = None
) -> Select[Any]:
    """Return the statement of a page of rows, see `counted_rows`."""
    if after_id is not None:
        statement = statement.where(key > after_id)
    return statement.order_by(key).offset(offset).limit(limit)


def remove(session: Session, kind: type[Row], tenant: str, identifier: int) -> None:
    """Delete a row of a tenant, with what hangs on it; a 404 if the tenant has no such row."""
    result = session.execute(delete(kind).where(kind.id == identifier, kind.tenant == tenant))
    if isinstance(result, CursorResult) and result.rowcount == 0:
        raise not_found(kind.__tablename__, identifier)


def forget_current_versions(session: Session, tenant: str) -> None:
    """Leave the specs whose current version is gone without one; to be called after versions were deleted."""
    own = update(Spec).where(Spec.tenant == tenant, Spec.current_version_id.is_not(None))
    is_there = select(Version.id).where(Version.id == Spec.current_version_id).exists()
    session.execute(own.where(~is_there).values(current_version_id=None))
