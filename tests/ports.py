"""Ports of the loopback."""

from __future__ import annotations

import socket


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port of an address of the loopback, on which nobody listens."""
    with socket.socket() as found:
        found.bind((host, 0))
        return int(found.getsockname()[1])
