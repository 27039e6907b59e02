"""Connections of clients that are broken or mean harm; the service must answer others all the while."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.service.objects import IMAGE, complaint, make_network, make_version
from tests.service.serving import KEY, Serving, serving
from tests.service.waiting import wait_until

_SECONDS = 20
_SPECS = "/v0.7/recognition/specs"


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Serve an app that waits little for bodies, with a small queue of memory."""
    with serving(tmp_path_factory.mktemp("impatient"), body_timeout=0.5, max_model=1 << 20) as running:
        yield running


def _open(service: Serving) -> socket.socket:
    url = httpx.URL(service.host)
    return socket.create_connection((url.host, url.port or 80), timeout=_SECONDS)


def _head(path: str, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"X-API-KEY: {KEY}", "Content-Type: application/json"]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


def _status(connection: socket.socket) -> int:
    answer = connection.makefile("rb").readline()
    return int(answer.split()[1]) if answer else 0


def _is_well(service: Serving) -> None:
    assert service.client.get("/accounts/me").json() == {"name": "one"}


def test_body_that_stops_coming_is_a_408(impatient: Serving) -> None:
    for headers in (("Content-Length: 1000",), ("Transfer-Encoding: chunked",)):
        with _open(impatient) as connection:
            connection.sendall(_head(_SPECS, *headers) + (b"1\r\n{\r\n" if "chunked" in headers[0] else b"{"))
            assert _status(connection) == 408
    _is_well(impatient)


def test_body_that_comes_byte_by_byte_is_a_408(impatient: Serving) -> None:
    with _open(impatient) as connection:
        connection.sendall(_head(_SPECS, "Content-Length: 1000"))
        started = time.monotonic()
        connection.setblocking(False)
        answer = b""
        while not answer and time.monotonic() - started < 10:
            connection.send(b" ")
            time.sleep(0.1)  # less than the longest pause
            try:
                answer = connection.recv(100)
            except BlockingIOError:
                continue
    assert answer.split()[1] == b"408"
    _is_well(impatient)


def test_many_connections_that_send_nothing_leave_room_for_others(impatient: Serving) -> None:
    connections = [_open(impatient) for _ in range(200)]
    try:
        for connection in connections[:100]:
            connection.sendall(_head(_SPECS, "Content-Length: 1000"))
        started = time.monotonic()
        _is_well(impatient)
        assert time.monotonic() - started < 5
        assert _status(connections[0]) == 408
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(_head(_SPECS, "Content-Length: -1"), id="negative length"),
        pytest.param(_head(_SPECS, "Content-Length: 2", "Content-Length: 3"), id="two lengths"),
        pytest.param(_head(_SPECS, "X-Long: " + "a" * 200_000), id="long header"),
        pytest.param(_head(_SPECS, "Transfer-Encoding: chunked") + b"xyz\r\n", id="chunk without size"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", id="TLS"),
    ],
)
def test_request_that_is_no_http_is_refused(impatient: Serving, head: bytes) -> None:
    with _open(impatient) as connection:
        connection.sendall(head)
        assert _status(connection) in (0, 400, 431)  # 0: closed without an answer
    _is_well(impatient)


def test_body_longer_than_declared_is_not_read_on(impatient: Serving) -> None:
    with _open(impatient) as connection:
        connection.sendall(_head(_SPECS, "Content-Length: 2") + b"{}" + b"GARBAGE\r\n\r\n")
        assert _status(connection) == 400
    _is_well(impatient)


def test_compressed_body_is_not_unpacked(impatient: Serving) -> None:
    bomb = gzip.compress(b"[" + b" " * 50_000_000)
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    complaint(impatient.client.post("/recognition/specs", content=bomb, headers=headers))


def test_upload_beyond_the_limit_is_refused_early_and_leaves_nothing(impatient: Serving) -> None:
    with _open(impatient) as connection:
        head = _head("/v0.7/networks", f"Content-Length: {1 << 30}", "Expect: 100-continue")
        connection.sendall(head.replace(b"application/json", b"multipart/form-data; boundary=b"))
        assert _status(connection) == 413
    wait_until(lambda: not list((impatient.services.settings.data / "staging").iterdir()))
    _is_well(impatient)


def test_form_of_very_many_fields_is_a_413(service: Serving) -> None:
    version = make_version(service.client)["id"]
    fields = {f"inputs[0]image.x{row}": "1" for row in range(10_001)}
    path = f"/recognition/versions/{version}/inference"
    complaint(service.client.post(path, data=fields, files=IMAGE), 413)


def test_network_deleted_by_many_at_once_while_used_is_gone_once(service: Serving) -> None:
    network = make_network(service.client)["id"]
    version = make_version(service.client, network={"id": network})["id"]

    def act(row: int) -> int:
        if row % 3 == 0:
            return service.client.delete(f"/networks/{network}").status_code
        return service.client.post(f"/recognition/versions/{version}/inference", files=IMAGE).status_code

    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(act, range(36)))
    assert statuses.count(204) == 1
    assert set(statuses) <= {201, 204, 404}


def test_networks_made_at_once_are_two(service: Serving, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: make_network(service.client), range(2))
    assert first["id"] != second["id"]
    assert first["task_id"] != second["task_id"]
    assert json.dumps(first["preprocessing"]) == json.dumps(second["preprocessing"])
