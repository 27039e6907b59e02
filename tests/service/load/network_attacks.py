"""Attacks by networks: their checks, their runs, and what they answer."""

from __future__ import annotations

import itertools
import random
import socket
import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar
from urllib.parse import urlsplit

from tests.service.load import networks
from tests.service.load.attack import Attack, form_of, image_of
from tests.service.load.tenants import uploaded
from tests.service.load.wire import Form, Wire


class Uploads(Attack):
    """Uploads networks whose check does not end."""

    name, clients, parts = "uploads", 42, ("checks",)

    def prepare(self, wire: Wire) -> None:
        fields = {"name": self.name, "framework": "onnx", "preprocessing": networks.preprocessing()}
        self._form = Form.of({"model.onnx": self._model()}, fields)

    def _model(self) -> bytes:
        return networks.endless()

    def step(self, wire: Wire, row: int) -> None:
        self._send(wire, "POST", "/v0.7/networks", self._form)


class GreedyUploads(Uploads):
    """Uploads networks that take 3 GiB when they are checked."""

    name, clients, parts = "greedy-uploads", 4, ("checks",)

    def _model(self) -> bytes:
        return networks.swelling(is_always=True)


class Results(Attack):
    """Asks for results of two million numbers, and lists twenty of them, slowly or as fast as they come."""

    name, clients, parts = "results", 64, ("networks", "results")
    _READERS = 4

    def prepare(self, wire: Wire) -> None:
        self._network = uploaded(wire, networks.wide(), networks.preprocessing())
        self._form = form_of(image_of("PNG", networks.SIDE, networks.SIDE))

    def step(self, wire: Wire, row: int) -> None:
        if row < self._READERS and len(self.tasks) >= 20:
            self._read(random.sample(self.tasks, 20), is_slow=row % 2 == 0)
        else:
            self._infer(wire, self._network, self._form)

    def _read(self, tasks: Sequence[int], is_slow: bool) -> None:
        address = urlsplit(self._tenant.host)
        query = "&".join(f"task_ids={task}" for task in tasks)
        with socket.create_connection((str(address.hostname), address.port or 80), 60) as connection:
            connection.sendall(
                f"GET /v0.7/tasks?{query} HTTP/1.1\r\nHost: {address.netloc}\r\n"
                f"X-API-KEY: {self._tenant.key}\r\nConnection: close\r\n\r\n".encode()
            )
            block = connection.recv(1 << 16)
            self._count(f"list {block[9:12].decode()}")
            while block:
                block = connection.recv(1 << 14 if is_slow else 1 << 20)
                time.sleep(0.25 if is_slow else 0)


class _White(Attack):
    """Sends white images, which its network does not bear; its check saw a black one."""

    parts = ("networks",)
    copies: ClassVar[int] = 1  # of the network

    def prepare(self, wire: Wire) -> None:
        model, preprocessing = self._model(), networks.preprocessing()
        self._networks = [uploaded(wire, model, preprocessing) for _ in range(self.copies)]
        self._form = form_of(image_of("PNG", networks.SIDE, networks.SIDE, white=True))

    @abstractmethod
    def _model(self) -> bytes: ...

    def step(self, wire: Wire, row: int) -> None:
        self._infer(wire, self._networks[row % self.copies], self._form)


class Hang(_White):
    """Has networks count for ever: another one where the first is known to."""

    name, clients, copies = "hang", 8, 4

    def _model(self) -> bytes:
        return networks.hanging()


class LongProduct(_White):
    """Has a network multiply for minutes, which nothing interrupts."""

    name, clients = "long-product", 8

    def _model(self) -> bytes:
        return networks.multiplying()


class Intermediates(_White):
    """Has a network take 3 GiB while it runs."""

    name, clients = "intermediates", 8

    def _model(self) -> bytes:
        return networks.swelling()


class Weights(Attack):
    """Runs ten networks in turn that take 512 MiB each once they are loaded."""

    name, clients, parts = "weights", 8, ("networks",)

    def prepare(self, wire: Wire) -> None:
        self._networks = itertools.cycle(
            [uploaded(wire, networks.heavy(number), networks.preprocessing()) for number in range(10)]
        )
        self._form = form_of(image_of("PNG", networks.SIDE, networks.SIDE))

    def step(self, wire: Wire, row: int) -> None:
        with self._lock:
            network = next(self._networks)
        self._infer(wire, network, self._form)
