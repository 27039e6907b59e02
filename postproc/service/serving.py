"""The service on uvicorn: one process, which says where it listens and ends when it is told to."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Mapping
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI

from postproc.errors import PostprocError
from postproc.service.app import create_app
from postproc.service.first_key import write_first_key
from postproc.service.http.connections import connections_of
from postproc.service.logs import configure_logging
from postproc.service.services import Services
from postproc.service.settings import ServiceSettings
from postproc.service.store.keys import DEFAULT_TENANT
from postproc.service.store.locks import InUseError, patiently

logger = structlog.stdlib.get_logger("postproc.service")

_STOP_SECONDS = 15  # for the requests that are under way
# Longer than the pauses of a client, so that it does not write to a closing connection.
_KEEP_ALIVE_SECONDS = 75
_BACKLOG = 2048
_HEAD_BYTES = 1 << 16  # of a request: the vendor's client asks for tasks by all their ids


def run(settings: ServiceSettings, keys: Mapping[str, str], **parts: Any) -> None:
    """Serve until a signal ends it.

    Parameters
    ----------
    settings : ServiceSettings
        Where to listen, where things lie, and the limits.
    keys : mapping of str to str
        Keys and their tenants, beside those of the database.
    **parts
        Handed to `create_app`.

    Raises
    ------
    PostprocError
        If it cannot listen there, cannot use the data folder or the database, or fails to start.
    """
    if sys.platform == "win32":
        raise PostprocError("the service runs on Linux and macOS; on Windows, use WSL or a container")
    configure_logging()
    listening = patiently(lambda: _listen(settings.host, settings.port), settings.wait)
    with listening:
        app = create_app(settings, keys=keys, **parts)
        services: Services = app.state.services
        server = _Server(config_of(app, settings), services, _address(listening))
        services.on_lost = server.end
        server.run(sockets=[listening])
        if not server.started:  # older releases of uvicorn return as if all were well
            raise PostprocError("the service did not start; its log says why")
    if services.lost is not None:
        raise PostprocError(services.lost)


def config_of(app: FastAPI, settings: ServiceSettings) -> uvicorn.Config:
    """Return how uvicorn serves an application of these settings."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="asyncio",  # also where a package brings uvloop, whose transports `connections_of` cannot use
        http=connections_of(settings, app.state.services.metrics),
        h11_max_incomplete_event_size=_HEAD_BYTES,
        ws="none",  # a WebSocket would be out of reach of the limits of connections
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )


class _Server(uvicorn.Server):
    """Says where it listens as soon as it does, and hands over the key that a first start makes."""

    def __init__(self, config: uvicorn.Config, services: Services, address: str) -> None:
        super().__init__(config)
        self._services, self._address = services, address

    def end(self) -> None:
        """End as a signal would; from any thread."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        if self._services.leased is not None:
            # There is no first one among front ends that could make it.
            if not self._services.keys.has_any():
                logger.warning("there are no API keys: `postproc keys add NAME --database URL` makes one")
            self._say()
            return
        try:
            self._services.keys.ensure(self._show_key if sys.stderr.isatty() else self._write_key)
        except BaseException:
            await self.shutdown(sockets)
            raise
        self._say()

    def _say(self) -> None:
        print(f"postproc serves {self._address}", flush=True)  # noqa: T201 - what a person waits for

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._services.checks.stop()  # they may take longer than the requests that are waited for
        await super().shutdown(sockets)

    def _show_key(self, key: str) -> None:
        print(  # noqa: T201 - to the person who is looking, and not into the log
            f'API key of the tenant "{DEFAULT_TENANT}", shown this once: {key}\n'
            f"the page: {self._address}/#key={key}",
            file=sys.stderr,
            flush=True,
        )

    def _write_key(self, key: str) -> None:
        path = write_first_key(self._services.settings.data, key)
        logger.info("wrote the first API key to a file", tenant=DEFAULT_TENANT, path=str(path))


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # Named TCP, or asyncio does not turn Nagle's algorithm off: 40 ms an answer.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(where)
        except BaseException:
            listening.close()
            raise
    except (OSError, UnicodeError) as error:
        in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        kind = InUseError if in_use else PostprocError
        raise kind(f"cannot listen on {host}, port {port}: {error}") from None
    return listening


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
