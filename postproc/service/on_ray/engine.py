"""The engine of a front end whose networks run on Ray Serve."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from postproc.installing import install

try:
    import ray
    from ray import serve
    from ray.serve.exceptions import RayServeException
except ImportError as error:
    raise ImportError(f"--ray needs its extra: {install('ray-serve')} ({error})") from error

from postproc.errors import PostprocError
from postproc.pipeline import PostProcessor
from postproc.service.engine.engine import Engine
from postproc.service.engine.inputs import Fetch, PreparedInputs
from postproc.service.engine.jobs import Ticket
from postproc.service.engine.networks.calls import NetworkCaller
from postproc.service.errors import QueueFullError
from postproc.service.metrics import Metrics
from postproc.service.on_ray.messages import ReplicaSettings
from postproc.service.on_ray.remote import RemoteCaller, Sources
from postproc.service.on_ray.replica import MOST_ONGOING, application
from postproc.service.settings import ServiceSettings
from postproc.service.work import Outcomes

logger = logging.getLogger(__name__)

_KNOCK_SECONDS = 5.0


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
    connect : callable, optional
        Takes the place of `connected`.

    Raises
    ------
    PostprocError
        If the settings name no store, or more replicas at least than at most.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        metrics: Metrics,
        outcomes: Outcomes,
        *,
        fetch: Fetch | None = None,
        connect: Callable[[ServiceSettings], Any] | None = None,
    ) -> None:
        if settings.store is None:
            raise PostprocError("--ray needs --store, where replicas find the files of networks")
        if settings.ray_min_replicas > settings.ray_max_replicas:
            raise PostprocError(
                f"--ray-min-replicas: expected at most --ray-max-replicas, {settings.ray_max_replicas}, got "
                f"{settings.ray_min_replicas}"
            )
        # As many calls at once as all replicas take, so that those that wait are batched here.
        calls = MOST_ONGOING * settings.ray_max_replicas
        super().__init__(settings.model_copy(update={"workers": calls}), metrics, outcomes, fetch=fetch)
        self._connect = connect or connected
        self._sources = Sources()
        self._handle: Any = None
        self._away_until = 0.0

    def start(self) -> None:
        """Connect to the cluster, have it run the application, and start the threads."""
        self._handle = self._connect(self._settings)
        super().start()

    def stop(self) -> None:
        """Run what waits for some seconds, and leave the cluster, whose replicas stay."""
        super().stop()
        if self._connect is connected:
            if self._handle is not None:
                self._handle.shutdown()  # or its threads ask a cluster that is not there any more
            ray.shutdown()

    def make_caller(self) -> NetworkCaller:
        """Make one of those that have replicas run calls."""
        return RemoteCaller(self._handle, self._sources, self._settings.task_timeout, self._note_away)

    def warm(self, posts: Iterable[PostProcessor]) -> None:
        """Do nothing: what a replica needs it compiles when it comes to it."""

    def reserve(self, inputs: PreparedInputs, tenant: str) -> Ticket:
        """Take a place in the queue, as `Engine.reserve`; there is none while no replica takes calls.

        Raises
        ------
        QueueFullError
            A 503 that says when to come again.
        """
        left = self._away_until - time.monotonic()
        if left > 0:
            self._metrics.refused()
            raise QueueFullError(left)
        return super().reserve(inputs, tenant)

    def _note_away(self, seconds: float) -> None:
        self._away_until = time.monotonic() + seconds if seconds else 0.0


def connected(settings: ServiceSettings) -> Any:
    """Connect to the cluster of a service, and return the handle of its replicas, which are made if need be.

    Raises
    ------
    PostprocError
        If there is no cluster, or it does not run the application.
    """
    address = settings.ray or "auto"
    if "://" in address:
        raise PostprocError(
            f"--ray: expected auto or HOST:PORT, as `ray start` prints it, got {address!r}: this "
            "machine has to be a node, Ray's client does not do"
        )
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    for name in ("ray", "ray.serve"):  # what they say goes where the service's own log does, in its form
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    try:
        _knock(address)
        ray.init(address, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise PostprocError(
            f"no Ray cluster at {address!r} of which this machine is a node: {error}"
        ) from None
    try:
        serve.start(proxy_location="Disabled")
        # Its options begin it, which many threads at once could not.
        return _handle_of(settings).options()
    except BaseException as error:
        ray.shutdown()
        if isinstance(error, (RayServeException, RuntimeError, ValueError)):
            raise PostprocError(f"Ray Serve does not run {settings.ray_app!r}: {error}") from None
        raise


def _knock(address: str) -> None:
    """Raise an OSError where nobody listens, for whom Ray would wait for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK_SECONDS).close()


def _handle_of(settings: ServiceSettings) -> Any:
    name = settings.ray_app
    try:
        handle = serve.get_app_handle(name)
    except RayServeException:
        logger.info("has Ray Serve make the application %s", name)
        return serve.run(application(ReplicaSettings.of(settings)), name=name, route_prefix=None)
    logger.info("the application %s of Ray Serve is there, and stays as it is", name)
    return handle
