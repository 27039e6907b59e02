"""A process that runs networks, as the service sees it: one call at a time, each within its time."""

from __future__ import annotations

import logging
import pickle
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from typing import Any

from numpy.typing import NDArray

from postproc.isolation import CrashError, cause_of, spawned
from postproc.service.engine.networks.buffer import Layout, SharedBuffer
from postproc.service.engine.networks.calls import Answer, Give, HostSettings, NetworkCall, Stage
from postproc.service.engine.networks.messages import Results, stop_byte, unpacked

logger = logging.getLogger(__name__)

GRACE = 2.0  # seconds between telling a run to stop and ending its process

_MODULE = "postproc.service.engine.networks.child"
_KERNEL_SECONDS = 120.0  # to start and to load kernels, which may be compiled
_END_SECONDS = 5.0  # until a process that was killed is gone
_MOST_LINES, _LONGEST_LINE = 100, 1000  # of what a process writes to the log, libraries among it


class HungError(Exception):
    """A call did not end in its time.

    Parameters
    ----------
    stage : str
        What it was at.
    """

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.stage = stage


class NetworkProcess:
    """A process that loads and runs networks: it may crash, hang or eat memory, and harms nothing else.

    It is started by `start` or its first call, and anew after each end. One thread at a time may `run` it;
    `start`, `forget` and `close` may come from any. Whatever else runs `NetworkHost`s, on other machines,
    could stand in its place.

    Parameters
    ----------
    settings : HostSettings
        Limits of memory.
    run_seconds : float
        Longest time of a call in its network. Beyond it ONNX Runtime is told to stop; two seconds later the
        process is ended, and another takes its place.
    load_seconds : float
        Longest time to load a network.

    Attributes
    ----------
    last : Answer
        Of the last call, which tells what is loaded.
    networks : set of int or str
        Ids of those that it has run, of which some may be loaded.
    """

    def __init__(self, settings: HostSettings, run_seconds: float, load_seconds: float) -> None:
        self._settings = settings
        self._run_seconds = run_seconds
        self._load_seconds = load_seconds + _KERNEL_SECONDS
        self._is_closed = False
        self._at_work = threading.Lock()
        self._ending = threading.Lock()
        self._forgotten: list[int | str] = []
        self._child: _Child | None = None
        self.last = Answer()
        self.networks: set[int | str] = set()

    def run(self, call: NetworkCall, parts: Mapping[str, Sequence[NDArray[Any]]], give: Give) -> Answer:
        """Run a network on the inputs of some requests.

        Parameters
        ----------
        call : NetworkCall
            What runs, without its tensors.
        parts : mapping of str to list of ndarray
            The tensors of each request, which are joined along the first axis.
        give : callable
            Takes the result of each request, as it comes.

        Raises
        ------
        HungError
            If it did not end in its time.
        CrashError
            If the process ended.
        """
        self.networks.add(call.model.id)
        with self._at_work:
            return self._run_or_renew(call, parts, give)

    @property
    def is_started(self) -> bool:
        """Whether it has been started."""
        return self._child is not None

    def start(self) -> None:
        """Start it, for its first call not to wait for that."""
        with self._at_work:
            self._started()

    def forget(self, network_id: int | str) -> None:
        """Unload a network that was deleted, when nothing runs."""
        self._forgotten.append(network_id)
        self.networks.discard(network_id)
        if self._at_work.acquire(blocking=False):  # else the next call tells it
            try:
                self._tell_forgotten()
            except (CrashError, HungError):  # with the process goes all that it has loaded
                self._renew()
            finally:
                self._at_work.release()

    def close(self) -> None:
        """End the process."""
        with self._ending:
            self._is_closed = True
            child = self._child
        self.last = Answer()
        if child is not None:
            child.end()

    def _started(self) -> _Child:
        if self._child is None:
            if self._is_closed:
                raise CrashError("it is closed")
            return self._begun()
        return self._child

    def _begun(self) -> _Child:
        """Start a process; it ends at once where this was closed meanwhile."""
        child = _Child(self._settings)
        with self._ending:
            self._child, is_closed = child, self._is_closed
        if is_closed:
            child.end()
        return child

    def _run_or_renew(
        self, call: NetworkCall, parts: Mapping[str, Sequence[NDArray[Any]]], give: Give
    ) -> Answer:
        if (cause := self._started().end_cause) is not None:  # by somebody else's hand, while nothing ran
            logger.warning(
                "a process of networks ended while it was idle (%s), and another takes its place", cause
            )
            self._renew()
        try:
            self._tell_forgotten()
            answer = self._run(call, parts, give)
        except BaseException:
            self._renew()
            raise
        if answer.trouble == "stopped":
            self.last = answer
            raise HungError("network")
        if answer.is_worn:
            logger.info("a process of networks has lost memory, and another takes its place")
            self._renew()
        else:
            self.last = answer
        return answer

    def _tell_forgotten(self) -> None:
        while self._forgotten:
            network_id = self._forgotten.pop()
            child = self._child
            if child is None or not child.is_ready:  # it has loaded nothing
                continue
            child.tell("forget", network_id)
            message = child.next(time.monotonic() + _END_SECONDS)
            if message is None:
                raise HungError("load")
            self.last = Answer(**message[0]["end"])

    def _run(self, call: NetworkCall, parts: Mapping[str, Sequence[NDArray[Any]]], give: Give) -> Answer:
        child = self._started()
        layout = child.buffer.put(parts)
        child.run(call, layout)
        left, began = self._run_seconds, time.monotonic()
        stage: Stage = "network" if child.is_ready else "load"
        deadline = began + (left if child.is_ready else self._load_seconds)
        is_told = False
        while True:
            message = child.next(deadline)
            if message is None:
                if stage != "network" or is_told:
                    raise HungError(stage)
                is_told, deadline = True, deadline + GRACE
                child.stop()
                continue
            head, results = message
            for row, text, error in results:
                give(row, text, error)
                left, began = self._run_seconds, time.monotonic()  # the network has ended
            if "end" in head:
                child.buffer.give_back()
                return Answer(**head["end"])
            now = time.monotonic()
            if stage == "network":
                left -= now - began
            began = now
            stage = head.get("stage", stage)
            deadline = now + (self._load_seconds if stage == "load" else max(left, 0.0))

    def _renew(self) -> None:
        if self._child is not None:
            self._child.end()
        self.last = Answer()
        self.networks.clear()
        if not self._is_closed:
            self._begun()


class _Child:
    """One process, from its start to its end."""

    def __init__(self, settings: HostSettings) -> None:
        self.buffer = SharedBuffer()
        self._connection, other = Pipe()
        place = self.buffer.place
        inherited = [number for number in (other.fileno(), place) if isinstance(number, int)]
        self._process = spawned(_MODULE, stderr=subprocess.PIPE, pass_fds=inherited)
        other.close()  # the child's alone, so that its end shows here
        self._lock = threading.Lock()  # for what is written
        self._is_over = False
        threading.Thread(target=self._read_log, name="postproc-network-log", daemon=True).start()
        self._write(str(inherited[0]).encode())
        self._calls = 0
        self.is_ready = False  # whether it has told anything
        self.tell(settings, place)

    @property
    def end_cause(self) -> str | None:
        """What the process ended with, or None where it has not."""
        code = self._process.poll()
        return None if code is None else cause_of(code)

    def tell(self, *order: Any) -> None:
        """Send an order; a `CrashError` if the process has ended."""
        try:
            with self._lock:
                self._connection.send_bytes(pickle.dumps(order, pickle.HIGHEST_PROTOCOL))
        except OSError:
            raise self._crash() from None

    def run(self, call: NetworkCall, layout: Layout) -> None:
        """Order a call."""
        self._calls += 1
        self.tell("run", call, layout)

    def stop(self) -> None:
        """Have the last call end early."""
        self._write(stop_byte(self._calls))

    def next(self, deadline: float) -> tuple[dict[str, Any], Results] | None:
        """Return the next message, or None where it does not come in time.

        Raises
        ------
        CrashError
            If none will come.
        """
        try:
            if not self._connection.poll(max(0.0, deadline - time.monotonic())):
                return None
            message = unpacked(self._connection.recv_bytes())
        except (EOFError, OSError):
            raise self._crash() from None
        self.is_ready = True
        return message

    def end(self) -> None:
        """End the process, at once."""
        self._is_over = True
        self._process.kill()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            logger.error("the process of networks %d does not end", self._process.pid)
        for stream in (self._process.stdin, self._process.stdout, self._connection, self.buffer):
            if stream is not None:
                with suppress(OSError):
                    stream.close()

    def _write(self, content: bytes) -> None:
        stream = self._process.stdin
        assert stream is not None
        with suppress(OSError):  # that it has ended shows when it is asked
            stream.write(content)
            stream.flush()

    def _crash(self) -> CrashError:
        self._process.kill()
        return CrashError(cause_of(self._process.wait(_END_SECONDS)))

    def _read_log(self) -> None:
        stream = self._process.stderr
        assert stream is not None
        for row, line in enumerate(stream):
            if row < _MOST_LINES and not self._is_over:
                text = line.decode(errors="replace").rstrip()[:_LONGEST_LINE]
                logger.warning("from a process of networks: %s", text)
        stream.close()
