"""Connections that are idle or slow: each ends within a time, and they leave room for others."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI

from postproc.service.http.connections import Connection
from postproc.service.metrics import Metrics
from postproc.service.serving import config_of
from postproc.service.settings import ServiceSettings
from tests.service.serving import Serving, serving
from tests.service.sockets import ME, SPECS, answer_on, head, is_well, open_to, rest_of
from tests.service.waiting import wait_until

_HEAD_SECONDS, _BODY_SECONDS = 1.0, 2.0
_MOST = 100
_ASSET = "/docs-assets/swagger-ui-bundle.js"
_GET = head(ME, method="GET")


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Serve an app that waits little, with room for some connections."""
    with serving(
        tmp_path_factory.mktemp("impatient"),
        head_timeout=_HEAD_SECONDS,
        body_timeout=_BODY_SECONDS,
        max_connections=_MOST,
    ) as running:
        yield running


def _trickle(connection: socket.socket, block: bytes, seconds: float) -> float:
    """Send a block now and then until the service closes; return how long that took."""
    started = time.monotonic()
    connection.settimeout(0.1)
    while time.monotonic() - started < seconds:
        with suppress(TimeoutError):
            connection.sendall(block)
            if not connection.recv(1 << 16):
                break
    return time.monotonic() - started


@pytest.mark.parametrize(("others", "most"), [(0, 1 << 20), (70, 1 << 14)], ids=["alone", "among 70"])
def test_body_is_read_in_smaller_portions_where_there_are_more_connections(
    others: int, most: int, impatient: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    received = Connection.data_received

    def counted(connection: Connection, data: bytes) -> None:
        sizes.append(len(data))
        received(connection, data)

    body = b" " * (1 << 20)
    with ExitStack() as opened:
        for _ in range(others):
            opened.enter_context(open_to(impatient))
        connection = opened.enter_context(open_to(impatient))
        connection.sendall(_GET)  # the size of the first portion is asyncio's
        assert answer_on(connection).status == 200
        monkeypatch.setattr(Connection, "data_received", counted)
        connection.sendall(head(SPECS, f"Content-Length: {len(body)}") + body)
        assert answer_on(connection).status == 400
    assert sum(sizes) > len(body)
    assert max(sizes) <= most


@pytest.mark.parametrize("before", [b"", _GET], ids=["first request", "second request"])
def test_head_that_stops_coming_is_a_408(impatient: Serving, before: bytes) -> None:
    with open_to(impatient) as connection:
        if before:
            connection.sendall(before)
            assert answer_on(connection).status == 200
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-")
        answer = answer_on(connection)
        assert rest_of(connection) == b""
    assert answer.status == 408
    assert answer.complaint() == f"the head of the request did not come within {_HEAD_SECONDS:g} s"


def test_head_that_comes_byte_by_byte_ends_in_time(impatient: Serving) -> None:
    with open_to(impatient) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        with suppress(ConnectionError):
            assert _trickle(connection, b"a", 10) < 10


def test_connection_that_sends_nothing_is_closed_without_a_word(impatient: Serving) -> None:
    with open_to(impatient) as connection:
        assert rest_of(connection) == b""


def test_connection_is_kept_between_requests_and_while_they_are_answered(impatient: Serving) -> None:
    body = b" " * 2000
    with open_to(impatient) as connection:
        connection.sendall(_GET)
        assert answer_on(connection).status == 200
        time.sleep(2 * _HEAD_SECONDS)
        connection.sendall(head(SPECS, f"Content-Length: {10 * len(body)}"))
        for _ in range(10):  # slower than a head may be, and not too slow for a body
            connection.sendall(body)
            time.sleep(_HEAD_SECONDS / 5)
        assert "not JSON" in answer_on(connection).complaint()


def test_body_that_goes_on_after_the_answer_ends_in_time(impatient: Serving) -> None:
    with open_to(impatient) as connection:
        connection.sendall(head(SPECS, "Content-Length: 1000000", key="wrong"))
        assert answer_on(connection).status == 401
        with suppress(ConnectionError):
            assert _trickle(connection, b"a", 10) < 10


@contextmanager
def asked_for_much(
    service: Serving, receive_buffer: int = 1 << 16, segment: int | None = None
) -> Iterator[tuple[socket.socket, int]]:
    """Ask for more than the kernel holds: give a connection, and how much comes without the heads."""
    size = len(service.client.get(service.host + _ASSET).content)  # first: it may take a head's whole time
    with open_to(service, receive_buffer, segment) as connection:
        connection.sendall(8 * head(_ASSET, method="GET"))
        yield connection, 8 * size


def _read_whole(connection: socket.socket, count: int) -> None:
    while count > 0:
        block = connection.recv(1 << 18)
        assert block, f"closed with {count:,} bytes to come"
        count -= len(block)


def test_answer_that_is_read_slowly_comes_whole(impatient: Serving) -> None:
    with asked_for_much(impatient) as (connection, size):
        for _ in range(12):
            time.sleep(_BODY_SECONDS / 8)  # all together for longer than a client may pause
            block = connection.recv(1 << 18)
            assert block
            size -= len(block)
        _read_whole(connection, size)


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not tell what a client has taken")
def test_answer_that_is_read_in_small_pieces_comes_whole(impatient: Serving) -> None:
    """The kernel asks the service for more after 32 KiB: for longer than a client may pause."""
    with asked_for_much(impatient, receive_buffer=1 << 11, segment=536) as (connection, size):
        connection.settimeout(3 * _BODY_SECONDS)
        deadline = time.monotonic() + 3 * _BODY_SECONDS
        while time.monotonic() < deadline:
            time.sleep(_BODY_SECONDS / 32)
            block = connection.recv(1 << 9)
            assert block
            size -= len(block)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
        _read_whole(connection, size)


def test_answer_that_waits_while_the_service_stands_still_comes_whole(impatient: Serving) -> None:
    with asked_for_much(impatient) as (connection, size):
        wait_until(lambda: _connection_of(impatient, connection))
        service = _connection_of(impatient, connection)
        waiting = 0

        def nothing_moves() -> bool:
            nonlocal waiting
            before, waiting = waiting, service.transport.get_write_buffer_size()
            return bool(0 < waiting == before)

        wait_until(nothing_moves, pause=_BODY_SECONDS / 16)
        looked = threading.Event()

        def stand_still() -> None:
            time.sleep(1.5 * _BODY_SECONDS)
            service.loop.call_later(0, looked.set)  # after what is due by now

        service.loop.call_soon_threadsafe(stand_still)
        assert looked.wait(10 * _BODY_SECONDS)
        _read_whole(connection, size)


def _connection_of(service: Serving, connection: socket.socket) -> Any:
    """Return what the service makes of a connection; None once it is closed."""
    client = ("127.0.0.1", connection.getsockname()[1])
    connections = list(service.server.server_state.connections)
    return next((one for one in connections if getattr(one, "client", None) == client), None)


def test_body_that_comes_while_the_service_stands_still_is_read(impatient: Serving) -> None:
    with open_to(impatient) as connection:
        _part_of_a_body(connection)
        service = _connection_of(impatient, connection)
        stands_still = threading.Event()
        service.loop.call_soon_threadsafe(lambda: (stands_still.set(), time.sleep(1.5 * _BODY_SECONDS)))
        assert stands_still.wait(10 * _BODY_SECONDS)
        connection.sendall(b" ")
        time.sleep(2 * _BODY_SECONDS)  # until it goes on, and a little longer
        connection.sendall(b" " * 997 + b"}")
        answer = answer_on(connection)
    assert answer.status == 400
    assert "outputs" in answer.complaint()


def test_answer_that_is_not_read_is_given_up(impatient: Serving) -> None:
    with asked_for_much(impatient) as (connection, _):
        wait_until(lambda: _connection_of(impatient, connection) is None)


def _nothing(connection: socket.socket) -> None:
    pass


def _part_of_a_head(connection: socket.socket) -> None:
    connection.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")


def _part_of_a_body(connection: socket.socket) -> None:
    connection.sendall(head(SPECS, "Content-Length: 1000", "Expect: 100-continue"))
    assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")  # the service waits for it
    connection.sendall(b"{")


def _request(connection: socket.socket) -> None:
    connection.sendall(_GET)
    assert answer_on(connection).status == 200


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Serve an app that would wait for long, with room for some connections."""
    with serving(tmp_path_factory.mktemp("patient"), max_connections=_MOST) as running:
        yield running


@pytest.mark.parametrize(
    "act", [_nothing, _part_of_a_head, _request], ids=["nothing", "part of a head", "a request"]
)
def test_idle_connections_beyond_the_limit_make_room_for_others(
    patient: Serving, act: Callable[[socket.socket], None]
) -> None:
    with ExitStack() as stack:
        connections = []
        for _ in range(2 * _MOST):
            connections.append(stack.enter_context(open_to(patient)))
            act(connections[-1])
        with open_to(patient) as other:
            other.sendall(_GET)
            assert answer_on(other).status == 200
        assert rest_of(connections[0]) == b""
        connections[-1].settimeout(0.2)
        with pytest.raises(TimeoutError):  # still open
            connections[-1].recv(1)


def test_connections_at_work_leave_others_a_503(patient: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient.services.requests, "_total", 10**6)  # else a tenant cannot have them all
    with ExitStack() as stack:
        connections = [stack.enter_context(open_to(patient)) for _ in range(_MOST)]
        for connection in connections:
            _part_of_a_body(connection)
        with open_to(patient) as other:
            other.sendall(_GET.replace(b"\r\n\r\n", b"\r\nX-Request-ID: mine\r\n\r\n"))
            answer = answer_on(other)
            assert rest_of(other) == b""
        assert answer.status == 503
        assert answer.headers["x-request-id"] == "mine"
        read = patient.services.metrics.registry.get_sample_value
        assert read("postproc_refused_total", {"cause": "connections"}) == 1
        assert answer.headers["retry-after"] == "1"
        assert f"all {_MOST} connections are at work" in answer.complaint()
    is_well(patient)


def test_requests_that_the_end_of_the_service_interrupts_are_a_503(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("postproc.service.serving._STOP_SECONDS", 1)
    with ExitStack() as stack:
        with serving(tmp_path) as service:
            asking, idle = stack.enter_context(open_to(service)), stack.enter_context(open_to(service))
            _part_of_a_body(asking)
            _part_of_a_head(idle)
        assert rest_of(idle) == b""
        answer = answer_on(asking)
        assert rest_of(asking) == b""
    assert answer.status == 503
    assert "is being stopped" in answer.complaint()
    assert "Exception in ASGI application" not in caplog.text


def test_slow_connections_leave_room_for_others(impatient: Serving) -> None:
    acts = (_nothing, _part_of_a_head, _part_of_a_body)
    with ExitStack() as stack:
        for row in range(2 * _MOST):
            acts[row % 3](stack.enter_context(open_to(impatient)))
        for _ in range(20):
            is_well(impatient)


def test_loop_is_asyncio_whatever_else_is_installed(tmp_path: Path) -> None:
    app = FastAPI()
    app.state.services = SimpleNamespace(metrics=Metrics())
    assert config_of(app, ServiceSettings(data=tmp_path)).loop == "asyncio"  # "auto" is uvloop at times
