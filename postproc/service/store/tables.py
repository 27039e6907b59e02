"""The tables of the database.

Times are texts, ISO 8601 in UTC with microseconds: they sort as they are, and every database keeps them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    DateTime,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Text,
    case,
    func,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

LARGEST_ID = 2**63 - 1
PUBLIC = ""  # the tenant of public networks, which versions name by rows as others; no key has it
PENDING, SUCCESS, ERROR = "pending", "success", "error"

_Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself in an INTEGER only


def as_time(moment: datetime) -> str:
    """Write a moment as the tables and the answers hold it."""
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def now() -> str:
    """Return the time, as the tables and the answers hold it."""
    return as_time(datetime.now(timezone.utc))


def as_columns(fields: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Pick fields by name, and call them as the rows do: SQLAlchemy keeps ``metadata`` to itself."""
    return {"meta" if name == "metadata" else name: fields[name] for name in names if name in fields}


def as_fields(row: Any, names: Collection[str]) -> dict[str, Any]:
    """Read columns of a row by the names of its fields: the way back of `as_columns`."""
    return {name: getattr(row, "meta" if name == "metadata" else name) for name in names}


class Base(DeclarativeBase):
    """What all tables share."""

    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON, str: Text}  # noqa: RUF012 - SQLAlchemy's name


class _Numbered(Base):
    """Rows with an id, which SQLite too never gives twice."""

    __abstract__ = True
    __table_args__: Any = {"sqlite_autoincrement": True}  # noqa: RUF012 - as above

    id: Mapped[int] = mapped_column(_Id, primary_key=True)


class Format(Base):
    """One row: the format of this database, so that another release knows what it has before it."""

    __tablename__ = "format"

    number: Mapped[int] = mapped_column(Integer, primary_key=True)


class Identity(Base):
    """One row: the identity that the data folder knows too, see `postproc.service.store.identity`."""

    __tablename__ = "identity"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)


class ApiKey(_Numbered):
    """An API key, of which only a digest is kept."""

    __tablename__ = "key"

    tenant: Mapped[str]
    prefix: Mapped[str] = mapped_column(String(8), index=True)  # of the digest, to find it by
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    create_date: Mapped[str] = mapped_column(String(27))


class _Owned(_Numbered):
    """Rows that belong to a tenant."""

    __abstract__ = True

    tenant: Mapped[str] = mapped_column(Text, index=True)


class _Described(_Owned):
    """Rows that a person names and describes."""

    __abstract__ = True

    name: Mapped[str]
    description: Mapped[str]
    meta: Mapped[dict[str, Any]] = mapped_column("metadata", JSON)
    task_id: Mapped[int | None] = mapped_column(_Id)
    create_date: Mapped[str] = mapped_column(String(27))
    update_date: Mapped[str] = mapped_column(String(27))


class Network(_Described):
    """A network whose files lie in ``networks/<folder>`` of the data folder.

    One of the tenant `PUBLIC` stands for the public network that its folder names, and has no files there.
    """

    __tablename__ = "network"

    framework: Mapped[str]
    preprocessing: Mapped[dict[str, Any]] = mapped_column(JSON)
    postprocessings: Mapped[list[Any]] = mapped_column(JSON)
    folder: Mapped[str] = mapped_column(String(32), unique=True)
    report: Mapped[dict[str, Any]] = mapped_column(JSON)  # what its check found

    @hybrid_property
    def public_id(self) -> str | None:
        """Return what the API calls a public network; None for others."""
        return self.folder if self.tenant == PUBLIC else None

    @public_id.inplace.expression
    @classmethod
    def _public_id(cls) -> ColumnElement[str | None]:
        return case((cls.tenant == PUBLIC, cls.folder))


class Spec(_Described):
    """A recognition spec."""

    __tablename__ = "spec"

    outputs: Mapped[list[Any]] = mapped_column(JSON)
    extra: Mapped[dict[str, Any]] = mapped_column(
        JSON
    )  # fields that v0.7 does not know, given back as they came
    # No foreign key, which would go in a circle: what deletes versions sees to it (`store.common`).
    current_version_id: Mapped[int | None] = mapped_column(_Id)


class Version(_Owned):
    """A recognition version; goes with its spec and with its network."""

    __tablename__ = "version"

    spec_id: Mapped[int] = mapped_column(_Id, ForeignKey("spec.id", ondelete="CASCADE"), index=True)
    network_id: Mapped[int] = mapped_column(_Id, ForeignKey("network.id", ondelete="CASCADE"), index=True)
    post_processings: Mapped[list[Any]] = mapped_column(JSON)
    extra: Mapped[dict[str, Any]] = mapped_column(JSON)
    update_date: Mapped[str] = mapped_column(String(27))


class Task(_Owned):
    """What became of a request; the task of a network's upload stays as long as the network."""

    __tablename__ = "task"

    status: Mapped[str] = mapped_column(String(7), index=True)
    error: Mapped[str | None]
    data: Mapped[str | None]  # JSON text: written and read whole
    network_id: Mapped[int | None] = mapped_column(
        _Id, ForeignKey("network.id", ondelete="CASCADE"), index=True
    )
    date_created: Mapped[str] = mapped_column(String(27))
    date_updated: Mapped[str | None] = mapped_column(String(27), index=True)


# What follows is made only where front ends share a database. Its times are the database's own, by one clock.
_OF_FRONT_ENDS = {"info": {"is_of_front_ends": True}}


class StoredFile(Base):
    """A file of a network in the store: its path among the network's files, and its content by digest."""

    __tablename__ = "network_file"
    __table_args__: Any = _OF_FRONT_ENDS

    network_id: Mapped[int] = mapped_column(
        _Id, ForeignKey("network.id", ondelete="CASCADE"), primary_key=True
    )
    path: Mapped[str] = mapped_column(Text, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), index=True)
    size: Mapped[int] = mapped_column(BigInteger)


class FrontEnd(Base):
    """A front end that lives until `expires`, unless it says before that it does for longer."""

    __tablename__ = "front_end"
    __table_args__: Any = _OF_FRONT_ENDS

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str]
    expires: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Usage(Base):
    """Seconds of networks' calls that tenants have had of a front end, for the others to read."""

    __tablename__ = "usage"
    __table_args__: Any = _OF_FRONT_ENDS

    front_end: Mapped[str] = mapped_column(
        String(32), ForeignKey("front_end.id", ondelete="CASCADE"), primary_key=True
    )
    seconds: Mapped[dict[str, Any]] = mapped_column(JSON)


class Lease(Base):
    """A pending task, which front end runs it, and what another one needs to do so."""

    __tablename__ = "lease"
    __table_args__: Any = _OF_FRONT_ENDS

    task_id: Mapped[int] = mapped_column(_Id, ForeignKey("task.id", ondelete="CASCADE"), primary_key=True)
    tenant: Mapped[str]
    front_end: Mapped[str | None] = mapped_column(String(32), index=True)  # None: whoever comes first
    losses: Mapped[int] = mapped_column(Integer, default=0)  # front ends that had it, and died
    created: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.clock_timestamp())
    request: Mapped[dict[str, Any]] = mapped_column(JSON)
    images: Mapped[bytes] = mapped_column(LargeBinary)


class Resumption(_Numbered):
    """That a network which is held back may run again, for every front end to read."""

    __tablename__ = "resumption"
    __table_args__: Any = {**_Numbered.__table_args__, **_OF_FRONT_ENDS}  # noqa: RUF012 - as above

    network: Mapped[str]
    is_public: Mapped[bool]
    created: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.clock_timestamp())
