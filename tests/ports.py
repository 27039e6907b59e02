"""Ports of the loopback."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

# Below those that systems give to clients: one that asks again and again for a server that is being started
# anew may be given the server's own port, and keeps it.
_PORTS = range(20_000, 32_000)


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port of an address of the loopback, on which nobody listens."""
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as found, suppress(OSError):
            found.bind((host, port))
            return port
