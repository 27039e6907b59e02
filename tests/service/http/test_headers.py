"""Every answer has the security headers, whoever of the service gives it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import httpx
import pytest

from tests.service.serving import Serving, serving
from tests.service.sockets import ME, SPECS, answer_on, head, open_to
from tests.service.waiting import wait_until

PAGE = "https://page.example"


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Serve few connections, and pages of another origin too."""
    with serving(tmp_path_factory.mktemp("narrow"), max_connections=1, cors=(PAGE,)) as running:
        yield running


def check(headers: Mapping[str, str], trusted_types: bool = True) -> None:
    policy = headers["content-security-policy"].split("; ")
    assert {"default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} < set(
        policy
    )
    assert ("require-trusted-types-for 'script'" in policy) == trusted_types
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/page/page.js", 200),
        ("/page/none", 404),
        ("/docs", 200),
        ("/docs-assets/swagger-ui-bundle.js", 200),
        ("/docs-assets/none", 404),
        ("/openapi.json", 200),
        ("/healthz", 200),
        ("/metrics", 200),
        ("/v0.7/networks", 401),
        ("/nothing", 404),
    ],
)
def test_answer_has_the_headers_once(service: Serving, path: str, status: int) -> None:
    for method in ("GET", "HEAD"):
        answer = httpx.request(method, service.host + path, trust_env=False)
        assert answer.status_code == status
        check(answer.headers, trusted_types=path != "/docs")
        assert len(answer.headers.get_list("content-security-policy")) == 1


def test_answers_of_every_status_have_the_headers(service: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **options: object) -> None:
        raise ZeroDivisionError

    client = service.client
    check(client.get("/networks").headers)
    check(client.patch("/networks").headers)
    check(client.post("/recognition/specs", data={"a": "b"}).headers)
    check(client.post("/recognition/specs", json={}).headers)
    monkeypatch.setattr(service.services.networks, "list", fail)
    broken = client.get("/networks")
    assert broken.status_code == 500
    check(broken.headers)
    tag = httpx.get(service.host).headers["etag"]
    check(httpx.get(service.host, headers={"If-None-Match": tag}).headers)


def test_answers_to_other_origins_have_the_headers(narrow: Serving) -> None:
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "DELETE"}
    answer = httpx.options(f"{narrow.host}/v0.7/networks/1", headers=asked)
    assert answer.status_code == 200
    check(answer.headers)


def test_answers_that_reach_no_application_have_the_headers(service: Serving, narrow: Serving) -> None:
    with open_to(service) as connection:
        connection.sendall(b"no HTTP\r\n\r\n")
        refused = answer_on(connection)
        assert refused.status == 400
        check(refused.headers)
    with open_to(narrow) as first:
        first.sendall(head(SPECS, "Content-Length: 10"))  # at work until its body comes
        wait_until(lambda: narrow.server.server_state.tasks)
        with open_to(narrow) as second:
            second.sendall(head(ME, method="GET"))
            busy = answer_on(second, "GET")
        assert busy.status == 503
        check(busy.headers)
