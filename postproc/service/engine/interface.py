"""What a service asks of the engine that runs its networks: `engine.Engine`, in processes of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from postproc.pipeline import PostProcessor
from postproc.service.work import NetworkFiles, Work


class InferenceEngine(Protocol):
    """Runs networks on the images of requests, and tells outcomes, each once.

    The order of a request: `open`, `prepare`, `reserve`, a task is written down, `submit`. What the steps
    hand each other is the engine's own affair, but for ``release()`` of what `reserve` gives. An outcome
    whose error is `postproc.service.work.STOPPED` says that the task did not run, and may run elsewhere.
    """

    def start(self) -> None:
        """Start."""

    def stop(self) -> None:
        """Run what waits for some seconds; returns when all outcomes are told."""

    @property
    def held_networks(self) -> int:
        """How many networks are held back since their calls hung or crashed."""

    @property
    def is_away(self) -> bool:
        """Whether what runs networks is away, and will be back."""

    @property
    def is_warm(self) -> bool:
        """Whether all that `warm` was told of is ready."""

    def warm(self, posts: Iterable[PostProcessor]) -> None:
        """Make post-processors ready, in the background."""

    def open(self, network: NetworkFiles, inputs: Sequence[Any]) -> Any:
        """Check the inputs of a request; raises an `ApiError` that names what is wrong."""

    async def prepare(self, tenant: str, opened: Any) -> Any:
        """Make tensors of what was opened."""

    def reserve(self, inputs: Any, tenant: str, *, is_due: bool = False) -> Any:
        """Take a place for a task, or raise a `QueueFullError`; one of another front end `is_due`."""

    def submit(self, task_id: int, work: Work, ticket: Any) -> None:
        """Queue a task on a place that was reserved."""

    def had(self) -> Mapping[str, float]:
        """Return the seconds of calls that tenants have had, of those who came lately."""

    def share(self, held: Mapping[str, int], had: Mapping[str, float]) -> None:
        """Take into account what tenants hold in other front ends, and have had of them since the last time.

        Parameters
        ----------
        held : mapping of str to int
            Tasks.
        had : mapping of str to float
            Seconds of calls.
        """

    def forget_network(self, network_id: int | str) -> None:
        """Drop what is loaded of a network that was deleted; its waiting tasks end in error."""

    def resume(self, network_id: int | str) -> None:
        """Let a network run again that is held back."""
