"""The application on a real server in a thread of the tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from postproc.service import ServiceSettings, create_app
from postproc.service.model_check.scheduler import CheckModel
from postproc.service.services import MakeEngine, Services
from postproc.service.serving import config_of
from tests.service.fake_engine import FakeEngine, FakeMetrics, fake_check
from tests.service.waiting import wait_until

KEY, OTHER_KEY = "key-of-one", "key-of-other"
_SECONDS = 20


@dataclass(frozen=True)
class Serving:
    """A running service, and clients of two tenants."""

    app: FastAPI
    server: uvicorn.Server
    host: str
    client: httpx.Client
    other: httpx.Client

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    @property
    def engine(self) -> FakeEngine:
        engine: Any = self.services.engine
        assert isinstance(engine, FakeEngine)
        return engine


@contextmanager
def serving(
    data: Path, make_engine: MakeEngine = FakeEngine, check_model: CheckModel = fake_check, **settings: Any
) -> Iterator[Serving]:
    """Serve an app with a fake engine on a free port, as long as the block lasts."""
    chosen = ServiceSettings(data=data, port=0, **settings)
    app = create_app(
        chosen,
        keys={KEY: "one", OTHER_KEY: "other"},
        make_engine=make_engine,
        check_model=check_model,
        metrics=FakeMetrics(),
    )
    with (
        in_thread(config_of(app, chosen)) as (server, host),
        _client(host, KEY) as client,
        _client(host, OTHER_KEY) as other,
    ):
        yield Serving(app, server, host, client, other)


@contextmanager
def in_thread(config: uvicorn.Config) -> Iterator[tuple[uvicorn.Server, str]]:
    """Run a server in a thread, as long as the block lasts, and give it and its address."""
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="test-server")
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), _SECONDS)
        assert server.started, "the service did not start"
        yield server, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(_SECONDS)
        assert not thread.is_alive(), "the service did not stop"


def _client(host: str, key: str) -> httpx.Client:
    return httpx.Client(
        base_url=f"{host}/v0.7", headers={"X-API-KEY": key}, timeout=_SECONDS, trust_env=False
    )
