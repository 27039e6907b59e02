"""A store with the files of networks, and an engine of a front end."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from postproc.service.engine.networks.calls import LostError
from postproc.service.on_ray.engine import RayEngine
from postproc.service.on_ray.link import Line
from postproc.service.on_ray.messages import NetworkSource, Told
from postproc.service.settings import ServiceSettings
from postproc.service.store.objects import ObjectStore, StoreRecord
from postproc.service.work import NetworkFiles
from tests.service.engine.engines import Alone


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


class Front(Alone):
    """An engine of a front end."""

    engine: RayEngine

    def __init__(self, settings: ServiceSettings, link: Any = None) -> None:
        super().__init__()
        self.engine = RayEngine(settings, self.metrics, self, link=link)


class ScriptedLink:
    """Stands for a link: it tells of each call what a script has."""

    def __init__(self, script: Sequence[Told]) -> None:
        self.script = script
        self.calls = 0
        self.is_away, self.seconds = False, 7.0
        self.is_over = False
        self.lines = [Line(), Line()]

    def start(self) -> None:
        for line in self.lines:
            threading.Thread(target=self._work, args=(line,), daemon=True).start()

    def stop(self) -> None:
        self.is_over = True
        for line in self.lines:
            with socket.socket(fileno=os.dup(line.other.fileno())) as ended:
                ended.shutdown(socket.SHUT_RDWR)  # whoever waits at either end hears of it

    def kill(self) -> None:
        pass

    def ended(self) -> None:
        pass

    def driver(self, deadline: float) -> ScriptedLink:
        if self.is_over:
            raise LostError("it is over")
        return self

    def tell(self, *told: Told) -> None:
        for line in self.lines:
            for item in told:
                line.other.send(item)

    def forget(self, network_id: int | str) -> None:
        pass

    def _work(self, line: Line) -> None:
        with suppress(EOFError, OSError):
            while line.other.recv():
                self.calls += 1
                for item in self.script:
                    line.other.send(item)
