"""What the routes and the engine hand each other."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from postproc.schema import Preprocessing
from postproc.service.tracing import Trace

if TYPE_CHECKING:
    from postproc.pipeline import PostProcessor

STOPPED = "the service was stopped before this task was done; send it again"
FAILED = "the service failed to run this task; its log says why"
UNLOADABLE = "the network cannot be loaded; the service's log says why"
LOST = "the service lost this task; send it again"

# Seconds beyond the time of a task in which its outcome is told, whatever fails.
TASK_MARGIN = 15.0


@dataclass(frozen=True)
class NetworkFiles:
    """A network as it lies on the disk.

    Parameters
    ----------
    id : int or str
        Of the network; a text for a public one.
    folder : Path
        Where the files lie that the preprocessing names.
    model : Path
        The ONNX file.
    preprocessing : Preprocessing
        How images become its inputs.
    """

    id: int | str
    folder: Path
    model: Path
    preprocessing: Preprocessing


@dataclass(frozen=True)
class TargetName:
    """What a request names to be run on its inputs.

    Parameters
    ----------
    kind : str
        ``version`` for recognition, ``network`` for tensors.
    id : int or str
        Of it; a text for a public one.
    """

    kind: Literal["version", "network"]
    id: int | str


@dataclass(frozen=True)
class TaskRequest:
    """A request as it came, with which another front end can run its task.

    Parameters
    ----------
    target : TargetName
        What runs.
    options : dict
        The rest of the body, as JSON holds it; sources of images are None.
    images : list of bytes
        Each input's image: its content, base64, data URI or URL.
    request_id : str
        Of the HTTP request, for logs.
    trace : mapping of str to str
        The span that what becomes of it belongs to.
    """

    target: TargetName
    options: dict[str, Any]
    images: list[bytes]
    request_id: str = ""
    trace: Trace = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """What a task computes.

    Parameters
    ----------
    network : NetworkFiles
        What runs.
    post : PostProcessor or None
        What its tensors go through; None: the tensors themselves are the result.
    key : hashable
        Works with equal keys may share a network call: the version's id.
    inputs : object
        What `Engine.prepare` returned.
    show_discarded : bool
        As of `PostProcessor`.
    max_predictions : int
        As of `PostProcessor`.
    tenant : str
        Whose task it is.
    age : float
        Seconds since it was acknowledged, where another front end did that.
    request_id : str
        Of the HTTP request, for logs.
    trace : mapping of str to str
        The span that what becomes of it belongs to.
    """

    network: NetworkFiles
    post: PostProcessor | None
    key: Hashable
    inputs: Any
    show_discarded: bool = False
    max_predictions: int = 100
    tenant: str = ""
    age: float = 0.0
    request_id: str = ""
    trace: Trace = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What came of a task.

    Parameters
    ----------
    task_id : int
        Of the task.
    data : str or None
        Its result as JSON text.
    error : str or None
        Why there is none.
    tenant : str
        Whose task it is.
    trace : mapping of str to str
        As of its `Work`.
    """

    task_id: int
    data: str | None
    error: str | None
    tenant: str = ""
    trace: Trace = field(default_factory=dict)


class Outcomes(Protocol):
    """What takes the outcomes of tasks: `postproc.service.store.reporting.Reporter`."""

    def put(self, outcomes: Sequence[Outcome]) -> None:
        """Keep outcomes; waits for some seconds at most."""

    def has_room(self, tenant: str) -> bool:
        """Tell whether a result of a tenant would be kept at once."""
