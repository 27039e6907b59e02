"""From a request to a queued task: nothing leaks where a request ends in between."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from postproc.schema import Preprocessing
from postproc.service.http.bodies import Body
from postproc.service.http.inference import start_inference
from postproc.service.work import NetworkFiles, TargetName
from tests.service.fake_engine import FakeEngine, FakeMetrics

PREPROCESSING = {"inputs": [{"tensor_name": "a", "image": {"target_size": "8x8"}}]}
FILES = NetworkFiles(1, Path(), Path(), Preprocessing.load(PREPROCESSING))
BODY = Body(content=b'{"inputs": [{"image": {"source": "AAAA"}}]}')


class Services:
    """The parts that an inference uses; the row of a task is written once it may."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.reporter = SimpleNamespace(admit=lambda tenant: None, put=self.told.extend)
        self.metrics = FakeMetrics()
        self.engine = FakeEngine(None, self.metrics, self.reporter)  # type: ignore[arg-type]
        self.tasks = SimpleNamespace(add=self._add)
        self.rows: list[str] = []
        self.begun, self.go, self.turns = threading.Event(), threading.Event(), asyncio.Event()
        self.error: Exception | None = None
        self.calls = 0

    async def run(self, tenant: str, function: Callable[..., Any], *arguments: Any) -> Any:
        self.calls += 1
        if self.calls == 2:
            await self.turns.wait()
        return await run_in_threadpool(function, *arguments)

    def public_model(self, name: str) -> Any:
        return SimpleNamespace(files=FILES)

    def _add(self, tenant: str, describe: Callable[[], Any]) -> int:
        self.begun.set()
        assert self.go.wait(20)
        if self.error is not None:
            raise self.error
        self.rows.append(tenant)
        return len(self.rows)


def started(services: Any, left: asyncio.Event | None = None) -> asyncio.Task[dict[str, Any]]:
    async def receive() -> Any:
        await (left or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    request = Request({"type": "http"}, receive)
    return asyncio.create_task(start_inference(services, request, "a", TargetName("network", "public"), BODY))


async def until(is_there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_there():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


def test_request_that_is_cancelled_before_its_row_gives_its_place_back() -> None:
    async def cancelled() -> None:
        services = Services()
        services.go.set()
        task = started(services)
        await until(lambda: services.calls == 2)
        assert services.engine.places == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (services.engine.places, services.rows) == (0, [])

    asyncio.run(cancelled())


def test_request_that_is_cancelled_while_its_row_is_written_has_its_task_done() -> None:
    async def cancelled() -> None:
        services = Services()
        services.turns.set()
        task = started(services)
        await until(services.begun.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        services.go.set()
        await until(lambda: bool(services.told))
        assert (services.engine.places, len(services.rows), len(services.engine.works)) == (0, 1, 1)

    asyncio.run(cancelled())


def test_request_whose_row_cannot_be_written_gives_its_place_back() -> None:
    async def failed() -> None:
        services = Services()
        services.turns.set()
        services.go.set()
        services.error = OSError("the disk is full")
        with pytest.raises(OSError, match="full"):
            await started(services)
        assert (services.engine.places, services.engine.works) == (0, [])

    asyncio.run(failed())


def test_inference_whose_client_leaves_before_its_images_are_decoded_ends() -> None:
    async def run() -> None:
        services, left, ended = Services(), asyncio.Event(), asyncio.Event()

        async def prepare(tenant: str, opened: Any) -> Any:
            left.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        services.engine.prepare = prepare  # type: ignore[method-assign]
        with pytest.raises(ClientDisconnect):
            await started(services, left)
        assert ended.is_set()
        assert (services.rows, services.engine.places) == ([], 0)

    asyncio.run(asyncio.wait_for(run(), 20))
