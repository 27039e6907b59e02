"""Calls of networks that replicas run, as the engine of a front end sees them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from postproc.isolation import CrashError
from postproc.service.engine.networks.calls import Answer, Give, LostError, NetworkCall
from postproc.service.engine.networks.process import HungError
from postproc.service.on_ray.link import Driver, Link
from postproc.service.on_ray.messages import NetworkSource, Reply, Told
from postproc.service.work import UNLOADABLE

_MOST_DRIVERS = 2  # that may end under a call
_GRACE = 5.0  # seconds after its time in which a call has to have ended

SourceOf = Callable[[int | str, Path], NetworkSource]


class RemoteCaller:
    """Has replicas run calls, one at a time, in the place of a `NetworkProcess`.

    Parameters
    ----------
    link : Link
        To the replicas.
    row : int
        Which of its lines is this one's.
    source_of : callable
        Takes the id and the model of a network, and tells where replicas find its files.
    seconds : float
        In which a call has to end, its wait and all tries included.
    on_away : callable
        Is told, with a number of seconds, when calls had better not come for a while; 0 when they may.
    on_retry : callable
        Is told when a call is tried again since its replica was lost, or the link.
    """

    def __init__(
        self,
        link: Link,
        row: int,
        source_of: SourceOf,
        seconds: float,
        on_away: Callable[[float], None],
        on_retry: Callable[[], None],
    ) -> None:
        self._link, self._row = link, row
        self._source_of = source_of
        self._seconds = seconds
        self._on_away, self._on_retry = on_away, on_retry
        self.last = Answer()  # replicas tell Ray's metrics what they have loaded
        self.networks: set[int | str] = set()
        self.is_started = True
        self.forget = link.forget

    def start(self) -> None:
        """Do nothing: Serve starts replicas."""

    def close(self) -> None:
        """Do nothing: what runs ends with the link."""

    def run(self, call: NetworkCall, parts: Mapping[str, Sequence[NDArray[Any]]], give: Give) -> Answer:
        """Run a network on the inputs of some requests, as `NetworkProcess.run`.

        Raises
        ------
        HungError
            If it did not end in its time.
        CrashError
            If its process ended, or replicas did.
        LostError
            If there is no replica that runs it to the end, or no store of its files.
        """
        try:
            source = self._source_of(call.model.id, call.model.path)
        except OSError as error:
            return Answer("unloadable", UNLOADABLE, str(error))
        reply = self._reply(call, parts, source, give)
        for result in reply.results:
            give(*result)
        if reply.hung is not None:
            raise HungError(reply.hung)
        if reply.crashed is not None:
            raise CrashError(reply.crashed)
        if reply.failed is not None:
            raise RuntimeError(f"a replica failed: {reply.failed}")
        if reply.answer is None:
            raise LostError(reply.lost or "a replica gave no answer")
        return reply.answer

    def _reply(
        self,
        call: NetworkCall,
        parts: Mapping[str, Sequence[NDArray[Any]]],
        source: NetworkSource,
        give: Give,
    ) -> Reply:
        deadline = time.monotonic() + self._seconds
        for _ in range(_MOST_DRIVERS):
            driver = self._link.driver(deadline)
            try:
                return self._told(driver, (call, source), parts, deadline, give)
            except (EOFError, ConnectionError):
                driver.ended()
                self._on_retry()
        raise LostError("the link to Ray ended under it")

    def _told(
        self,
        driver: Driver,
        order: tuple[NetworkCall, NetworkSource],
        parts: Mapping[str, Sequence[NDArray[Any]]],
        deadline: float,
        give: Give,
    ) -> Reply:
        line = driver.lines[self._row]
        with line.is_used:
            if line.connection.closed:
                raise EOFError
            layout = line.buffer.put(parts)
            line.connection.send((*order, layout, deadline - time.monotonic()))
            try:
                reply = self._heard(line.connection, deadline + _GRACE, give)
            except EOFError:
                raise
            except BaseException:
                driver.kill()  # or the next call would be told what this one has not heard
                raise
            line.buffer.give_back()
            return reply

    def _heard(self, connection: Connection, deadline: float, give: Give) -> Reply:
        while connection.poll(max(0.0, deadline - time.monotonic())):
            try:
                told: Told = connection.recv()
            except OSError as error:  # it ended within a message
                raise EOFError from error
            if isinstance(told, Reply):
                return told
            if told is None:
                self._on_retry()
            elif isinstance(told, float):
                self._on_away(told)
            else:
                for result in told:
                    give(*result)
        raise LostError("the link to Ray does not answer")
