"""What tenants do who take what they can: an attack is what one client of theirs repeats."""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections import Counter
from http.client import HTTPException
from io import BytesIO
from typing import ClassVar

from PIL import Image

from tests.service.load.tenants import Tenant
from tests.service.load.wire import Form, Wire


class Attack(ABC):
    """What a hostile tenant does on many connections at once, without a pause.

    Parameters
    ----------
    tenant : Tenant
        Whose key it uses, and whose version of the demo's network.
    """

    name: ClassVar[str]
    clients: ClassVar[int]
    parts: ClassVar[tuple[str, ...]]  # of the service's memory that it goes for, beside images

    def __init__(self, tenant: Tenant) -> None:
        self.answers: Counter[str] = Counter()
        self.tasks: list[int] = []
        self._tenant = tenant
        self._lock = threading.Lock()

    @abstractmethod
    def prepare(self, wire: Wire) -> None:
        """Upload what it needs, before anybody is measured."""

    def work(self, row: int, stop: threading.Event) -> None:
        """Be one of its clients until told to stop."""
        with Wire(self._tenant.host, self._tenant.key) as wire:
            while not stop.is_set():
                try:
                    self.step(wire, row)
                except (OSError, HTTPException) as error:
                    self._count(type(error).__name__)
                    stop.wait(0.05)

    @abstractmethod
    def step(self, wire: Wire, row: int) -> None:
        """Send something once."""

    def _count(self, what: object) -> None:
        with self._lock:
            self.answers[str(what)] += 1

    def _send(
        self, wire: Wire, method: str, path: str, body: Form | bytes | None = None
    ) -> tuple[int, bytes]:
        status, content = wire.ask(method, path, body)
        self._count(status)
        return status, content

    def _infer(self, wire: Wire, network: int, body: Form) -> int | None:
        """Run a network alone; return the task that was acknowledged."""
        return self._start(wire, f"/v0.7/networks/{network}/inference", body)

    def _start(self, wire: Wire, path: str, body: Form) -> int | None:
        status, content = self._send(wire, "POST", path, body)
        if status != 201:
            return None
        task = int(json.loads(content)["task_id"])
        self.tasks.append(task)
        return task


def image_of(kind: str, width: int, height: int, white: bool = False) -> bytes:
    written = BytesIO()
    Image.new("RGB", (width, height), "white" if white else "black").save(written, kind)
    return written.getvalue()


def form_of(content: bytes, images: int = 1) -> Form:
    return Form.of({f"inputs[{row}]image.source": content for row in range(images)})
