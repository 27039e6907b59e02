"""The application of Ray Serve that front ends share: found, or made once."""

from __future__ import annotations

import logging
import os
import re
import time
from typing import Any

from postproc.installing import install

try:
    import ray
    from ray import serve
    from ray.exceptions import RayActorError
    from ray.serve.exceptions import RayServeException
except ImportError as error:
    raise ImportError(f"--ray needs its extra: {install('ray-serve')} ({error})") from error

from postproc import __version__
from postproc.errors import PostprocError
from postproc.service.on_ray.messages import LinkOrder, ReplicaSettings
from postproc.service.on_ray.replica import application
from postproc.spreading.cluster import knock

_NAMESPACE = "postproc"
_ADDRESS = re.compile(r"(?:[^\s:/]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5}")
_MAKE_SECONDS = 60.0  # until Serve has taken the application
_REPLICA_SECONDS = 120.0  # until a replica answers
_MOST_TRIES = 3


def connected(order: LinkOrder) -> tuple[Any, list[str]]:
    """Connect to a cluster; return the handle of the application, and how it is other than ordered.

    Raises
    ------
    PostprocError
        If there is no cluster, or it does not run the application, or that of another release.
    """
    address = order.address
    if address != "auto" and not _ADDRESS.fullmatch(address):  # Ray has others, `local` among them
        raise PostprocError(
            f"--ray: expected auto or HOST:PORT, as `ray start` prints it, got {address!r}: this "
            "machine has to be a node, Ray's client does not do"
        )
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    for name in ("ray", "ray.serve"):  # what they say in a form of their own
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    try:
        knock(address)
        ray.init(address, namespace=_NAMESPACE, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise PostprocError(
            f"no Ray cluster at {address!r} of which this machine is a node: {error}"
        ) from None
    try:
        try:
            handle = serve.get_app_handle(order.app)
        except RayServeException:
            _make(order)
            handle = serve.get_app_handle(order.app)
        return handle, _differences(order, _about(handle, order.app))
    except (RayServeException, RayActorError, RuntimeError, ValueError, TimeoutError) as error:
        raise PostprocError(f"Ray Serve does not run {order.app!r}: {error}") from None


class _Maker:
    """Makes an application; one of its name in a cluster, which does one order after the other."""

    def make(self, app: str, settings: ReplicaSettings) -> None:
        serve.start(proxy_location="Disabled")
        found = serve.status().applications.get(app)
        if found is None or found.status in ("DEPLOY_FAILED", "DELETING"):
            target = serve.RunTarget(application(settings), name=app, route_prefix=None)
            serve.run_many([target], wait_for_applications_running=False)


def _make(order: LinkOrder) -> None:
    for row in range(_MOST_TRIES):
        named = {"name": f"maker of {order.app}", "get_if_exists": True, "num_cpus": 0}
        maker: Any = ray.remote(_Maker).options(**named).remote()
        try:
            ray.get(maker.make.remote(order.app, order.replicas), timeout=_MAKE_SECONDS)
        except RayActorError:  # it ends with the front end that was the first to ask
            if row == _MOST_TRIES - 1:
                raise
            time.sleep(1)
        else:
            return


def _about(handle: Any, app: str) -> dict[str, Any]:
    try:
        about: dict[str, Any] = handle.about.remote().result(timeout_s=_REPLICA_SECONDS)
    except TimeoutError:
        found = serve.status().applications[app]
        said = " ".join(filter(None, [found.message, *(item.message for item in found.deployments.values())]))
        raise TimeoutError(
            f"no replica answers within {_REPLICA_SECONDS:g} s; it is {found.status.value}. {said}"
        ) from None
    return about


def _differences(order: LinkOrder, about: dict[str, Any]) -> list[str]:
    if about["release"] != __version__:
        raise PostprocError(
            f"the application {order.app!r} of Ray Serve runs release {about['release']} of postproc, and "
            f"this is {__version__}, which speaks another way with replicas: give another --ray-app, of "
            f"which this release makes its own; `ray.serve.delete({order.app!r})` ends the old one, once "
            "no service uses it"
        )
    mine = order.replicas.model_dump(mode="json")
    return [
        f"the application {order.app!r} of Ray Serve was made with {name} = {value!r}, and not with "
        f"{mine.get(name)!r} as this service has it; it stays as it is"
        for name, value in about["settings"].items()
        if value != mine.get(name)
    ]
