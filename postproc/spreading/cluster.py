"""A Ray cluster that work is spread over (extra ``ray``): where it is, and what each worker takes of it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from postproc.errors import RunnerError
from postproc.installing import install

_KNOCK_SECONDS = 10


@dataclass(frozen=True, slots=True)
class RayCluster:
    """A cluster, and its share that a worker takes.

    Parameters
    ----------
    address : str
        As of `connected`.
    gpus : float
        GPUs of a worker that runs a network, or the part of one that it takes: with 0.5 two share each.
    workers : int, optional
        How many there are at most; by default as many as the cluster has room for.
    """

    address: str
    gpus: float = 0.0
    workers: int | None = None

    def __post_init__(self) -> None:
        if not self.address:
            raise RunnerError("address: expected auto, local, HOST:PORT or ray://HOST:10001, got nothing")
        if self.workers is not None and self.workers < 1:
            raise RunnerError(f"workers: expected a positive number, got {self.workers}")
        if not self.gpus >= 0 or (self.gpus > 1 and not float(self.gpus).is_integer()):
            raise RunnerError(f"gpus: expected a part of one, such as 0.5, or whole ones, got {self.gpus}")


@contextmanager
def connected(address: str | None = None, **options: Any) -> Iterator[None]:
    """Connect to a Ray cluster, and leave it again, unless the process is connected already.

    Parameters
    ----------
    address : str, optional
        ``HOST:PORT`` of the head or ``auto`` on a machine of the cluster, ``ray://HOST:10001`` elsewhere,
        ``local`` to start one on this machine that ends with the block. By default the environment's
        ``RAY_ADDRESS``, else ``local``.
    **options
        Of `ray.init`, such as ``runtime_env={"pip": ["postproc[cpu,ray]"]}``.

    Raises
    ------
    RunnerError
        If there is no cluster at the address.
    """
    try:
        import ray
    except ImportError as error:
        raise ImportError(f"Ray jobs need an extra: {install('ray')} ({error})") from error
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    wanted = address or os.environ.get("RAY_ADDRESS") or "local"
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if wanted == "local":
        quiet["include_dashboard"] = False
    try:
        knock(wanted)
        ray.init(wanted, **{**quiet, **options})
    except ImportError as error:
        raise ImportError(f'{wanted} needs Ray\'s client: pip install "ray[client]" ({error})') from error
    except (ConnectionError, ValueError, RuntimeError, OSError, AssertionError) as error:
        raise RunnerError(
            f"no Ray cluster at {wanted!r}: {error}; give 'auto' or HOST:PORT of its head on one of its "
            "machines, ray://HOST:10001 on another, or 'local' to start one here"
        ) from error
    try:
        _take_signals_back()
        yield
    finally:
        ray.shutdown()


def knock(address: str) -> None:
    """Raise an OSError where nobody listens, for whom Ray would wait for minutes."""
    named = address.removeprefix("ray://")
    if not named:
        raise ConnectionError("it names no host")
    host, _, port = named.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK_SECONDS).close()


def _take_signals_back() -> None:
    """Have Python's handlers called again, where Ray's library has set its own, which end the process."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.getsignal(number))
