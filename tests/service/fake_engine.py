"""An engine that runs no network: what the routes hand over is seen, and outcomes are as told."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from postproc.pipeline import PostProcessor
from postproc.schema import Preprocessing
from postproc.service.errors import InputError, QueueFullError
from postproc.service.metrics import Metrics
from postproc.service.settings import ServiceSettings
from postproc.service.work import NetworkFiles, Outcome, Outcomes, Work

DONE = {"outputs": [{"labels": {"predicted": [], "discarded": []}}]}


@dataclass(frozen=True)
class Tensor:
    name: str
    type: str
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True)
class Report:
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    opset: int
    bytes: int


class FakeMetrics(Metrics):
    """Keeps the requests that it counts."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[tuple[str, str, int]] = []

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        self.requests.append((route, method, status))


def fake_check(model: Path, preprocessing: Preprocessing, folder: Path, **_: Any) -> Report:
    """Take every file that starts with ``onnx``, whose lines name its outputs, for a network."""
    content = model.read_bytes()
    if not content.startswith(b"onnx"):
        raise InputError("model", "is no ONNX file")
    outputs = content.decode().split()[1:]
    inputs = tuple(Tensor(item.tensor_name, "tensor(float)", (1, 3, 8, 8)) for item in preprocessing.inputs)
    return Report(inputs, tuple(Tensor(name, "tensor(float)", (1,)) for name in outputs), 17, len(content))


class FakeEngine:
    """Ends each task at once, or holds it until `release`."""

    def __init__(self, settings: ServiceSettings, metrics: Any, outcomes: Outcomes) -> None:
        self.settings = settings
        self.outcomes = outcomes
        self.works: list[tuple[int, Work]] = []
        self.held: list[tuple[int, Work]] = []
        self.holds = False
        self.is_full = False
        self.data: dict[str, Any] | None = DONE
        self.error: str | None = None
        self.forgotten: list[int | str] = []
        self.resumed: list[int | str] = []
        self.held_networks = 0
        self.is_away = False
        self.elsewhere: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        self.had_elsewhere: Counter[str] = Counter()
        self.warmed: list[PostProcessor] = []
        self.running = False
        self.places = 0
        self._lock = threading.Lock()

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False

    @property
    def is_warm(self) -> bool:
        return bool(self.warmed)

    def warm(self, posts: Iterable[PostProcessor]) -> None:
        self.warmed.extend(posts)

    def open(self, network: NetworkFiles, inputs: Sequence[Any]) -> Any:
        images = [item for item in network.preprocessing.inputs if item.image is not None]
        if len(inputs) != len(images):
            raise InputError("inputs", f"expected {len(images)}, got {len(inputs)}")
        for row, item in enumerate(inputs):
            if not isinstance(item, Mapping):
                raise InputError(f"inputs[{row}]", "expected an object with an image")
        return list(inputs)

    async def prepare(self, tenant: str, opened: Any) -> Any:
        return opened

    def reserve(self, inputs: Any, tenant: str, *, is_due: bool = False) -> Any:
        if self.is_full:
            raise QueueFullError(2.0)
        self.places += 1
        return SimpleNamespace(release=self._release)

    def submit(self, task_id: int, work: Work, ticket: Any) -> None:
        ticket.release()
        with self._lock:
            self.works.append((task_id, work))
            if self.holds:
                self.held.append((task_id, work))
                return
        self._finish([(task_id, work)])

    def _release(self) -> None:
        self.places -= 1

    def release(self) -> None:
        with self._lock:
            held, self.held = self.held, []
        self._finish(held)

    def resume(self, network_id: int | str) -> None:
        self.resumed.append(network_id)

    def had(self) -> Mapping[str, float]:
        return self.seconds

    def share(self, held: Mapping[str, int], had: Mapping[str, float]) -> None:
        self.elsewhere = dict(held)
        self.had_elsewhere.update(had)

    def forget_network(self, network_id: int | str) -> None:
        self.forgotten.append(network_id)

    def _finish(self, ended: Sequence[tuple[int, Work]]) -> None:
        text = None if self.error else json.dumps(self.data)
        self.outcomes.put(
            [Outcome(task_id, text, self.error, work.tenant, work.trace) for task_id, work in ended]
        )
