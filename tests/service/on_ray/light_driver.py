"""A link's process without a cluster: calls wait for a file; another file has the cluster away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from postproc.errors import PostprocError
from postproc.service.engine.networks.calls import Answer
from postproc.service.on_ray.driver import main
from postproc.service.on_ray.messages import LinkOrder, Reply


class _Handle:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def options(self, **given: Any) -> _Handle:
        return self

    async def remote(self, call: Any, parts: Any, source: Any) -> AsyncIterator[Any]:
        (self._folder / "called").touch()
        while not (self._folder / "go").exists():
            await asyncio.sleep(0.01)
        (array,) = parts["data"]
        yield Reply([(0, f"{array.dtype} {array.shape} {array.max():g}", None)], Answer())

    def broadcast(self, method: str, forgotten: list[int]) -> Any:
        (self._folder / method).write_text(str(forgotten))
        return self

    async def results_async(self, **given: Any) -> None:
        pass


def connect(order: LinkOrder) -> tuple[Any, list[str]]:
    folder = Path(order.address)
    if (folder / "away").exists():
        raise PostprocError("no Ray cluster, says the test")
    return _Handle(folder), ["it has other settings, says the test"]


if __name__ == "__main__":
    main(connect)
