"""Images from URLs: refused unless public, and bounded in size, time and redirects. All on 127.0.0.1."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from postproc.service.errors import InputError
from postproc.service.fetch.addresses import is_public
from postproc.service.fetch.fetcher import Fetcher
from postproc.service.settings import ServiceSettings

CERTIFICATES = Path(__file__).parent / "certificates"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nimage"


class Server:
    """Answers each connection with the next of some bytes, or as a function says; keeps what it was sent."""

    def __init__(self, *answers: bytes | Callable[[socket.socket], None], tls: bool = False) -> None:
        self.requests: list[bytes] = []
        self._answers = answers
        self._context = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(CERTIFICATES / "images.test.pem", CERTIFICATES / "images.test.key")

    def __enter__(self) -> Server:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        for answer in self._answers:
            with contextlib.suppress(OSError):  # a client that leaves, and the end of the test
                connection, _ = self._listener.accept()
                connection.settimeout(10)
                with connection:
                    self._answer(connection, answer)

    def _answer(self, connection: socket.socket, answer: bytes | Callable[[socket.socket], None]) -> None:
        if self._context is not None:
            with self._context.wrap_socket(connection, server_side=True) as secured:
                self._exchange(secured, answer)
        else:
            self._exchange(connection, answer)

    def _exchange(self, connection: socket.socket, answer: bytes | Callable[[socket.socket], None]) -> None:
        self.requests.append(connection.recv(65_536))
        if callable(answer):
            answer(connection)
        else:
            connection.sendall(answer)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        connection.recv(1)

    def url(self, path: str = "/a.png", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


def fetcher(**options: Any) -> Fetcher:
    """Make a fetcher that may reach local servers."""
    limits = {name: options.pop(name) for name in ("url_timeout", "url_max_bytes") if name in options}
    settings = ServiceSettings(data=Path("unused"), allow_urls=True, **limits)
    return Fetcher(settings, **{"is_allowed": lambda address: True, "ports": None, **options})


def redirect(location: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def refused(fetch: Fetcher, url: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        fetch(url, "inputs[0].image.source")
    assert (raised.value.status, raised.value.field) == (400, "inputs[0].image.source")


# --- what is asked for


def test_fetch_returns_the_content_and_asks_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Server(OK) as server:
        assert fetcher()(server.url("/dir/a b.png?x=\u00e9".replace(" ", "%20"))) == b"image"
    head = server.requests[0].decode()
    assert head.startswith(f"GET /dir/a%20b.png?x=%C3%A9 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n")
    assert "Accept-Encoding: identity\r\n" in head
    assert "cookie" not in head.lower()


def test_fetch_without_permission_says_so_and_connects_to_nobody() -> None:
    asked: list[str] = []

    def resolve(host: str, *rest: object) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    closed = Fetcher(ServiceSettings(data=Path("unused")), resolve=resolve)
    refused(closed, "http://example.com/", "does not fetch images from URLs.*--allow-urls")
    assert asked == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://017700000001/",
        "http://0.0.0.0/",
        "http://0/",
        "http://localhost/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "http://[64:ff9b::a00:1]/",
    ],
)
def test_fetch_private_address_in_any_spelling_is_refused(url: str) -> None:
    fetch = Fetcher(ServiceSettings(data=Path("unused"), allow_urls=True))
    refused(fetch, url, "does not have a public address alone|cannot be reached")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost", "2130706433"])
def test_fetch_loopback_server_is_never_reached_by_default(host: str) -> None:
    fetch = Fetcher(ServiceSettings(data=Path("unused"), allow_urls=True), ports=None)
    with Server(OK) as server:
        refused(fetch, server.url(host=host), "does not have a public address alone")
    assert server.requests == []


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("93.184.215.14", True),
        ("2606:4700:4700::1111", True),
        ("2a00:1450:4001:80b::200e", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("192.0.0.8", False),
        ("192.0.2.1", False),
        ("192.88.99.1", False),
        ("198.18.0.1", False),
        ("224.0.0.1", False),
        ("239.255.255.250", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::ffff:8.8.8.8", False),
        ("::8.8.8.8", False),
        ("64:ff9b::808:808", False),
        ("64:ff9b:1::808:808", False),
        ("2001::1", False),
        ("2001:db8::1", False),
        ("2002:808:808::1", False),
        ("3fff::1", False),
        ("fc00::1", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("2606:4700:4700::1111%eth0", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("not an address", False),
    ],
)
def test_address_is_public_or_not(address: str, expected: bool) -> None:
    assert is_public(address) is expected


def test_fetch_connects_to_the_address_that_was_checked_and_looks_up_once() -> None:
    lookups: list[str] = []

    def rebinding(host: str, port: int, deadline: object) -> list[str]:
        lookups.append(host)
        return ["127.0.0.1"] if len(lookups) == 1 else ["127.0.0.2"]

    checked: list[str] = []
    with Server(OK) as server:
        fetch = fetcher(resolve=rebinding, is_allowed=lambda address: not checked.append(address))
        assert fetch(server.url(host="images.test")) == b"image"
    assert (lookups, checked) == (["images.test"], ["127.0.0.1"])
    assert f"Host: images.test:{server.port}".encode() in server.requests[0]


def test_fetch_host_with_one_private_address_is_refused() -> None:
    with Server(OK) as server:
        fetch = fetcher(
            resolve=lambda *host: ["127.0.0.1", "10.0.0.1"], is_allowed=lambda address: address != "10.0.0.1"
        )
        refused(fetch, server.url(host="images.test"), "public address alone")
    assert server.requests == []


def test_fetch_takes_the_next_address_where_one_does_not_answer() -> None:
    with Server(OK) as server:
        fetch = fetcher(resolve=lambda *host: ["127.0.0.2", "127.0.0.1"])
        assert fetch(server.url(host="images.test")) == b"image"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        pytest.param("ftp://images.test/", "starts with http:// or https://", id="scheme"),
        pytest.param("http:///a.png", "and a host", id="no host"),
        pytest.param("http://user:secret@images.test/", "without a user", id="user"),
        pytest.param("http://images.test:99999/", "a valid URL", id="no port"),
        pytest.param("http://[::1/", "a valid URL", id="bracket"),
        pytest.param("http://images.test/a\r\nX: y", "without spaces", id="line break"),
        pytest.param("http://images.test/a b", "without spaces", id="space"),
        pytest.param("http://images.test/" + "a" * 9000, "at most 8192", id="long"),
        pytest.param("http://" + "a" * 64 + ".test/", "cannot be reached", id="long label"),
        pytest.param("http://\ud800.test/", "a valid URL", id="surrogate"),
        pytest.param("http://images.test/\ud800", "a valid URL", id="surrogate in the path"),
        pytest.param("http://images.test/?\ud800", "a valid URL", id="surrogate in the query"),
    ],
)
def test_fetch_wrong_url_is_refused(url: str, message: str) -> None:
    refused(Fetcher(ServiceSettings(data=Path("unused"), allow_urls=True)), url, message)


@pytest.mark.parametrize("port", [1, 22, 25, 444, 3000, 5432, 6379, 8001, 8081, 9000, 9200, 11211, 65535])
def test_fetch_port_that_is_not_of_web_servers_is_refused(port: int) -> None:
    looked_up: list[str] = []
    fetch = Fetcher(
        ServiceSettings(data=Path("unused"), allow_urls=True),
        resolve=lambda host, port, deadline: looked_up.append(host) or [],
    )
    message = f"expected one of the ports 80, 443, 8000, 8080, 8443, got {port}"
    refused(fetch, f"http://images.test:{port}/", message)
    assert looked_up == []


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://images.test/", 80),
        ("https://images.test/", 443),
        *((f"http://images.test:{port}/", port) for port in (80, 443, 8000, 8080, 8443)),
    ],
)
def test_fetch_port_of_web_servers_is_taken(url: str, port: int) -> None:
    looked_up: list[int] = []
    fetch = Fetcher(
        ServiceSettings(data=Path("unused"), allow_urls=True),
        resolve=lambda host, port, deadline: looked_up.append(port) or ["127.0.0.1"],
    )
    refused(fetch, url, "public address alone")  # which is asked after the port
    assert looked_up == [port]


# --- what is answered


def test_fetch_follows_redirects_and_checks_each() -> None:
    checked: list[str] = []
    fetch = fetcher(
        resolve=lambda host, *rest: ["127.0.0.1"], is_allowed=lambda address: not checked.append(address)
    )

    def to_other_host(connection: socket.socket) -> None:
        port = connection.getsockname()[1]
        connection.sendall(redirect(f"//images.test:{port}/c", 308))

    with Server(redirect("/b.png"), to_other_host, OK) as server:
        assert fetch(server.url()) == b"image"
    assert [request.split(b" ")[1] for request in server.requests] == [b"/a.png", b"/b.png", b"/c"]
    assert len(checked) == 3


@pytest.mark.parametrize(
    ("location", "message"),
    [
        pytest.param("http://10.0.0.1/", "public address alone", id="private address"),
        pytest.param("file:///etc/passwd", "starts with http", id="scheme"),
        pytest.param("http://a:b@127.0.0.1/", "without a user", id="user"),
        pytest.param("http://[", "redirects to what is no valid URL", id="no URL"),
    ],
)
def test_fetch_redirect_to_what_is_refused_is_refused(location: str, message: str) -> None:
    with Server(redirect(location)) as server:
        refused(fetcher(is_allowed=lambda address: address == "127.0.0.1"), server.url(), message)
    assert len(server.requests) == 1


def test_fetch_stops_after_three_redirects() -> None:
    with Server(*[redirect("/again")] * 4) as server:
        refused(fetcher(), server.url(), "more than 3 redirects")
    assert len(server.requests) == 4


def chunked(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(100):
        connection.sendall(b"a\r\n0123456789\r\n")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "status 404", id="status"),
        pytest.param(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "status 302", id="no location"),
        pytest.param(OK.replace(b": 5", b": 51"), "larger than 50 bytes", id="length"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n" + b"a" * 51, "larger than 50 bytes", id="stream"),
        pytest.param(chunked, "larger than 50 bytes", id="chunks"),
        pytest.param(OK.replace(b": 5", b": 9"), "as HTTP prescribes", id="cut short"),
        pytest.param(b"nothing of the kind\r\n\r\n", "as HTTP prescribes", id="no HTTP"),
        pytest.param(b"", "as HTTP prescribes", id="nothing"),
        pytest.param(
            OK.replace(b"OK\r\n", b"OK\r\nContent-Encoding: gzip\r\n"), "compressed its answer", id="gzip"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 50_000, "as HTTP prescribes", id="long head"),
    ],
)
def test_fetch_wrong_answer_is_an_error(answer: Any, message: str) -> None:
    with Server(answer) as server:
        refused(fetcher(url_max_bytes=50), server.url(), message)


def drip(start: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(start)
        for _ in range(100):
            time.sleep(0.05)
            connection.sendall(b"a")

    return answer


@pytest.mark.parametrize(
    "start",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "],
    ids=["body", "head"],
)
def test_fetch_of_a_server_that_drips_ends_in_time(start: bytes) -> None:
    with Server(drip(start)) as server:
        started = time.monotonic()
        refused(fetcher(url_timeout=0.4), server.url(), r"longer than 0.4 s")
        assert time.monotonic() - started < 4  # it drips for 5


def test_fetch_time_limit_holds_for_all_redirects_together() -> None:
    def late(connection: socket.socket) -> None:
        time.sleep(0.9)
        connection.sendall(redirect("/again"))

    with Server(late, late, late, late) as server:
        refused(fetcher(url_timeout=1.5), server.url(), "longer than 1.5 s")
    assert len(server.requests) == 2


def test_fetch_lookup_that_hangs_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *host, **options: released.wait(10))
    try:
        refused(fetcher(url_timeout=0.2), "http://images.test/", "longer than 0.2 s")
    finally:
        released.set()


# --- TLS


@pytest.fixture
def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATES / "images.test.pem"))


def test_fetch_over_tls_checks_the_name_of_the_host(trusting: ssl.SSLContext) -> None:
    fetch = fetcher(tls=trusting, resolve=lambda *host: ["127.0.0.1"])
    with Server(OK, tls=True) as server:
        assert fetch(server.url(host="images.test", scheme="https")) == b"image"
    with Server(OK, tls=True) as server:
        refused(
            fetch,
            server.url(host="other.test", scheme="https"),
            "certificate is not valid: Hostname mismatch",
        )


def test_fetch_over_tls_of_an_unknown_issuer_is_an_error() -> None:
    with Server(OK, tls=True) as server:
        fetch = fetcher(resolve=lambda *host: ["127.0.0.1"])
        refused(
            fetch, server.url(host="images.test", scheme="https"), "certificate is not valid: self-signed"
        )


def test_fetch_over_tls_of_a_server_without_it_is_an_error() -> None:
    with Server(b"HTTP/1.1 200 OK\r\n\r\n") as server:
        refused(fetcher(), server.url(scheme="https"), "does not speak TLS")
