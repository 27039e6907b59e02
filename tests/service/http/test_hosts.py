"""Which hosts a request may name, and that links lead to no other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from starlette.requests import Request

from postproc.service.hosts import is_host
from postproc.service.http.pagination import PageRequest
from postproc.service.settings import ServiceSettings
from tests.service.objects import complaint, make_spec
from tests.service.serving import KEY, Serving, serving
from tests.service.sockets import answer_on, open_to

HOSTS = [
    "x", "localhost", "localhost:8000", "api.example.com", "api.example.com.", "API.Example.COM:443",
    "my_service:80", "xn--bcher-kva.example", "127.0.0.1", "127.0.0.1:65535", "[::1]", "[::1]:8000",
    "[2001:db8::1]:80", "[::ffff:127.0.0.1]", "a" * 255,
]  # fmt: skip
NO_HOSTS = [
    "", " ", "user@example.com", "user:password@example.com", "example.com/path", "example.com?x",
    "example.com#x", "http://example.com", "example.com\\@evil", "a b", "a\tb", "example.com:",
    "example.com:port", "example.com:65536", "example.com:123456", "example.com:80:80", "::1", "[::1", "[]",
    "[::1]x", "[fe80::1%25eth0]", "[1.2.3.4]", "-example.com", ".example.com", "example-:80", "a,b", "a;b",
    "a'b", 'a"b', "<script>", "b\xfccher.example", "\u0661.example", "a" * 256, "%61", "x\x00", "x\n",
    "x\r\ny",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTS)
def test_host_is_taken(text: str) -> None:
    assert is_host(text)


@pytest.mark.parametrize("text", NO_HOSTS)
def test_what_is_no_host_is_not(text: str) -> None:
    assert not is_host(text)


def asked(service: Serving, target: str, *lines: str, version: str = "1.1") -> Any:
    """Send a request with these lines as they are."""
    with open_to(service) as connection:
        text = "\r\n".join([f"GET {target} HTTP/{version}", *lines, f"X-API-KEY: {KEY}", "", ""])
        connection.sendall(text.encode("latin-1"))
        return answer_on(connection, "GET")


SPECS = "/v0.7/recognition/specs?limit=1"


@pytest.fixture(scope="module")
def filled(service: Serving) -> Serving:
    """Give a service whose lists have several pages."""
    for _ in range(3):
        make_spec(service.client)
    return service


def following(answer: Any) -> str:
    assert answer.status == 200
    document: Any = httpx.Response(200, content=answer.body).json()
    return str(document["next"]).partition("?")[0]


@pytest.mark.parametrize("host", ["example.org:1234", "[::1]:80", "xn--bcher-kva.example"])
def test_links_lead_to_the_host_of_the_request(filled: Serving, host: str) -> None:
    assert following(asked(filled, SPECS, f"Host: {host}")) == f"http://{host}/v0.7/recognition/specs"


@pytest.mark.parametrize(
    "host",
    ["evil.example/x?", "user@evil.example", "evil.example#", "a b", "", "b\xfccher.example", "a" * 256, "-"],
)
@pytest.mark.parametrize("path", [SPECS, "/", "/healthz"])
def test_host_that_is_none_is_a_400_that_says_so(filled: Serving, host: str, path: str) -> None:
    answer = asked(filled, path, f"Host: {host}")
    assert answer.status == 400
    assert "expected a host in the header Host" in answer.complaint()


@pytest.mark.parametrize(
    "lines", [[], ["Host: a", "Host: a"], ["Host: a", "host: b"]], ids=["none", "twice", "two"]
)
def test_missing_or_repeated_host_is_a_400(filled: Serving, lines: list[str]) -> None:
    assert asked(filled, SPECS, *lines).status == 400


def test_request_of_http_1_0_needs_no_host(filled: Serving) -> None:
    found = following(asked(filled, SPECS, version="1.0"))
    assert found == f"{filled.host}/v0.7/recognition/specs"


def test_target_with_a_host_is_the_path_at_that_host(filled: Serving) -> None:
    answer = asked(filled, f"http://example.org:8{SPECS}", "Host: other.example")
    assert following(answer) == "http://example.org:8/v0.7/recognition/specs"
    assert asked(filled, "http://example.org", "Host: x").headers["content-type"].startswith("text/html")
    refused = asked(filled, f"http://user@example.org{SPECS}", "Host: x")
    assert "expected a host" in refused.complaint()


def test_headers_of_proxies_name_no_host(filled: Serving) -> None:
    lines = (
        "Host: a",
        "X-Forwarded-Host: evil.example",
        "Forwarded: host=evil.example",
        "X-Forwarded-Port: 1",
    )
    assert following(asked(filled, SPECS, *lines)) == "http://a/v0.7/recognition/specs"


@pytest.mark.parametrize(
    ("told", "scheme"),
    [("https", "https"), ("http", "http"), ("wss", "https"), ("ftp", "http"), ("a://b", "http")],
)
def test_proxy_on_this_machine_tells_the_scheme(filled: Serving, told: str, scheme: str) -> None:
    answer = asked(filled, SPECS, "Host: a", f"X-Forwarded-Proto: {told}")
    assert following(answer) == f"{scheme}://a/v0.7/recognition/specs"


PUBLIC = "https://example.org/recognition"


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Serve below a path of another host."""
    with serving(tmp_path_factory.mktemp("public"), public_url=f"{PUBLIC}/") as running:
        for _ in range(3):
            make_spec(running.client)
        yield running


def test_links_begin_with_the_public_url_whatever_the_request_says(public: Serving) -> None:
    for host in ("localhost", "evil.example"):
        answer = asked(public, SPECS, f"Host: {host}", "X-Forwarded-Proto: http")
        assert following(answer) == f"{PUBLIC}/v0.7/recognition/specs"
    page = public.client.get("/recognition/specs?limit=1&offset=1").json()
    assert page["previous"].startswith(f"{PUBLIC}/v0.7/recognition/specs?")
    assert asked(public, SPECS, "Host: a/b").status == 400


def test_docs_send_requests_below_the_path_of_the_public_url(public: Serving, service: Serving) -> None:
    assert httpx.get(f"{public.host}/openapi.json").json()["servers"] == [{"url": "/recognition"}]
    assert "servers" not in httpx.get(f"{service.host}/openapi.json").json()


@pytest.mark.parametrize(
    "url", ["example.org", "ftp://example.org", "https://", "https://u:p@example.org", "https://example.org/?a",
            "https://example.org/#a", "https://example.org//a", "https://example.org/a b", "https://a/../b", "https://a/."],
)  # fmt: skip
def test_public_url_that_is_none_is_an_error(url: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(ValidationError, match="expected a URL such as"):
        ServiceSettings(data=tmp_path_factory.getbasetemp(), public_url=url)


def test_complaint_shows_little_of_a_long_host(service: Serving) -> None:
    answer = service.client.get("/networks", headers={"Host": "a" * 5000})
    assert len(complaint(answer)) < 250


@pytest.mark.parametrize(("address", "host"), [("::1", "[::1]:80"), ("127.0.0.1", "127.0.0.1:80")])
def test_links_without_a_host_lead_to_the_address_of_the_service(
    service: Serving, address: str, host: str
) -> None:
    scope = {
        "type": "http",
        "scheme": "http",
        "server": (address, 80),
        "path": "/v0.7/networks",
        "query_string": b"",
        "headers": [],
        "app": service.app,
    }
    answer = PageRequest(Request(scope), offset=0, limit=1).answer([{"id": 1}, {"id": 2}])
    assert answer["next"] == f"http://{host}/v0.7/networks?offset=1&limit=1"
