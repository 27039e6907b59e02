"""What the stores share: rows of one tenant, by id and in pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import CursorResult, LargeBinary, Text, cast, delete, func, select, update
from sqlalchemy.orm import Session

from postproc.service.errors import not_found
from postproc.service.store.tables import Network, Spec, Version

Row = TypeVar("Row", Network, Spec, Version)


@dataclass(frozen=True)
class SizedRow:
    """A row of a list, before what may be large of it is read.

    Parameters
    ----------
    id : int
        Its id.
    size : int
        Bytes of its texts and JSON documents.
    """

    id: int
    size: int


Sized = TypeVar("Sized", bound=SizedRow)


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


def size_of(session: Session, *columns: Any) -> Any:
    """Return an expression of the bytes that texts and JSON documents of a row have together."""
    if session.get_bind().dialect.name == "postgresql":  # which knows that of a text without reading it
        lengths = [func.octet_length(cast(column, Text)) for column in columns]
    else:
        lengths = [func.length(cast(column, LargeBinary)) for column in columns]
    return sum(func.coalesce(length, 0) for length in lengths)


def sized_page(
    session: Session,
    statement: Any,
    texts: Sequence[Any],
    offset: int,
    limit: int,
    after_id: int | None = None,
    *,
    max_bytes: int,
    kind: Callable[..., Sized] = SizedRow,  # type: ignore[assignment]  # of no other without it
    others: Sequence[Any] = (),
) -> tuple[int, list[Sized]]:
    """Return how many rows there are, and a page of them by ascending ids: pages stay as they are.

    Rows that are deleted between two pages move those of an offset, and not those after an id. The page ends
    with the row that is the first beyond `max_bytes`, or the one after it where that stands alone: a database
    may have to read what it tells the size of, and reads no more.

    Parameters
    ----------
    session : Session
        Where they are read.
    statement : Select
        Of the ids of the rows.
    texts : sequence of columns
        Their texts and JSON documents, whose bytes are the size of a row.
    offset, limit, after_id, max_bytes
        The page.
    kind : callable
        Makes a row, of its id, its size and `others`.
    others : sequence of columns
        What else it takes.
    """
    count = session.scalar(statement.with_only_columns(func.count(), maintain_column_froms=True)) or 0
    if not count:
        return 0, []
    identifier = statement.selected_columns[0]
    if after_id is not None:
        statement = statement.where(identifier > after_id)
    # Within, so that sizes are asked for one after the other, and not of all rows before they are sorted.
    page = statement.add_columns(*texts, *others).order_by(identifier).offset(offset).limit(limit).subquery()
    columns = list(page.c)
    sized, rest = columns[1 : 1 + len(texts)], columns[1 + len(texts) :]
    rows: list[Sized] = []
    size = 0
    selected = select(columns[0], size_of(session, *sized), *rest).order_by(columns[0])
    with session.execute(selected, execution_options={"stream_results": True}) as found:
        for row in found:
            rows.append(kind(*row))
            size += rows[-1].size
            if size > max_bytes and len(rows) > 1:
                break
    return count, rows


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
