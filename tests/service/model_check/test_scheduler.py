"""Checks of uploads: nobody else waits for them, and they end with whom they are for."""

from __future__ import annotations

import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from postproc.schema import Preprocessing
from tests.models import endless
from tests.service.fake_engine import fake_check
from tests.service.objects import IMAGE, PREPROCESSING, made, make_network
from tests.service.running import Running, running
from tests.service.serving import KEY, OTHER_KEY, Serving, serving
from tests.service.sockets import answer_on, open_to
from tests.service.waiting import wait_until

ENDLESS = b"onnx endless:0"
UPLOADS, HELD = 42, 16  # a tenant may hold half of the 32 places


class Endless:
    """A check that ends when it is stopped, where the network says so."""

    def __init__(self) -> None:
        self.began, self.stopped = 0, 0

    def __call__(
        self, model: Path, preprocessing: Preprocessing, folder: Path, *, stop: threading.Event, **_: Any
    ) -> Any:
        if model.read_bytes() == ENDLESS:
            self.began += 1
            stop.wait()
            self.stopped += 1
        return fake_check(model, preprocessing, folder)


@pytest.fixture
def checks() -> Endless:
    return Endless()


@pytest.fixture
def service(checks: Endless, tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path, check_model=checks) as running:
        yield running


def request(service: Serving | Running, key: str, model: bytes, **fields: str) -> tuple[bytes, bytes]:
    """Return the head and the body of an upload."""
    message = httpx.Request(
        "POST",
        f"{service.host}/v0.7/networks",
        headers={"X-API-KEY": key},
        data={"name": "n", "framework": "onnx", **(fields or PREPROCESSING)},
        files={"model": ("f", model)},
    )
    lines = ["POST /v0.7/networks HTTP/1.1", *(f"{name}: {value}" for name, value in message.headers.items())]
    return "\r\n".join([*lines, "", ""]).encode(), message.read()


def uploading(service: Serving, key: str = KEY) -> socket.socket:
    """Send an upload whose check never ends: an answer comes only if it is refused."""
    connection = open_to(service)
    connection.sendall(b"".join(request(service, key, ENDLESS)))
    return connection


def answered(connections: list[socket.socket]) -> list[socket.socket]:
    return select.select(connections, [], [], 0)[0]


def test_uploads_whose_checks_never_end_keep_nobody_waiting(service: Serving, checks: Endless) -> None:
    with ExitStack() as opened:
        uploads = [opened.enter_context(uploading(service)) for _ in range(UPLOADS)]
        wait_until(lambda: len(answered(uploads)) == UPLOADS - HELD and checks.began)
        assert service.services.uploads.used == HELD
        for connection in answered(uploads):
            answer = answer_on(connection)
            assert (answer.status, answer.headers["retry-after"]) == (503, "10")
            assert "wait for their check" in answer.complaint()

        assert httpx.get(f"{service.host}/healthz", timeout=10, trust_env=False).status_code == 200
        wrong = {"X-API-KEY": "wrong"}
        assert httpx.get(f"{service.host}/v0.7/networks", headers=wrong, trust_env=False).status_code == 401
        network = make_network(service.other)  # whose check runs beside those
        made(service.other.post(f"/networks/{network['id']}/inference", files=IMAGE))
        assert (checks.began, checks.stopped) == (1, 0)
    wait_until(lambda: service.services.uploads.used == 0)


def test_upload_beyond_the_places_is_refused_before_its_body_comes(service: Serving) -> None:
    with ExitStack() as opened:
        for _ in range(HELD):
            opened.enter_context(uploading(service))
        wait_until(lambda: service.services.uploads.used == HELD)
        with open_to(service) as connection:
            connection.sendall(request(service, KEY, b"onnx")[0])
            assert answer_on(connection).status == 503
        with open_to(service) as connection:  # places are left for another tenant
            connection.sendall(request(service, OTHER_KEY, b"onnx")[0])
            wait_until(lambda: service.services.uploads.used == HELD + 1)


def test_upload_whose_client_leaves_is_not_checked_any_more(service: Serving, checks: Endless) -> None:
    with uploading(service) as first:
        wait_until(lambda: checks.began == 1)
        with uploading(service):
            wait_until(lambda: service.services.uploads.used == 2)
        wait_until(lambda: service.services.uploads.used == 1)
        assert (checks.began, checks.stopped) == (1, 0)
        first.close()
        wait_until(lambda: service.services.uploads.used == 0 and checks.stopped == 1)
    assert not list((service.services.settings.data / "staging").iterdir())
    make_network(service.client)
    assert checks.began == 1


def test_checks_of_tenants_take_turns(service: Serving, checks: Endless) -> None:
    with ExitStack() as opened:
        first = [opened.enter_context(uploading(service)) for _ in range(3)]
        wait_until(lambda: checks.began == 1 and service.services.uploads.used == len(first))
        opened.enter_context(uploading(service, OTHER_KEY))
        wait_until(lambda: checks.began == 2)
        for connection in first:
            connection.close()


# --- the process of a check


def children(service: Running) -> set[int]:
    folder = Path(f"/proc/{service.process.pid}/task")
    return {int(pid) for path in folder.glob("*/children") for pid in path.read_text().split()}


def runs(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()  # a container's init may reap nobody
    except OSError:
        return False


def has_runtime(pid: int) -> bool:
    return "onnxruntime" in Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_check_ends_with_the_service(number: signal.Signals, tmp_path: Path) -> None:
    with running(tmp_path) as service:
        preprocessing = '{"inputs": [{"tensor_name": "data", "image": {"target_size": "2x2"}}]}'
        parts = request(service, service.key, endless(), preprocessing=preprocessing)
        others = children(service)  # which run networks
        url = httpx.URL(service.host)
        with socket.create_connection((url.host, url.port or 80), 60) as connection:
            connection.sendall(b"".join(parts))
            wait_until(lambda: children(service) > others, 60)
            (pid,) = children(service) - others
            wait_until(lambda: has_runtime(pid), 60)
            service.process.send_signal(number)
            if number == signal.SIGTERM:
                answer = answer_on(connection)
                assert (answer.status, answer.headers["retry-after"]) == (503, "1")
                assert answer.complaint() == "the service is being stopped"
            service.process.wait(30)
        wait_until(lambda: not runs(pid), 10)
