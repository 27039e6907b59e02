"""A store with the files of networks, and an engine whose replica runs in this process, without a cluster."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from postproc.service.metrics import Metrics
from postproc.service.on_ray.engine import RayEngine
from postproc.service.on_ray.messages import NetworkSource
from postproc.service.settings import ServiceSettings
from postproc.service.store.objects import ObjectStore, StoreRecord
from postproc.service.work import NetworkFiles, Outcome, Work


def settings_of(folder: Path, **given: Any) -> ServiceSettings:
    """Give settings of a front end with a store in a folder."""
    return ServiceSettings(
        data=folder / "data",
        store=f"file://{folder}/store",
        ray_copies=folder / "copies",
        providers=("CPUExecutionProvider",),
        **{"ray": "auto", "ray_max_replicas": 1, **given},
    )


def keep(files: NetworkFiles, folder: Path) -> NetworkSource:
    """Put the files of a network into the store."""
    source = NetworkSource.of(files.id, files.model)
    store = ObjectStore(f"file://{folder}/store")
    store.write_record(StoreRecord(id="tests", is_joined=True))
    for entry in source.entries:
        store.put(files.model.parent / entry.path, entry.digest)
    return source


class Front:
    """An engine of a front end, and the outcomes that it told."""

    def __init__(self, settings: ServiceSettings, handle: Any) -> None:
        self.metrics = Metrics()
        self.outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self.engine = RayEngine(settings, self.metrics, self, connect=lambda _: handle)

    def has_room(self, tenant: str) -> bool:
        return True

    def put(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self.outcomes.put(outcome)

    def submit(self, task_id: int, files: NetworkFiles, post: Any, inputs: Any, **options: Any) -> None:
        prepared = asyncio.run(self.engine.prepare("a", self.engine.open(files, inputs)))
        work = Work(files, post, 1, prepared, **options)
        self.engine.submit(task_id, work, self.engine.reserve(prepared, "a"))

    def collect(self, count: int) -> dict[int, Outcome]:
        found = [self.outcomes.get(timeout=60) for _ in range(count)]
        assert self.outcomes.empty()
        assert len({outcome.task_id for outcome in found}) == count
        return {outcome.task_id: outcome for outcome in found}
