"""The objects that the service answers with, as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from postproc.schema import PostProcessing, Preprocessing, SpecOutput
from postproc.service.store.tables import Network, Spec, as_fields
from postproc.service.store.versions import NamedVersion

Item = TypeVar("Item")
Identifier = int | str


class FieldProblem(BaseModel):
    """One of several things that are wrong with a body."""

    field: str = Field(description="Its path in the body; empty for the whole.")
    message: str


class ErrorDetails(BaseModel):
    """What is wrong."""

    message: str = Field(description="What was found, what was expected, what to do.")
    field: str | None = Field(default=None, description="Path of what is wrong in the body.")
    fields: list[FieldProblem] | None = Field(default=None, description="All that is wrong in the body.")


class Error(BaseModel):
    """The body of every answer of 4xx and 5xx but that of /readyz."""

    error: ErrorDetails
    detail: str = Field(description="The same message, where the vendor's documentation has it.")


class Listing(BaseModel, Generic[Item]):
    """A page of a list."""

    count: int = Field(description="Length of the whole list.")
    next: str | None = Field(description="URL of the next page.")
    previous: str | None = Field(description="URL of the previous page.")
    prev: str | None = Field(description="The same, by the name that the vendor's client reads.")
    results: list[Item]


class NetworkAnswer(BaseModel):
    """A network."""

    id: Identifier = Field(description="Integer; a text for a public one.")
    name: str
    description: str
    metadata: dict[str, Any]
    framework: str
    preprocessing: Preprocessing
    postprocessings: list[Any]
    task_id: int | None = Field(description="Task of its upload, which is done.")
    create_date: str | None
    update_date: str | None

    @classmethod
    def document(cls, network: Network) -> dict[str, Any]:
        """Return a row as JSON-ready dict."""
        return as_fields(network, cls.model_fields)


class SpecRow(BaseModel):
    """A recognition spec, as lists have it."""

    model_config = ConfigDict(extra="allow")

    id: Identifier = Field(description="Integer; a text for a public one.")
    name: str
    description: str
    metadata: dict[str, Any]
    task_id: int | None
    create_date: str | None
    update_date: str | None
    current_version_id: Identifier | None = Field(description="The version that serves this spec.")

    @classmethod
    def document(cls, spec: Spec) -> dict[str, Any]:
        """Return a row as JSON-ready dict."""
        return {**spec.extra, **as_fields(spec, cls.model_fields)}


class SpecAnswer(SpecRow):
    """A recognition spec."""

    outputs: list[SpecOutput]


class VersionRow(BaseModel):
    """A recognition version, as lists have it."""

    model_config = ConfigDict(extra="allow")

    id: Identifier = Field(description="Integer; a text for a public one.")
    spec_id: Identifier
    spec_name: str
    network_id: Identifier
    network_name: str
    update_date: str | None

    @classmethod
    def document(cls, named: NamedVersion) -> dict[str, Any]:
        """Return a row as JSON-ready dict."""
        version = named.version
        others = {
            "spec_name": named.spec_name,
            "network_id": named.public_network or version.network_id,
            "network_name": named.network_name,
        }
        own = {name: others[name] if name in others else getattr(version, name) for name in cls.model_fields}
        return {**version.extra, **own}


class VersionAnswer(VersionRow):
    """A recognition version."""

    post_processings: list[PostProcessing]


class TaskAnswer(BaseModel):
    """What became of a request."""

    id: int
    status: Literal["pending", "success", "error"]
    error: str | None = Field(description="Why it failed.")
    date_created: str
    date_updated: str | None
    data: dict[str, Any] | None = Field(description="Its result.")
    subtasks: None


class Started(BaseModel):
    """The task of an inference."""

    task_id: int = Field(description="Ask for it with GET /v0.7/tasks/{task_id}/.")


class Account(BaseModel):
    """Whose key it is."""

    name: str


class Store(BaseModel):
    """Outcomes of tasks on their way to the database."""

    behind: int = Field(description="How many wait to be written.")
    seconds: float = Field(description="How long the oldest of them waits.")


class Health(BaseModel):
    """How the service is."""

    status: Literal["ok", "degraded"] = Field(
        description="Degraded where the database is away or takes no writes, results wait long for it, the "
        "store or the cluster is away, files of networks are missing, or networks are held back."
    )
    version: str = Field(description="Release of postproc.")
    kernels: Literal["compiling", "ready"] = Field(
        description="Whether all are compiled; until then, a first image may wait for its own."
    )
    files: Literal["ok", "away"] = Field(
        description="Whether the store of network files answers; a data folder always does."
    )
    networks: Literal["ok", "away"] = Field(
        description="Whether what runs networks can be reached; without a cluster it always can."
    )
    missing_networks: int = Field(description="Networks whose files are not in the data folder or the store.")
    held_networks: int = Field(
        description="Networks that are held back since three of their calls in a row hung or crashed."
    )
    database: Literal["ok", "read-only", "away"] = Field(
        description="Whether it answers within a second, and takes writes, as far as is known."
    )
    store: Store
    reasons: list[str] = Field(description="Why requests cannot be taken now; empty where they can.")
