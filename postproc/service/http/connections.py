"""Connections: bounded in number, and in the time that each may take for what is its client's part.

uvicorn limits how long a connection is silent after an answer, and nothing else: a client that sends no
request, sends its head byte by byte, or does not read its answer would hold a connection for ever. Bodies
have their time where they are read, in `postproc.service.http.bodies`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import h11
from starlette.types import Receive, Scope, Send
from structlog.contextvars import bound_contextvars
from uvicorn.protocols.http.h11_impl import H11Protocol

from postproc.service.errors import ApiError, RefusedError
from postproc.service.http.headers import SecurityHeaders, secured
from postproc.service.http.middleware import request_id_of
from postproc.service.http.patience import Pace
from postproc.service.http.responses import Json
from postproc.service.metrics import Metrics
from postproc.service.settings import ServiceSettings

if sys.platform != "win32":
    import fcntl
    import termios

logger = logging.getLogger(__name__)

_NOT_SENT = getattr(socket, "TCP_NOTSENT_LOWAT", None)
# What the event loop reads at once of all connections together, and of one at least. asyncio reads 256 KiB of
# each unless told: a health check would wait for as much of 64 bodies that come together, several times.
_ROUND_BYTES, _READ_BYTES = 1 << 20, 1 << 14
_KERNEL_BYTES = 1 << 16  # of an answer, beyond what is on its way


def connections_of(settings: ServiceSettings, measured: Metrics) -> type[asyncio.Protocol]:
    """Return what uvicorn makes of each connection: its argument `http`."""

    class _OfService(Connection):
        limits, metrics = settings, measured

    return _OfService


class Connection(H11Protocol):
    """A connection that waits for its client within limits.

    One is idle while no request is being answered: before the first, after an answer, while a head comes.
    """

    limits: ServiceSettings
    metrics: Metrics

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._idle_since = self.loop.time()
        self._arrival: asyncio.TimerHandle | None = None  # runs while a head, or an unread body, arrives
        self._untaken = 0  # bytes of an answer
        self._delivery: asyncio.TimerHandle | None = None  # runs while the client does not take its answer

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection: the one beyond the limit has that closed which is idle for longest."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # so that `pause_writing` tells of all that waits
        if _NOT_SENT is not None:  # else the kernel takes megabytes more, and then nothing for long
            with suppress(OSError):  # the client left
                transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, _NOT_SENT, _KERNEL_BYTES)
        self._expect()
        if len(self.connections) > self.limits.max_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        self._arrived()
        self._delivered()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # which uvicorn leaves running after a reset

    def data_received(self, data: bytes) -> None:
        """Take bytes, and see to it that those of a head come to an end."""
        portion = max(_READ_BYTES, _ROUND_BYTES // max(1, len(self.connections)))
        self.transport.max_size = portion  # type: ignore[attr-defined]
        super().data_received(data)
        if self._is_idle:
            self._expect()
        else:
            self._arrived()

    def on_response_complete(self) -> None:
        """Become idle, unless the next request is there already."""
        self._idle_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Note that the client does not take its answer as fast as it is written."""
        super().pause_writing()
        if self._delivery is None:
            self._expect_delivery()

    def resume_writing(self) -> None:
        """Note that all was taken."""
        super().resume_writing()
        self._delivered()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, as uvicorn calls it."""
        self._refuse(ApiError(400, f"{msg} The connection is closed; see RFC 9112 for what a request is"))

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: an upgrade may be passed over, and uvicorn's advice is to install WebSockets."""

    def _make_room(self) -> None:
        idle = (
            connection
            for connection in self.connections
            if isinstance(connection, Connection)
            and connection is not self
            and connection._is_idle
            and not connection.transport.is_closing()
        )
        oldest = min(idle, key=lambda connection: connection._idle_since, default=None)
        if oldest is not None:
            oldest.transport.close()
        else:
            self.app = self._refuse_busy

    async def _refuse_busy(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request of a connection that found all others at work."""
        count = self.limits.max_connections
        error = RefusedError(f"all {count} connections are at work; send this again later", "connections")
        self.metrics.count("postproc_refused", cause=error.cause)
        headers = {**error.headers, "Connection": "close", "X-Request-ID": request_id_of(scope)}
        with bound_contextvars(request_id=headers["X-Request-ID"]):
            logger.warning("refused a request: all %d connections are at work", count)
        answer = Json(error.body(), error.status, headers)
        await SecurityHeaders(answer)(scope, receive, send)

    def _expect(self) -> None:
        if self._arrival is None and not self.transport.is_closing():
            self._arrival = self.loop.call_later(self.limits.head_timeout, self._give_up)

    def _arrived(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _give_up(self) -> None:
        self._arrival = None
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            seconds = self.limits.head_timeout
            self._refuse(ApiError(408, f"the head of the request did not come within {seconds:g} s"))
        else:  # nothing came, or the rest of a body whose request is answered
            self.transport.close()

    def _expect_delivery(self) -> None:
        self._untaken, self._pace = self._count_untaken(), Pace(self.limits.body_timeout)
        self._wait_a_turn()

    def _wait_a_turn(self) -> None:
        self._delivery = self.loop.call_later(self._pace.turn, self._check_delivery)

    def _delivered(self) -> None:
        if self._delivery is not None:
            self._delivery.cancel()
            self._delivery = None

    def _check_delivery(self) -> None:
        """End a turn, which counts as one where it comes late: the client could not go on meanwhile."""
        before, self._untaken = self._untaken, self._count_untaken()
        self._pace.add(max(before - self._untaken, 0))
        if self._pace.end_turn():
            self._wait_a_turn()
        else:
            self._delivery = None
            self.transport.abort()  # to close it would wait for the client

    def _count_untaken(self) -> int:
        """Count the bytes that the client's side has not taken, here and in the kernel.

        The kernel asks for more in steps of half of `_KERNEL_BYTES`, which may take a client longer than its
        longest pause.
        """
        count: int = self.transport.get_write_buffer_size()
        if sys.platform != "win32":
            with suppress(OSError):  # the client left, or a kernel that does not tell
                descriptor = self.transport.get_extra_info("socket").fileno()
                held = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4))
                count += int.from_bytes(held, sys.byteorder)
        return count

    def _refuse(self, error: ApiError) -> None:
        """Answer what reaches no application, if an answer may come now, and close."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # its application cannot answer any more
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            answer = Json(error.body(), error.status, {"Connection": "close"})
            is_head = self.conn.our_state is h11.SEND_RESPONSE and self.scope["method"] == "HEAD"
            for event in (
                h11.Response(
                    status_code=error.status,
                    reason=HTTPStatus(error.status).phrase,
                    headers=secured(answer.raw_headers),
                ),
                h11.Data(data=b"" if is_head else bytes(answer.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
