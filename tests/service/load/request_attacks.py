"""Attacks by requests alone: many, slow, large or meaningless ones."""

from __future__ import annotations

import random
import socket
import threading
from abc import abstractmethod
from contextlib import suppress
from typing import ClassVar
from urllib.parse import urlsplit

from tests.service.digits import IMAGE, SOURCE
from tests.service.load import networks
from tests.service.load.attack import Attack, form_of, image_of
from tests.service.load.tenants import uploaded
from tests.service.load.wire import Form, Wire

_MIB = 1 << 20


class Flood(Attack):
    """Sends photographs, and never asks what became of them."""

    name, clients, parts = "flood", 120, ("bodies", "queue", "results")

    def prepare(self, wire: Wire) -> None:
        self._form = Form.of({SOURCE: IMAGE})
        self._path = f"/v0.7/recognition/versions/{self._tenant.version}/inference"

    def step(self, wire: Wire, row: int) -> None:
        self._start(wire, self._path, self._form)


class SlowBodies(Attack):
    """Sends 16 MB of a body at once, and then a byte every ten seconds."""

    name, clients, parts = "slow-bodies", 64, ("bodies",)

    def prepare(self, wire: Wire) -> None:
        address = urlsplit(self._tenant.host)
        self._address = str(address.hostname), address.port or 80
        path = f"/v0.7/recognition/versions/{self._tenant.version}/inference"
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: {address.netloc}\r\nX-API-KEY: {self._tenant.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {60 * _MIB}\r\n\r\n"
        ).encode()
        self._block = b" " * _MIB

    def step(self, wire: Wire, row: int) -> None:
        with socket.create_connection(self._address, 60) as connection:
            connection.sendall(self._head)
            for _ in range(16):
                connection.sendall(self._block)
            self._count("16 MiB")
            connection.settimeout(10)
            while True:
                connection.sendall(b" ")
                with suppress(TimeoutError):
                    self._count(connection.recv(1 << 16)[9:12].decode() or "closed")
                    return


class _Images(Attack):
    """Sends an image that is small as a file to a network that is small."""

    parts = ()
    images: ClassVar[int] = 1

    def prepare(self, wire: Wire) -> None:
        self._network = uploaded(wire, networks.small(self.images), networks.preprocessing(self.images))
        self._form = form_of(self._content(), self.images)

    @abstractmethod
    def _content(self) -> bytes: ...

    def step(self, wire: Wire, row: int) -> None:
        self._infer(wire, self._network, self._form)


class LargePngs(_Images):
    """Sends PNGs of 49 megapixels, 200 kB each."""

    name, clients = "large-pngs", 24

    def _content(self) -> bytes:
        return image_of("PNG", 7000, 7000)


class LargeJpegs(_Images):
    """Sends JPEGs of 24 megapixels."""

    name, clients = "large-jpegs", 64

    def _content(self) -> bytes:
        return image_of("JPEG", 6000, 4000)


class ManyPngs(LargePngs):
    """Sends requests of sixteen PNGs of 49 megapixels."""

    name, clients = "many-pngs", 4
    images = 16


class Noise(Attack):
    """Sends wrong keys, lists of a thousand ids and what is not there, and leaves connections open."""

    name, clients, parts = "noise", 48, ("results",)

    def prepare(self, wire: Wire) -> None:
        ids = "&".join(f"task_ids={number}" for number in range(1, 1001))
        self._paths = [
            f"/v0.7/tasks?{ids}&limit=1000",
            "/v0.7/networks?limit=1000",
            "/v0.7/tasks/1",
            "/nothing",
        ]

    def work(self, row: int, stop: threading.Event) -> None:
        if row % 4:
            super().work(row, stop)
        else:
            self._leave_open(stop)

    def step(self, wire: Wire, row: int) -> None:
        if row % 4 == 1:
            with Wire(self._tenant.host, "a wrong key") as stranger:
                self._send(stranger, "GET", "/v0.7/networks")
        else:
            self._send(wire, "GET", random.choice(self._paths))

    def _leave_open(self, stop: threading.Event) -> None:
        address = urlsplit(self._tenant.host)
        left: list[socket.socket] = []
        while not stop.wait(0.05):
            with suppress(OSError):
                left.append(socket.create_connection((str(address.hostname), address.port or 80), 10))
                self._count("left open")
            if len(left) > 60:
                left.pop(0).close()
        for connection in left:
            connection.close()
