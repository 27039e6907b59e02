"""Plain sockets to a service, for requests that no HTTP client would send."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any

import httpx

from tests.service.serving import KEY, Serving

SPECS = "/v0.7/recognition/specs"
ME = "/v0.7/accounts/me"
_SECONDS = 6


@dataclass(frozen=True)
class Answer:
    """What came back on a socket."""

    status: int
    headers: dict[str, str]
    body: bytes

    def complaint(self) -> str:
        """Check the form of an error, and return its message."""
        document: dict[str, Any] = json.loads(self.body)
        assert document["detail"] == document["error"]["message"]
        assert self.headers["content-type"] == "application/json"
        return str(document["detail"])


def open_to(service: Serving, receive_buffer: int | None = None, segment: int | None = None) -> socket.socket:
    """Connect to a service, with a timeout on all that follows."""
    url = httpx.URL(service.host)
    connection = socket.socket()
    if receive_buffer is not None:  # before it connects, or it has no effect
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if segment is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)
    connection.settimeout(_SECONDS)
    connection.connect((url.host, url.port or 80))
    return connection


def head(path: str, *headers: str, method: str = "POST", key: str = KEY) -> bytes:
    """Return the head of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"X-API-KEY: {key}", "Content-Type: application/json"]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


def answer_on(connection: socket.socket, method: str = "POST") -> Answer:
    """Read one answer."""
    response = HTTPResponse(connection, method=method)
    response.begin()
    names = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, names, response.read())


def status_of(connection: socket.socket) -> int:
    """Read the status of an answer; 0 if the connection was closed without one."""
    line = connection.makefile("rb").readline()
    return int(line.split()[1]) if line else 0


def rest_of(connection: socket.socket) -> bytes:
    """Read until the service closes the connection."""
    found = bytearray()
    try:
        while block := connection.recv(1 << 16):
            found += block
    except ConnectionResetError:
        pass
    return bytes(found)


def is_well(service: Serving) -> None:
    """Check that others are served."""
    assert service.client.get("/accounts/me").json() == {"name": "one"}
