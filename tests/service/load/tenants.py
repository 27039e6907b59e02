"""Tenants who use the service as it is meant: photographs, and now and then a list or an upload."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from typing import Any

from postproc import demo
from tests.service.digits import IMAGE, SECONDS, SOURCE, client_of, digits_in, publish
from tests.service.load.wire import Form, Wire
from tests.service.running import Running

LONGEST = 90.0  # seconds for one task: its time, and the margin in which its outcome is told
_KIND = "yolo"  # of the demo's networks
_DIGITS = 17  # in the photograph
_LIST_PAUSE, _UPLOAD_PAUSE = 0.5, 5.0  # seconds, on average
_PHOTOGRAPH = Form.of({SOURCE: IMAGE})


@dataclass
class Seen:
    """What clients saw: how long each kind of request took, and what went wrong."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: list[str] = field(default_factory=list)
    tasks: list[int] = field(default_factory=list)  # all that were acknowledged

    def add(self, other: Seen) -> None:
        """Count what another client saw."""
        for kind, values in other.seconds.items():
            self.seconds[kind] += values
        self.errors += other.errors
        self.tasks += other.tasks


class UnexpectedError(Exception):
    """An answer that a tenant who does nothing wrong should not get."""


@dataclass(frozen=True)
class Tenant:
    """A tenant with a key, and a version of the demo's network."""

    host: str
    key: str
    version: int

    @classmethod
    def of(cls, service: Running, name: str) -> Tenant:
        """Give a tenant a key, a network and a version."""
        key = service.add_key(name)
        with client_of(replace(service, key=key)) as client:
            version = publish(client).version
        return cls(service.host, key, version)

    def clients(self, count: int, pause: float, seed: int) -> list[Client]:
        """Return clients that send photographs, one that lists, one that uploads."""
        photographers = [Photographer(self, pause, seed + row) for row in range(count)]
        return [*photographers, Lister(self, seed + count), Uploader(self, seed + count + 1)]


class Client:
    """One client: it repeats what it does until it is told to stop, and goes on after an error."""

    def __init__(self, tenant: Tenant, seed: int) -> None:
        self.seen = Seen()
        self._tenant = tenant
        self._random = random.Random(seed)

    def work(self, stop: threading.Event) -> None:
        """Do it until told to stop; what is begun is finished."""
        with Wire(self._tenant.host, self._tenant.key, SECONDS) as wire:
            for step, pause in self._steps():
                if stop.wait(pause * self._random.uniform(0.5, 1.5)):
                    return
                try:
                    step(wire)
                except (UnexpectedError, OSError, HTTPException) as error:
                    self.seen.errors.append(f"{type(error).__name__}: {error}"[:300])

    def _steps(self) -> Iterator[tuple[Callable[[Wire], None], float]]:
        """Give what to do next, and the seconds to wait before, on average."""
        raise NotImplementedError

    @contextmanager
    def _timed(self, kind: str) -> Iterator[None]:
        """Measure a request; one that fails counts among the errors alone."""
        started = time.perf_counter()
        yield
        self.seen.seconds[kind].append(time.perf_counter() - started)


class Photographer(Client):
    """Sends a photograph, and asks for the task until it has ended."""

    def __init__(self, tenant: Tenant, pause: float, seed: int) -> None:
        super().__init__(tenant, seed)
        self._pause = pause

    def _steps(self) -> Iterator[tuple[Callable[[Wire], None], float]]:
        while True:
            yield self.infer, self._pause

    def infer(self, wire: Wire) -> None:
        """Send one, and wait for what is found in it."""
        started = time.perf_counter()
        path = f"/v0.7/recognition/versions/{self._tenant.version}/inference"
        with self._timed("inference"):
            with self._timed("post"):
                task = asked(wire, "POST", path, _PHOTOGRAPH, 201)["task_id"]
            self.seen.tasks.append(task)
            for pause in _pauses(self._random):
                time.sleep(pause)
                document = asked(wire, "GET", f"/v0.7/tasks/{task}")
                if document["status"] != "pending":
                    break
                if time.perf_counter() - started > LONGEST:
                    raise UnexpectedError(f"task {task} stays pending")
            if document["status"] != "success" or digits_in(document["data"]) != _DIGITS:
                raise UnexpectedError(f"task {task}: {document['error'] or document['data']}")


class Lister(Client):
    """Lists the networks now and then."""

    def _steps(self) -> Iterator[tuple[Callable[[Wire], None], float]]:
        while True:
            yield self.list, _LIST_PAUSE

    def list(self, wire: Wire) -> None:
        """Look at the networks."""
        with self._timed("list"):
            asked(wire, "GET", "/v0.7/networks")


class Uploader(Client):
    """Uploads a network of the demo now and then, and removes it again."""

    def _steps(self) -> Iterator[tuple[Callable[[Wire], None], float]]:
        while True:
            yield self.upload, _UPLOAD_PAUSE

    def upload(self, wire: Wire) -> None:
        """Upload one, and remove it."""
        model, preprocessing = demo.model_path(_KIND), demo.preprocessing_path(_KIND)
        with self._timed("upload"):
            network = uploaded(wire, model.read_bytes(), preprocessing.read_text())
        asked(wire, "DELETE", f"/v0.7/networks/{network}", expected=204)


def uploaded(wire: Wire, model: bytes, preprocessing: str) -> int:
    """Upload a network, and return its id."""
    fields = {"name": "load", "framework": "onnx", "preprocessing": preprocessing}
    form = Form.of({"model.onnx": model}, fields)
    return int(asked(wire, "POST", "/v0.7/networks", form, 201)["id"])


def asked(
    wire: Wire, method: str, path: str, body: Form | bytes | None = None, expected: int = 200
) -> dict[str, Any]:
    """Return the document of an answer of the expected status.

    Raises
    ------
    UnexpectedError
        If it has another one.
    """
    status, content = wire.ask(method, path, body)
    if status != expected:
        raise UnexpectedError(f"{method} {path}: {status} {content[:200].decode(errors='replace')}")
    document: dict[str, Any] = json.loads(content) if content else {}
    return document


def _pauses(random: random.Random) -> Iterator[float]:
    """Give the pauses between questions for a task, as the vendor's client makes them."""
    yield from (0.0, 0.05)
    bound = 0.05
    while True:
        yield 0.1 + random.uniform(0.0, min(1.0, bound))
        bound *= 2
