"""The link of a front end to a Ray cluster: a process that may end with its node, and is renewed."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing import Pipe
from typing import Any

from postproc.errors import PostprocError
from postproc.isolation import cause_of, spawned
from postproc.service.engine.networks.buffer import SharedBuffer
from postproc.service.engine.networks.calls import LostError
from postproc.service.on_ray.messages import LinkOrder

logger = logging.getLogger(__name__)

_MODULE = "postproc.service.on_ray.driver"
_SHORTEST_PAUSE, _LONGEST_PAUSE = 1.0, 5.0  # seconds before another is started
_PATIENCE = 20.0  # seconds that calls wait for another
_CONNECT_SECONDS = 240.0  # what has Serve make an application takes its time
_SILENCE = 30.0  # seconds without a sign of life
_OWN_END_SECONDS = 0.5  # until one is gone that ends by itself, as its connections tell
_END_SECONDS = 5.0  # until one is gone that was killed
_MOST_LINES, _LONGEST_LINE = 60, 1000  # of what the process writes in a minute, libraries among it
_MINUTE = 60.0


class Line:
    """A way for one call at a time to a link's process, whose tensors lie in memory that both share."""

    def __init__(self) -> None:
        self.connection, self.other = Pipe()
        self.buffer = SharedBuffer()
        self.is_used = threading.Lock()

    def close(self) -> None:
        """Close it, once no call uses it any more."""
        with self.is_used:
            self.connection.close()
            self.buffer.close()


class Driver:
    """One process of a link, from its start to its end.

    Parameters
    ----------
    module : str
        What it runs.
    lines : int
        Most calls at once.
    """

    def __init__(self, module: str, lines: int) -> None:
        self.lines = [Line() for _ in range(lines)]
        self.is_over = self._is_killed = False
        self._control, control = Pipe()
        self._lock = threading.Lock()  # for what is told
        self._places = [(line.other.fileno(), line.buffer.place) for line in self.lines]
        numbers = [number for place in self._places for number in place if isinstance(number, int)]
        self._process = spawned(module, stderr=subprocess.PIPE, pass_fds=[control.fileno(), *numbers])
        stdin = self._process.stdin
        assert stdin is not None
        with suppress(OSError):  # that it has ended shows when it is asked
            stdin.write(str(control.fileno()).encode())
            stdin.flush()
        for other in (control, *(line.other for line in self.lines)):
            other.close()  # the child's alone, so that its end shows here
        threading.Thread(target=self._read_log, name="postproc-link-log", daemon=True).start()

    def connect(self, order: LinkOrder) -> None:
        """Have it connect to its cluster.

        Raises
        ------
        PostprocError
            If it cannot.
        """
        self.tell((order, self._places))
        said = self._next(_CONNECT_SECONDS)
        if isinstance(said, list):
            for line in said:
                logger.warning("%s", line)
        else:
            raise PostprocError(said)

    def tell(self, message: Any) -> None:
        """Send it a message; that it has ended shows elsewhere."""
        with self._lock, suppress(OSError):
            self._control.send(message)

    def watch(self) -> str:
        """Wait until it ends or says nothing for long, and return which."""
        try:
            while True:
                self._next(_SILENCE)
        except PostprocError as error:
            return str(error)

    def kill(self) -> None:
        """End the process, at once; whoever waits for it hears of that."""
        self.is_over = self._is_killed = True
        self._process.kill()

    def ended(self) -> str:
        """Return what the process ended with, which is ended where it has not."""
        self.is_over = True
        with suppress(subprocess.TimeoutExpired):
            return cause_of(self._process.wait(_OWN_END_SECONDS))
        self.kill()
        try:
            return cause_of(self._process.wait(_END_SECONDS))
        except subprocess.TimeoutExpired:
            logger.error("the process of the link to Ray %d does not end", self._process.pid)
            return "it is there still"

    def close(self) -> None:
        """End the process, and close all that leads to it."""
        self.kill()
        self.ended()
        for line in self.lines:
            line.close()
        with self._lock:
            for stream in (self._process.stdin, self._process.stdout, self._control):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()

    def _next(self, seconds: float) -> Any:
        try:
            if self._control.poll(seconds):
                return self._control.recv()
        except (EOFError, OSError):
            raise PostprocError(f"its process ended: {self.ended()}") from None
        self.kill()
        raise PostprocError(f"its process said nothing for {seconds:g} s")

    def _read_log(self) -> None:
        stream = self._process.stderr
        assert stream is not None
        for text in _few(stream):
            if not self._is_killed:
                logger.warning("from the link to Ray: %s", text)
        stream.close()


def _few(lines: Iterable[bytes]) -> Iterator[str]:
    """Give some lines of each minute: Ray says much when something dies, and later ones may matter."""
    began, count = time.monotonic(), 0
    for line in lines:
        if time.monotonic() - began >= _MINUTE:
            began, count = time.monotonic(), 0
        count += 1
        if count <= _MOST_LINES:
            yield line.decode(errors="replace").rstrip()[:_LONGEST_LINE]


class Link:
    """The process that is a driver of a Ray cluster for this one; another takes its place where it ends.

    Parameters
    ----------
    order : LinkOrder
        What it connects to.
    lines : int
        Most calls at once.
    module : str
        What the process runs.
    """

    def __init__(self, order: LinkOrder, lines: int, module: str = _MODULE) -> None:
        self._order, self._lines, self._module = order, lines, module
        self._changed = threading.Condition()
        self._driver: Driver | None = None  # that is connected
        self._next: Driver | None = None  # that is to be
        self._is_over = False
        self._lost_at = self._back_at = 0.0  # since when there is none, and when another is tried
        self._thread = threading.Thread(target=self._keep, name="postproc-link", daemon=True)

    @property
    def is_away(self) -> bool:
        """Whether there is no connection."""
        return self._driver is None

    @property
    def seconds(self) -> float:
        """Seconds until there may be a connection again."""
        return max(self._back_at - time.monotonic(), _SHORTEST_PAUSE)

    def start(self) -> None:
        """Connect.

        Raises
        ------
        PostprocError
            If there is no cluster, or it does not run the application.
        """
        self._connect()
        self._thread.start()

    def stop(self) -> None:
        """End the process, and with it the calls that run."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
            drivers = self._driver, self._next
        for driver in drivers:
            if driver is not None:
                driver.kill()
        if self._thread.is_alive():
            self._thread.join()

    def forget(self, network_id: int | str) -> None:
        """Have replicas unload a network that was deleted."""
        driver = self._driver
        if driver is not None:  # else it is gone from memory when others need the room
            driver.tell(network_id)

    def driver(self, deadline: float) -> Driver:
        """Return the process, or wait some time for the next one.

        Raises
        ------
        LostError
            If there is none.
        """
        with self._changed:
            while (driver := self._driver) is None or driver.is_over:
                end = min(deadline, self._lost_at + _PATIENCE if driver is None else deadline)
                left = end - time.monotonic()
                if left <= 0 or self._is_over:
                    raise LostError("there is no link to Ray")
                self._changed.wait(left)
        return driver

    def _connect(self) -> None:
        driver = Driver(self._module, self._lines)
        with self._changed:
            self._next = driver
            if self._is_over:
                driver.kill()
        try:
            driver.connect(self._order)
        except BaseException:
            driver.close()
            raise
        with self._changed:
            self._driver, self._next = driver, None
            self._changed.notify_all()

    def _keep(self) -> None:
        """Wait for the end of one process, and start the next."""
        while (driver := self._driver) is not None:
            cause = driver.watch()
            with self._changed:
                self._driver, self._lost_at = None, time.monotonic()
                self._changed.notify_all()
            driver.close()
            if not self._is_over:
                logger.warning("the link to Ray is lost: %s; networks are away", cause)
                self._renew()

    def _renew(self) -> None:
        pause, said = _SHORTEST_PAUSE, ""
        while not self._is_over:
            with self._changed:
                self._back_at = time.monotonic() + pause
                self._changed.wait_for(lambda: self._is_over, pause)
            if self._is_over:
                return
            try:
                self._connect()
            except (PostprocError, OSError) as error:  # or no process can be started
                if str(error) != said:
                    logger.warning("the link to Ray is still lost: %s", error)
                pause, said = min(2 * pause, _LONGEST_PAUSE), str(error)
            else:
                logger.warning("the link to Ray is back")
                return
