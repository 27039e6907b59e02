"""Two tenants at ten to one: one floods the service, and the other is served as if it were alone."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Lock, Semaphore
from typing import Any

import httpx
import pytest

from postproc.service.engine.engine import Engine
from tests.service.digits import IMAGE, SOURCE
from tests.service.objects import made
from tests.service.serving import Serving, serving
from tests.service.sockets import SPECS, answer_on, head, open_to, status_of
from tests.service.waiting import wait_until

INFERENCE = "/recognition/public/digits-yolo/inference"
_SECONDS = 20


@contextmanager
def many_to(service: Serving, count: int) -> Iterator[list[socket.socket]]:
    """Open connections to a service."""
    with ExitStack() as stack:
        yield [stack.enter_context(open_to(service)) for _ in range(count)]


def test_body_that_comes_fast_at_first_and_byte_by_byte_then_is_a_408(tmp_path: Path) -> None:
    with serving(tmp_path, body_timeout=0.5) as service, open_to(service) as connection:
        connection.sendall(head(SPECS, "Content-Length: 200000") + b" " * 100_000)  # for 97 s at the least
        deadline = time.monotonic() + _SECONDS
        while not select.select([connection], [], [], 0.05)[0]:
            assert time.monotonic() < deadline, "it goes on"
            connection.sendall(b" ")
        assert status_of(connection) == 408


def test_bodies_of_a_tenant_leave_memory_for_those_of_another(tmp_path: Path) -> None:
    with serving(tmp_path, max_inputs_bytes=16 << 20) as service, many_to(service, 20) as flood:
        for connection in flood:  # more than half of each body
            connection.sendall(
                head(f"/v0.7{INFERENCE}", f"Content-Length: {2 << 20}") + b" " * ((11 << 20) // 10)
            )
        refused, _, _ = select.select(flood, [], [], _SECONDS)
        answer = answer_on(refused[0])
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        made(service.other.post(INFERENCE, files={SOURCE: ("image", b"x" * 1_300_000)}))


def test_requests_of_a_tenant_leave_connections_for_those_of_another(tmp_path: Path) -> None:
    with serving(tmp_path, max_connections=50) as service, many_to(service, 50) as flood:
        statuses = []
        for connection in flood:
            connection.sendall(head(SPECS, "Content-Length: 1000", "Expect: 100-continue"))
            statuses.append(status_of(connection))  # 100: the service waits for the body
        assert service.other.get("/networks").status_code == 200
        assert 40 <= statuses.count(100) < 50
        assert statuses.count(100) + statuses.count(503) == 50


class Held:
    """Holds the threads that call it back until it is let go."""

    def __init__(self) -> None:
        self.go = Event()
        self._lock = Lock()
        self.count = 0

    def __call__(self) -> None:
        with self._lock:
            self.count += 1
        assert self.go.wait(_SECONDS)

    def wait(self) -> None:
        """Wait until no further thread comes."""
        before = -1
        while before < self.count or not self.count:
            before = self.count
            time.sleep(0.5)


@pytest.mark.parametrize("key", ["key-of-one", "unknown"], ids=["tenant", "stranger"])
def test_requests_that_hold_threads_leave_some_for_another_tenant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    held = Held()
    with serving(tmp_path) as service, ThreadPoolExecutor(60) as pool:
        assert service.other.get("/networks").status_code == 200  # its key is known from now on
        tenant_of = service.services.keys.tenant_of

        def hold_strangers(key: str) -> str | None:
            if key == "unknown":
                held()
            return tenant_of(key)

        def hold_one(tenant: str, *_: Any, **__: Any) -> Any:
            if tenant == "one":
                held()
            return 0, []

        monkeypatch.setattr(service.services.keys, "tenant_of", hold_strangers)
        monkeypatch.setattr(service.services.networks, "list", hold_one)
        url = f"{service.host}/v0.7/networks"
        flood = [
            pool.submit(httpx.get, url, headers={"X-API-KEY": key}, timeout=2 * _SECONDS, trust_env=False)
            for _ in range(60)
        ]
        held.wait()
        try:
            assert service.other.get("/networks", timeout=5).status_code == 200
            assert not any(future.done() for future in flood)
        finally:
            held.go.set()
        assert {future.result().status_code for future in flood} == {200 if key == "key-of-one" else 401}


class ColdEngine(Engine):
    """Compiles no kernels, which no call of these tests uses."""

    def warm(self, posts: Iterable[Any]) -> None:
        pass


class Calls:
    """Takes the place of calls of networks: each waits until it is let go."""

    def __init__(self, service: Serving) -> None:
        self.engine: Any = service.services.engine
        self.engine._batcher._run = self.run
        self.go = Semaphore(0)
        self.batches: list[list[int]] = []

    def run(self, jobs: Sequence[Any]) -> None:
        self.batches.append([job.task_id for job in jobs])
        assert self.go.acquire(timeout=_SECONDS)
        self.engine._fail(jobs, "by the test")


def send(client: httpx.Client, count: int) -> list[httpx.Response]:
    """Send images from ten clients at once."""
    with ThreadPoolExecutor(10) as pool:
        return list(
            pool.map(lambda _: client.post(INFERENCE, files={SOURCE: ("image", IMAGE)}), range(count))
        )


def test_single_image_waits_for_one_call_of_a_tenant_that_floods(tmp_path: Path) -> None:
    with serving(tmp_path, ColdEngine, batch_wait=0) as service:
        calls = Calls(service)
        try:
            send(service.client, 1)
            wait_until(lambda: calls.batches)
            for response in send(service.client, 40):
                made(response)
            for _ in range(5):
                (single,) = send(service.other, 1)
                task, before = made(single)["task_id"], len(calls.batches)
                calls.go.release()  # what runs, since before the single one came
                wait_until(lambda before=before: len(calls.batches) > before)
                assert task in calls.batches[-1]
                calls.go.release()
                wait_until(lambda before=before: len(calls.batches) > before + 1)
        finally:
            calls.go.release(100)


def test_queue_of_a_tenant_that_floods_leaves_places_for_another(tmp_path: Path) -> None:
    with serving(tmp_path, ColdEngine, queue_length=20) as service:
        calls = Calls(service)
        try:
            statuses = [response.status_code for response in send(service.client, 40)]
            assert set(statuses) == {201, 503}
            made(*send(service.other, 1))
        finally:
            calls.go.release(100)
