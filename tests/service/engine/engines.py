"""Engines with the outcomes that they tell, and small networks and images for them."""

from __future__ import annotations

import asyncio
import io
import json
import queue
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper
from PIL import Image

from postproc.demo import model_path, preprocessing_path
from postproc.onnx_runner.session import CPU
from postproc.schema import Preprocessing
from postproc.service.engine.engine import Engine
from postproc.service.metrics import Metrics
from postproc.service.settings import ServiceSettings
from postproc.service.work import NetworkFiles, Outcome, Work
from tests.models import network


class Alone:
    """An engine without a service around it, which subclasses make, and the outcomes that it told."""

    engine: Any

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()

    def has_room(self, tenant: str) -> bool:
        return True

    def put(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self.outcomes.put(outcome)

    def submit(self, task_id: int, files: NetworkFiles, post: Any, inputs: Any, **options: Any) -> None:
        prepared = self.prepare(files, inputs)
        tenant = options.pop("tenant", "one")
        work = Work(files, post, options.pop("key", 1), prepared, **options)
        self.engine.submit(task_id, work, self.engine.reserve(prepared, tenant))

    def prepare(self, files: NetworkFiles, inputs: Any) -> Any:
        return asyncio.run(self.engine.prepare("a", self.engine.open(files, inputs)))

    def collect(self, count: int) -> dict[int, Outcome]:
        found = [self.outcomes.get(timeout=60) for _ in range(count)]
        assert self.outcomes.empty()
        assert len({outcome.task_id for outcome in found}) == count
        return {outcome.task_id: outcome for outcome in found}

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0


class Service(Alone):
    """An engine that runs networks itself."""

    engine: Engine

    def __init__(self, workers: int = 1, **settings: Any) -> None:
        super().__init__()
        chosen = ServiceSettings(data=Path("unused"), providers=(CPU,), workers=workers, **settings)
        self.engine = Engine(chosen, self.metrics, self)


def encoded(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def shade(value: int, width: int = 2, height: int = 2) -> list[dict[str, Any]]:
    """Give the inputs of a request with an image of one grey."""
    return [{"image": {"source": encoded(np.full((height, width, 3), value, np.uint8))}}]


def demo(name: str) -> NetworkFiles:
    path = model_path(name)
    return NetworkFiles(f"digits-{name}", path.parent, path, Preprocessing.load(preprocessing_path(name)))


def small(folder: Path, content: bytes, identifier: int = 1, **image: Any) -> NetworkFiles:
    """Save a network of the input ``data``; its images are 2x2 and grey, unless `image` says otherwise."""
    place = folder / str(identifier)
    place.mkdir()
    (place / "model.onnx").write_bytes(content)
    flags = {name: image.pop(name) for name in ("batched_input", "batched_output") if name in image}
    fields = {"target_size": "2x2", "color_channels": "L", "pixel_scaling": 1.0, **image}
    document = {"inputs": [{"tensor_name": "data", "image": fields}], **flags}
    return NetworkFiles(identifier, place, place / "model.onnx", Preprocessing.load(document))


def averaging(batch: int | str = "N", symbol: int | str | None = "N") -> bytes:
    """Build a network that puts out the mean grey of each image."""
    return network(
        [
            helper.make_node("ReduceMean", ["data"], ["mean"], axes=[2, 3]),
            helper.make_node("Flatten", ["mean"], ["grey"]),
        ],
        {"data": (np.float32, (batch, 1, "H", "W"))},
        {"grey": (np.float32, (symbol, 1))},
    )


def greys(outcomes: dict[int, Outcome]) -> dict[int, float]:
    """Give the score of each task."""
    assert all(outcome.error is None for outcome in outcomes.values())
    return {
        task_id: json.loads(outcome.data)["outputs"][0]["labels"]["predicted"][0]["score"]
        for task_id, outcome in outcomes.items()
        if outcome.data is not None
    }
