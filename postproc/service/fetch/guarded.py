"""Connections that are guarded: to checked addresses only, and never longer than a deadline."""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpcore

_MOST_LOOKUPS = 16  # at once; one that hangs holds its thread until the system gives up
_MOST_ADDRESSES = 4  # of a host, that are tried


class Deadline:
    """A moment until which something has to be done.

    Parameters
    ----------
    seconds : float
        From now.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self, timeout: float | None = None) -> float:
        """Return the seconds that are left, at most `timeout`.

        Raises
        ------
        TimeoutError
            If there are none.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left if timeout is None else min(left, timeout)


class AddressRefused(Exception):  # noqa: N818
    """The host has an address that may not be connected to."""


class Resolver:
    """Looks up the addresses of hosts, within a time, from many threads at once."""

    def __init__(self) -> None:
        self._places = threading.Semaphore(_MOST_LOOKUPS)

    def __call__(self, host: str, port: int, deadline: Deadline) -> list[str]:
        """Return the addresses of a host.

        Raises
        ------
        TimeoutError
            If it takes too long.
        OSError
            If there is no such host.
        """
        answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

        def look_up() -> None:
            try:
                found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                answers.put(list(dict.fromkeys(str(address[0]) for *_, address in found)))
            except Exception as error:  # a host that is no valid name raises a UnicodeError
                answers.put(error)
            finally:
                self._places.release()

        if not self._places.acquire(timeout=deadline.left()):
            raise TimeoutError
        # A thread of its own, since the system's lookup knows no time limit.
        threading.Thread(target=look_up, name="postproc-lookup", daemon=True).start()
        try:
            answer = answers.get(timeout=deadline.left())
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(answer, OSError):
            raise answer
        if isinstance(answer, Exception):
            raise OSError(f"no valid host name: {answer}") from answer
        return answer


class GuardedBackend(httpcore.NetworkBackend):
    """Connects to the very addresses that were checked, so that no second lookup can change them.

    Parameters
    ----------
    resolve : callable
        Gives the addresses of a host.
    is_allowed : callable
        Tells whether an address may be connected to. One that may not refuses the host.
    deadline : Deadline
        For all that is done through it.
    """

    def __init__(
        self,
        resolve: Callable[[str, int, Deadline], list[str]],
        is_allowed: Callable[[str], bool],
        deadline: Deadline,
    ) -> None:
        self._resolve = resolve
        self._is_allowed = is_allowed
        self._deadline = deadline
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of the host that answers."""
        addresses = self._resolve(host, port, self._deadline)
        if not addresses or not all(map(self._is_allowed, addresses)):
            raise AddressRefused
        failure: Exception = OSError("no address")
        for address in addresses[:_MOST_ADDRESSES]:
            try:
                stream = self._backend.connect_tcp(
                    address, port, self._deadline.left(timeout), local_address, socket_options
                )
                return _GuardedStream(stream, self._deadline)
            except httpcore.ConnectError as error:
                failure = error
        raise failure


class _GuardedStream(httpcore.NetworkStream):
    """A stream of which no step lasts beyond the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left(timeout))
        return _GuardedStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
