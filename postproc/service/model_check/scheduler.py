"""Checks of networks that were sent: few at once, in turns of the tenants, and no thread waits for them."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from postproc.schema import Preprocessing
from postproc.service.errors import RefusedError
from postproc.service.model_check.check import ModelReport
from postproc.service.settings import ServiceSettings
from postproc.service.sharing import Turns

AT_ONCE = 2  # each may take a core, and gigabytes

CheckModel = Callable[..., ModelReport]  # as `check.check_model`


class CheckScheduler:
    """Checks networks, two at once, of each tenant one; in one event loop.

    Parameters
    ----------
    check : CheckModel
        Checks one, in a thread.
    settings : ServiceSettings
        What a check may take.
    """

    def __init__(self, check: CheckModel, settings: ServiceSettings) -> None:
        self._check = check
        self._timeout, self._memory = settings.model_check_timeout, settings.network_memory
        self._turns = Turns(AT_ONCE, most=1)  # so that the other is free for others, whoever sends what
        self._threads = ThreadPoolExecutor(AT_ONCE, "postproc-check")
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_stopping = False

    async def check(
        self, tenant: str, model: Path, preprocessing: Preprocessing, folder: Path
    ) -> ModelReport:
        """Wait for the tenant's turn, check a network, and return what it is; cancelled, it ends at once.

        Raises
        ------
        ApiError
            If the network cannot be used, or the service is being stopped.
        """
        if self._is_stopping:
            raise RefusedError("the service is being stopped", "stopping")
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            async with self._turns.turn(tenant):
                return await self._in_thread(model, preprocessing, folder)
        finally:
            self._tasks.discard(task)

    def stop(self) -> None:
        """End all checks, and begin none."""
        self._is_stopping = True
        for task in self._tasks:
            task.cancel()

    def close(self) -> None:
        """Give back the threads, once all requests have ended."""
        self._threads.shutdown(wait=False)

    async def _in_thread(self, model: Path, preprocessing: Preprocessing, folder: Path) -> ModelReport:
        stop = threading.Event()
        check = functools.partial(self._check, timeout=self._timeout, memory=self._memory, stop=stop)
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, check, model, preprocessing, folder
            )
        finally:
            stop.set()
