"""Connections of clients that are broken or mean harm; the service must answer others all the while."""

from __future__ import annotations

import gzip
import json
import os
import re
import resource
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.service.objects import IMAGE, MODEL, complaint, make_network, make_version, post_network
from tests.service.serving import KEY, Serving, serving
from tests.service.sockets import ME, SPECS, answer_on, head, is_well, open_to, rest_of, status_of
from tests.service.waiting import wait_until


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Serve an app that waits little for bodies, with a small queue of memory."""
    with serving(tmp_path_factory.mktemp("impatient"), body_timeout=0.5, max_model=1 << 20) as running:
        yield running


def test_body_that_stops_coming_is_a_408(impatient: Serving) -> None:
    for headers in (("Content-Length: 1000",), ("Transfer-Encoding: chunked",)):
        with open_to(impatient) as connection:
            connection.sendall(head(SPECS, *headers) + (b"1\r\n{\r\n" if "chunked" in headers[0] else b"{"))
            assert status_of(connection) == 408
    is_well(impatient)


def test_body_that_comes_byte_by_byte_is_a_408(impatient: Serving) -> None:
    with open_to(impatient) as connection:
        connection.sendall(head(SPECS, "Content-Length: 1000"))
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
    is_well(impatient)


def test_many_connections_that_send_nothing_leave_room_for_others(impatient: Serving) -> None:
    connections = [open_to(impatient) for _ in range(200)]
    try:
        for connection in connections[:100]:
            connection.sendall(head(SPECS, "Content-Length: 1000"))
        started = time.monotonic()
        is_well(impatient)
        assert time.monotonic() - started < 5
        assert status_of(connections[0]) == 408
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(head(SPECS, "Content-Length: -1"), id="negative length"),
        pytest.param(head(SPECS, "Content-Length: 2", "Content-Length: 3"), id="two lengths"),
        pytest.param(head(SPECS, "Transfer-Encoding: chunked") + b"xyz\r\n", id="chunk without size"),
        pytest.param(head(SPECS, "Transfer-Encoding: chunked") + b"5\r\nabcdefgh\r\n", id="chunk too long"),
        pytest.param(b"PUT / HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", id="TLS"),
    ],
)
def test_request_that_is_no_http_is_a_400(impatient: Serving, request_: bytes) -> None:
    with open_to(impatient) as connection:
        connection.sendall(request_)
        answer = answer_on(connection)
        assert rest_of(connection) == b""
    assert answer.status == 400
    assert "Invalid HTTP request" in answer.complaint()
    is_well(impatient)


def test_head_of_a_thousand_task_ids_may_come_in_pieces(impatient: Serving) -> None:
    query = "&".join(f"task_ids={10**7 + row}" for row in range(1000))  # as the vendor's client asks
    request = head(f"/v0.7/tasks/?{query}&offset=0&limit=100", method="GET")
    with open_to(impatient) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in (request[:17_000], request[17_000:]):
            connection.sendall(part)
            time.sleep(0.05)
        answer = answer_on(connection)
    assert (answer.status, json.loads(answer.body)["results"]) == (200, [])


def test_head_without_end_is_refused(impatient: Serving) -> None:
    with open_to(impatient) as connection:
        connection.sendall(head(SPECS, "X-Long: " + "a" * 200_000)[:-4])
        answer = rest_of(connection)
    assert not answer or answer.startswith(b"HTTP/1.1 400 ")  # lost where bytes were left unread
    is_well(impatient)


def test_body_that_is_no_http_after_the_answer_closes_quietly(
    impatient: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    with open_to(impatient) as connection:
        connection.sendall(head(SPECS, "Transfer-Encoding: chunked", key="wrong"))
        assert answer_on(connection).status == 401
        connection.sendall(b"xyz\r\n")
        assert rest_of(connection) == b""
    is_well(impatient)
    assert "Fatal error" not in caplog.text


def test_head_request_whose_body_is_no_http_has_an_answer_without_body(
    impatient: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    with open_to(impatient) as connection:
        connection.sendall(head(ME, "Transfer-Encoding: chunked", method="HEAD") + b"xyz\r\n")
        answer = rest_of(connection)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.endswith(b"\r\n\r\n")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_two_ways_to_tell_a_length_end_the_connection(impatient: Serving) -> None:
    headers = ("Content-Length: 2", "Transfer-Encoding: chunked")
    with open_to(impatient) as connection:
        connection.sendall(head(SPECS, *headers) + b"2\r\n{}\r\n0\r\n\r\n" + head(ME, method="GET"))
        answer = answer_on(connection)
        assert "outputs" in answer.complaint()
        assert rest_of(connection) == b""


def test_requests_in_a_row_are_answered_in_their_order(impatient: Serving) -> None:
    with open_to(impatient) as connection:
        post = head(SPECS, "Content-Length: 2") + b"{}"
        connection.sendall(head(ME, method="GET") + post + head(ME, "Connection: close", method="GET"))
        answer = rest_of(connection)
    assert re.findall(rb"HTTP/1.1 (...)", answer) == [b"200", b"400", b"200"]


def test_body_is_asked_for_only_with_a_valid_key(impatient: Serving) -> None:
    for key, first in ((KEY, 100), ("wrong", 401)):
        with open_to(impatient) as connection:
            connection.sendall(head(SPECS, "Content-Length: 2", "Expect: 100-continue", key=key))
            assert status_of(connection) == first


def test_upgrade_to_a_websocket_is_passed_over(impatient: Serving, caplog: pytest.LogCaptureFixture) -> None:
    headers = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    with open_to(impatient) as connection:
        connection.sendall(head(ME, *headers, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", method="GET"))
        assert answer_on(connection).status == 200
    assert "websockets" not in caplog.text


def test_body_longer_than_declared_is_not_read_on(impatient: Serving) -> None:
    with open_to(impatient) as connection:
        connection.sendall(head(SPECS, "Content-Length: 2") + b"{}" + b"GARBAGE\r\n\r\n")
        assert status_of(connection) == 400
    is_well(impatient)


def test_compressed_body_is_not_unpacked(impatient: Serving) -> None:
    bomb = gzip.compress(b"[" + b" " * 50_000_000)
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    complaint(impatient.client.post("/recognition/specs", content=bomb, headers=headers), 415)


def test_upload_beyond_the_limit_is_refused_early_and_leaves_nothing(impatient: Serving) -> None:
    with open_to(impatient) as connection:
        request = head("/v0.7/networks", f"Content-Length: {1 << 30}", "Expect: 100-continue")
        connection.sendall(request.replace(b"application/json", b"multipart/form-data; boundary=b"))
        assert status_of(connection) == 413
    wait_until(lambda: not list((impatient.services.settings.data / "staging").iterdir()))
    is_well(impatient)


def test_form_of_very_many_fields_is_a_413(service: Serving) -> None:
    version = make_version(service.client)["id"]
    fields = {f"inputs[0]image.x{row}": "1" for row in range(10_001)}
    path = f"/recognition/versions/{version}/inference"
    complaint(service.client.post(path, data=fields, files=IMAGE), 413)


def test_upload_of_many_files_keeps_few_open(service: Serving) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = len(os.listdir("/dev/fd"))
    files = {f"part{row}": ("x", MODEL) for row in range(200)}
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken + 100, hard))
    try:
        assert "expected one file part" in complaint(post_network(service.client, files))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


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
