"""The process of a link: what it tells of a call whose time is over while it tells it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import Pipe
from typing import Any

import numpy as np
import pytest

from postproc.service.engine.networks.buffer import SharedBuffer
from postproc.service.on_ray import driver
from postproc.service.on_ray.messages import Reply, Told

RESULTS: Told = [(0, "x" * (4 << 20), None)]  # more than a connection takes before somebody reads
LATE = Reply(lost="its time is over")


class LateTries:
    """Tells results of a call, whose time ends before anybody has read them."""

    def __init__(self, may_read: threading.Event) -> None:
        self._may_read = may_read

    async def run(
        self, call: Any, parts: Any, source: Any, seconds: float, tell: Callable[[Told], Awaitable[None]]
    ) -> Reply:
        telling = asyncio.ensure_future(tell(RESULTS))
        await asyncio.sleep(0.1)
        asyncio.get_running_loop().call_later(0.1, self._may_read.set)
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling
        return LATE


def test_end_of_a_call_comes_behind_the_results_that_are_on_their_way() -> None:
    mine, other = Pipe()
    buffer, may_read = SharedBuffer(), threading.Event()
    layout = buffer.put({"data": [np.zeros(1, np.float32)]})
    threads = ThreadPoolExecutor(3)
    tries: Any = LateTries(may_read)

    def serve() -> None:
        with pytest.raises(EOFError):
            asyncio.run(driver._serve(threads, tries, other, buffer))

    serving = threading.Thread(target=serve, daemon=True)
    serving.start()
    mine.send((None, None, layout, 1.0))
    assert may_read.wait(60)
    assert [mine.recv(), mine.recv()] == [RESULTS, LATE]
    mine.close()
    serving.join(60)
    assert not serving.is_alive()
    buffer.close()
