"""What a process that runs networks is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from numpy.typing import NDArray

from postproc.onnx_runner.session import Provider
from postproc.service.tracing import Trace
from postproc.service.work import NetworkFiles
from postproc.transforms import ImageTransform

Stage: TypeAlias = Literal["load", "network"]
"""What a call is at: loading a network or kernels, or all else."""

Trouble: TypeAlias = Literal["failed", "unloadable", "apart", "stopped"]
"""Why there are no results: the run failed, the network cannot be loaded, its outputs cannot be told apart
(the requests have to run one by one), or the run was told to stop."""

Give: TypeAlias = "Callable[[int, str | None, str | None], None]"
"""Takes the result of a request: its row in the call, the result as JSON text, or an error."""


@dataclass(frozen=True)
class NetworkModel:
    """A network as a process loads it.

    Parameters
    ----------
    id : int or str
        Of the network.
    path : Path
        The ONNX file.
    size : int
        Bytes of the file, and of all files beside it.
    batched_output, batched_input : bool
        As of its preprocessing.
    """

    id: int | str
    path: Path
    size: int = field(compare=False)
    batched_output: bool
    batched_input: bool

    @classmethod
    def of(cls, network: NetworkFiles) -> NetworkModel:
        """Look how large a network is."""
        size = 0
        with suppress(OSError):  # the files are gone, which loading reports
            size = sum(path.stat().st_size for path in network.model.parent.rglob("*") if path.is_file())
        how = network.preprocessing
        return cls(network.id, network.model, size, how.batched_output, how.batched_input)


@dataclass(frozen=True)
class NetworkCall:
    """One call of a network for several requests.

    Parameters
    ----------
    model : NetworkModel
        What runs.
    post : bytes or None
        The `PostProcessor` that its tensors go through, pickled; None: the tensors themselves are the result.
    tensors : mapping of str to ndarray
        Its inputs, a row a request.
    transforms : tuple of ImageTransform
        One a request.
    show_discarded : bool
        As of `PostProcessor`.
    max_predictions : int
        As of `PostProcessor`.
    request_ids : tuple of str
        Of the HTTP requests, for logs.
    trace : mapping of str to str
        The span of this call.
    """

    model: NetworkModel
    post: bytes | None
    tensors: Mapping[str, NDArray[Any]]
    transforms: tuple[ImageTransform, ...]
    show_discarded: bool = False
    max_predictions: int = 100
    request_ids: tuple[str, ...] = ()
    trace: Trace = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.transforms)


@dataclass(frozen=True)
class HostSettings:
    """Settings of a process that runs networks.

    Parameters
    ----------
    memory : int
        Most bytes that loading and running networks takes.
    max_result_bytes : int
        Largest result of a request.
    providers : tuple, optional
        ONNX Runtime's execution providers by precedence; CUDA where it works if left out.
    intra_op_threads : int, optional
        Threads that share an operator; one a core if left out.
    """

    memory: int
    max_result_bytes: int
    providers: tuple[Provider, ...] | None = None
    intra_op_threads: int | None = None


@dataclass(frozen=True)
class Answer:
    """What came of a call, beside its results.

    Parameters
    ----------
    trouble : str or None
        Why there are no results.
    error : str
        What the person who sent the request is told of it.
    log : str
        What the log is told of it.
    network_seconds, post_seconds : float
        Time in the network, and in what follows.
    loads, evictions : int
        Networks that were loaded for the call, and unloaded for lack of memory.
    networks, bytes : int
        Networks that are loaded now, and the memory of them and of what their runs left for the next.
    is_worn : bool
        Whether memory is lost, so that a new process had better take its place.
    """

    trouble: Trouble | None = None
    error: str = ""
    log: str = ""
    network_seconds: float = 0.0
    post_seconds: float = 0.0
    loads: int = 0
    evictions: int = 0
    networks: int = 0
    bytes: int = 0
    is_worn: bool = False


class LostError(Exception):
    """What ran a call is gone, through no fault of the call, which may run elsewhere."""


class NetworkCaller(Protocol):
    """Runs calls of networks, one at a time: `NetworkProcess`, or what stands in its place."""

    last: Answer
    networks: set[int | str]

    @property
    def is_started(self) -> bool:
        """Whether it has been started."""

    def start(self) -> None:
        """Start it, for its first call not to wait for that."""

    def run(self, call: NetworkCall, parts: Mapping[str, Sequence[NDArray[Any]]], give: Give) -> Answer:
        """Run a network; raises a `HungError`, a `CrashError` or a `LostError`."""

    def forget(self, network_id: int | str) -> None:
        """Unload a network that was deleted."""

    def close(self) -> None:
        """End what runs."""
