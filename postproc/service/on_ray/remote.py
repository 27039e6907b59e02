"""Calls of networks that replicas run, as the engine of a front end sees them."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, RayServeException

from postproc.isolation import CrashError
from postproc.service.engine.networks.calls import Answer, Give, LostError, NetworkCall
from postproc.service.engine.networks.process import HungError
from postproc.service.on_ray.messages import NetworkSource, Reply
from postproc.service.work import UNLOADABLE

logger = logging.getLogger(__name__)

_MOST_TRIES = 3
_PAUSE = 0.5  # seconds before a call is tried again
_MOST_SOURCES = 4096


class Sources:
    """Where replicas find the files of networks, read once; from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int | str, Path], NetworkSource] = OrderedDict()

    def of(self, network_id: int | str, model: Path) -> NetworkSource:
        """Return the source of a network, whose files lie beside its model."""
        key = network_id, model
        with self._lock:
            found = self._kept.get(key)
        if found is None:
            found = NetworkSource.of(network_id, model)
            with self._lock:
                self._kept[key] = found
                while len(self._kept) > _MOST_SOURCES:
                    self._kept.popitem(last=False)
        return found


class RemoteCaller:
    """Has replicas run calls, one at a time, in the place of a `NetworkProcess`.

    A call whose replica dies is tried again, at another one: it changes nothing where it runs. One that finds
    too many waiting does so too, as long as somebody waits for it.

    Parameters
    ----------
    handle : DeploymentHandle
        Of the replicas.
    sources : Sources
        Of the networks' files.
    seconds : float
        In which a call has to end, its wait and all tries included.
    on_away : callable
        Is told, with a number of seconds, when calls had better not come for a while; 0 when they may.
    """

    def __init__(
        self, handle: Any, sources: Sources, seconds: float, on_away: Callable[[float], None]
    ) -> None:
        self._handle = handle
        self._sources = sources
        self._seconds = seconds
        self._on_away = on_away
        self._response: Any = None
        self._is_closed = threading.Event()
        self.last = Answer()  # replicas tell Ray's metrics what they have loaded
        self.networks: set[int | str] = set()
        self.is_started = True

    def start(self) -> None:
        """Do nothing: Serve starts replicas."""

    def forget(self, network_id: int | str) -> None:
        """Do nothing: ids are not given again, and what is not called makes room for others."""

    def close(self) -> None:
        """Let a call that runs end early."""
        self._is_closed.set()
        response = self._response
        if response is not None:
            response.cancel()

    def run(self, call: NetworkCall, parts: Mapping[str, Sequence[NDArray[Any]]], give: Give) -> Answer:
        """Run a network on the inputs of some requests, as `NetworkProcess.run`.

        Raises
        ------
        HungError
            If it did not end in its time.
        CrashError
            If its process ended.
        LostError
            If there is no replica that runs it to the end, or no store of its files.
        """
        try:
            source = self._sources.of(call.model.id, call.model.path)
        except OSError as error:
            return Answer("unloadable", UNLOADABLE, str(error))
        reply = self._reply(call, parts, source)
        for row, text, error_text in reply.results:
            give(row, text, error_text)
        if reply.hung is not None:
            raise HungError(reply.hung)
        if reply.crashed is not None:
            raise CrashError(reply.crashed)
        if reply.answer is None:
            raise LostError(reply.away or "a replica gave no answer")
        return reply.answer

    def _reply(
        self, call: NetworkCall, parts: Mapping[str, Sequence[NDArray[Any]]], source: NetworkSource
    ) -> Reply:
        deadline = time.monotonic() + self._seconds
        handle = self._handle.options(multiplexed_model_id=source.key)
        tries = 0
        while not self._is_closed.is_set():
            left = deadline - time.monotonic()
            if left <= 0:
                raise LostError(f"no replica ran it within {self._seconds:g} s")
            try:
                self._response = handle.remote(call, parts, source)
                reply: Reply = self._response.result(timeout_s=left)
            except BackPressureError as error:
                pause = getattr(error, "retry_after_s", None) or _PAUSE
                self._on_away(pause)
            except TimeoutError:
                self._response.cancel()
                continue
            except RayTaskError:  # what a replica raised by itself it would raise again
                raise
            except (RayError, RayServeException) as error:
                tries += 1
                logger.warning("a call of network %s is lost: %s", call.model.id, _first_line(error))
                if tries == _MOST_TRIES:
                    self._on_away(_PAUSE * _MOST_TRIES)
                    raise LostError(_first_line(error)) from error
                pause = _PAUSE * tries
            else:
                self._on_away(0)
                return reply
            finally:
                self._response = None
            self._is_closed.wait(pause)
        raise LostError("the service is being stopped")


def _first_line(error: BaseException) -> str:
    return next(filter(None, str(error).splitlines()), type(error).__name__)
