"""The engine of a front end whose networks run on Ray Serve."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import lru_cache

from postproc.errors import PostprocError
from postproc.pipeline import PostProcessor
from postproc.service.engine.engine import Engine
from postproc.service.engine.inputs import Fetch, PreparedInputs
from postproc.service.engine.jobs import Ticket
from postproc.service.engine.networks.calls import NetworkCaller
from postproc.service.errors import QueueFullError
from postproc.service.metrics import Metrics
from postproc.service.on_ray.link import Link
from postproc.service.on_ray.messages import MOST_ONGOING, LinkOrder, NetworkSource
from postproc.service.on_ray.remote import RemoteCaller
from postproc.service.settings import ServiceSettings
from postproc.service.work import Outcomes

_MOST_SOURCES = 4096


class RayEngine(Engine):
    """Prepares inputs, queues them and makes calls of them as `Engine`; replicas on Ray Serve run the calls.

    What stays here is what is about tenants and tasks: places, turns, which requests share a call, which
    networks are held back, and when a task is late. Ray Serve chooses the replica, one that knows the network
    if it can, lets calls wait for one, has as many as calls want, and renews those that die. Which requests
    share a call is not left to its own batches: these have no more than the order in which requests come.

    Parameters
    ----------
    settings : ServiceSettings
        The limits, and where the cluster is.
    metrics, outcomes, fetch
        As of `Engine`.
    link : Link, optional
        Takes the place of one to the cluster of the settings.

    Raises
    ------
    PostprocError
        If the settings name no store, more replicas at least than at most, or what is no number of GPUs.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        metrics: Metrics,
        outcomes: Outcomes,
        *,
        fetch: Fetch | None = None,
        link: Link | None = None,
    ) -> None:
        if settings.store is None:
            raise PostprocError("--ray needs --store, where replicas find the files of networks")
        if settings.ray_min_replicas > settings.ray_max_replicas:
            raise PostprocError(
                f"--ray-min-replicas: expected at most --ray-max-replicas, {settings.ray_max_replicas}, got "
                f"{settings.ray_min_replicas}"
            )
        if settings.ray_gpus > 1 and not settings.ray_gpus.is_integer():
            raise PostprocError(
                f"--ray-gpus: expected a part of one, such as 0.5, or whole ones, got {settings.ray_gpus:g}"
            )
        # As many calls at once as all replicas take, so that those that wait are batched here.
        calls = MOST_ONGOING * settings.ray_max_replicas
        super().__init__(settings.model_copy(update={"workers": calls}), metrics, outcomes, fetch=fetch)
        self._link = link or Link(LinkOrder.of(settings), calls)
        self._source_of = lru_cache(_MOST_SOURCES)(NetworkSource.of)  # which reads all of the files
        self._away_until = 0.0
        metrics.watch(postproc_cluster_away=lambda: self.is_away or time.monotonic() < self._away_until)

    def start(self) -> None:
        """Connect to the cluster, have it run the application, and start the threads."""
        self._link.start()
        super().start()

    def stop(self) -> None:
        """Run what waits for some seconds, and leave the cluster, whose replicas stay."""
        super().stop()
        self._link.stop()

    @property
    def is_away(self) -> bool:
        """Whether there is no connection to the cluster."""
        return self._link.is_away

    def make_caller(self) -> NetworkCaller:
        """Make one of those that have replicas run calls."""
        row = len(self._processes)
        seconds = self._settings.task_timeout
        return RemoteCaller(self._link, row, self._source_of, seconds, self._note_away, self._note_retry)

    def warm(self, posts: Iterable[PostProcessor]) -> None:
        """Do nothing: what a replica needs it compiles when it comes to it."""

    def reserve(self, inputs: PreparedInputs, tenant: str, *, is_due: bool = False) -> Ticket:
        """Take a place in the queue, as `Engine.reserve`; there is none while no replica takes calls.

        Raises
        ------
        QueueFullError
            A 503 that says when to come again.
        """
        left = self._link.seconds if self.is_away else self._away_until - time.monotonic()
        if left > 0:
            raise QueueFullError(left, "cluster")
        return super().reserve(inputs, tenant, is_due=is_due)

    def _note_retry(self) -> None:
        self._metrics.count("postproc_calls_retried")

    def _note_away(self, seconds: float) -> None:
        self._away_until = time.monotonic() + seconds if seconds else 0.0
