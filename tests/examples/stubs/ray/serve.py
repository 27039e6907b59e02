"""Ray Serve's interface as far as the example uses it; of ray 2.60.0, its source and
https://docs.ray.io/en/latest/serve/api/index.html.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Deployment:
    """A class, bare as `func_or_class`."""

    def __init__(self, func_or_class: type[Any]) -> None:
        self.func_or_class = func_or_class

    def bind(self, *arguments: Any) -> tuple[Deployment, tuple[Any, ...]]:
        return self, arguments


def deployment(**options: Any) -> Callable[[type[Any]], Deployment]:
    assert options.keys() <= {"num_replicas", "max_ongoing_requests", "user_config"}
    return Deployment


def batch(*, max_batch_size: int = 10, batch_wait_timeout_s: float = 0.01) -> Callable[[Any], Any]:
    """Gather what is asked within the time, or until a batch is full; each asker gets its row."""

    def decorate(method: Any) -> Any:
        waiting: list[tuple[Any, asyncio.Future[Any]]] = []

        async def flush(instance: Any) -> None:
            taken, waiting[:] = waiting[:max_batch_size], waiting[max_batch_size:]
            if not taken:
                return
            found = await method(instance, [row for row, _ in taken])
            assert len(found) == len(taken)
            for (_, asker), answer in zip(taken, found, strict=True):
                asker.set_result(answer)

        async def ask(instance: Any, row: Any) -> Any:
            asker = asyncio.get_running_loop().create_future()
            waiting.append((row, asker))
            await asyncio.sleep(0 if len(waiting) >= max_batch_size else batch_wait_timeout_s)
            await flush(instance)
            return await asker

        return ask

    return decorate
