"""What holds for every request: keys, slashes, limits, errors, the log."""

from __future__ import annotations

import gzip
import json
import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from postproc.service.errors import CAUSES
from tests.service.objects import (
    IMAGE,
    MODEL,
    complaint,
    made,
    make_network,
    make_spec,
    make_version,
    post_network,
)
from tests.service.running import ROOT
from tests.service.serving import KEY, Serving, serving
from tests.service.waiting import wait_until

INFERENCE = "/recognition/public/digits-yolo/inference"
SMALL = {
    "max_document": 2000, "max_body": 3000, "max_model": 5000, "max_inputs_bytes": 10_000, "body_timeout": 0.5
}  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Serve with small limits."""
    with serving(tmp_path_factory.mktemp("small"), **SMALL) as running:
        yield running


def every_route(service: Serving) -> list[tuple[str, str]]:
    document = service.app.openapi()
    return [
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method in item
        if path.startswith("/v0.7/")
    ]


@pytest.mark.parametrize("headers", [{}, {"X-API-KEY": ""}, {"X-API-KEY": "wrong"}, {"X-API-KEY": KEY + "x"}])
def test_every_route_without_a_valid_key_is_a_401(service: Serving, headers: dict[str, str]) -> None:
    routes = every_route(service)
    assert len(routes) > 25
    with httpx.Client(trust_env=False) as client:
        for method, path in routes:
            response = client.request(
                method, service.host + path.replace("{", "").replace("}", ""), headers=headers
            )
            assert "X-API-KEY" in complaint(response, 401), (method, path)
            assert response.headers["WWW-Authenticate"].startswith("APIKey")


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/docs-assets/swagger-ui.css"]
)
def test_open_paths_need_no_key(service: Serving, path: str) -> None:
    with httpx.Client(trust_env=False) as client:
        assert client.get(service.host + path).status_code == 200


def test_other_tenants_see_nothing(service: Serving) -> None:
    spec, network = make_spec(service.client), make_network(service.client)
    version = make_version(service.client, spec, network)
    task = made(service.client.post(f"/recognition/versions/{version['id']}/inference", files=IMAGE))[
        "task_id"
    ]
    other = service.other
    for path, kind in (
        (f"/networks/{network['id']}", network),
        (f"/recognition/specs/{spec['id']}", spec),
        (f"/recognition/versions/{version['id']}", version),
    ):
        complaint(other.get(path), 404)
        complaint(other.delete(path), 404)
        complaint(other.post(f"{path}/inference", files=IMAGE), 404)
        assert service.client.get(path).json()["id"] == kind["id"]
    for path in (f"/networks/{network['id']}", f"/recognition/specs/{spec['id']}"):
        for method in ("PATCH", "PUT"):
            complaint(other.request(method, path, json={"name": "stolen"}), 404)
    complaint(other.get(f"/recognition/specs/{spec['id']}/versions"), 404)
    complaint(other.get(f"/tasks/{task}"), 404)
    for path in ("/networks", "/recognition/specs", "/recognition/versions", f"/tasks?task_ids={task}"):
        assert other.get(path).json()["results"] == []
    own = make_spec(other)
    document = {
        "spec_id": own["id"],
        "network_id": network["id"],
        "post_processings": version["post_processings"],
    }
    assert "network_id: there is no network" in complaint(other.post("/recognition/versions", json=document))
    taken = other.patch(f"/recognition/specs/{own['id']}", json={"current_version_id": version["id"]})
    assert "current_version_id" in complaint(taken)


def test_both_spellings_of_a_path_answer_without_redirects(service: Serving) -> None:
    network = make_network(service.client)
    for path in ("/networks", f"/networks/{network['id']}", "/recognition/public/digits-yolo", "/tasks"):
        plain, slashed = service.client.get(path), service.client.get(f"{path}/")
        assert (plain.status_code, slashed.status_code) == (200, 200)
        assert plain.json() == slashed.json()
    assert service.client.post("/recognition/specs/1/inference/", json={}).status_code in (400, 404, 409)


def test_get_and_delete_with_a_content_type_and_no_body_are_served(service: Serving) -> None:
    spec = make_spec(service.client)
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    assert service.client.get(f"/recognition/specs/{spec['id']}/", headers=headers).status_code == 200
    head = service.client.head(f"/recognition/specs/{spec['id']}/", headers=headers)
    assert (head.status_code, head.content) == (200, b"")
    assert service.client.delete(f"/recognition/specs/{spec['id']}/", headers=headers).status_code == 204


def test_pages_link_to_each_other_by_the_host_of_the_request(service: Serving) -> None:
    ids = [make_spec(service.client)["id"] for _ in range(3)]
    url: Any = "/recognition/specs/?offset=0&limit=1&extra=a%20b"
    seen: list[int] = []
    headers = {"Host": "example.org:1234"}
    page: dict[str, Any] = {}
    while url is not None:
        page = service.client.get(url, headers=headers).json()
        assert page["prev"] == page["previous"]
        seen += [row["id"] for row in page["results"]]
        if page["next"] is not None:
            assert page["next"].startswith(
                "http://example.org:1234/v0.7/recognition/specs/?extra=a+b&offset="
            )
        url = page["next"] and page["next"].removeprefix("http://example.org:1234/v0.7")
    assert set(ids) <= set(seen)
    assert seen == sorted(set(seen))
    assert len(seen) == page["count"]
    assert "offset=" in page["previous"]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "limit=1.0", "limit=1_0", "offset=-1", "offset=%201",
     "offset=99999999999999999999"],
)  # fmt: skip
def test_pages_that_cannot_be_are_a_400(service: Serving, query: str) -> None:
    response = service.client.get(f"/networks?{query}")
    complaint(response)
    assert response.json()["error"]["field"] == query.partition("=")[0]


@pytest.mark.parametrize("spelling", ["{}.0", "%20{}", "%2B{}", "{}_", "0_{}"])
def test_ids_that_are_not_spelt_in_digits_are_a_404(service: Serving, spelling: str) -> None:
    identifier = make_spec(service.client)["id"]
    assert service.client.get(f"/recognition/specs/{identifier}").status_code == 200
    path = f"/recognition/specs/{spelling.format(identifier)}"
    assert "expected an integer in decimal digits" in complaint(service.client.delete(path), 404)
    assert service.client.get(f"/recognition/specs/{identifier}").status_code == 200


@pytest.mark.parametrize("spelling", ["1.0", "1_0", "%201", ""])
def test_task_ids_that_are_not_spelt_in_digits_are_a_400(service: Serving, spelling: str) -> None:
    answer = service.client.get(f"/tasks?task_ids=1&task_ids={spelling}")
    assert "expected an integer in decimal digits" in complaint(answer)
    assert answer.json()["error"]["field"] == "task_ids[1]"


def test_unknown_paths_methods_and_types_say_so(service: Serving) -> None:
    complaint(service.client.get("/nothing"), 404)
    complaint(service.client.get("/networks/abc"), 404)
    wrong = service.client.patch("/networks")
    complaint(wrong, 405)
    assert wrong.headers["Allow"] == "GET, POST"
    assert service.client.post("/networks/1").headers["Allow"] == "GET, PUT, PATCH, DELETE"
    form = service.client.post("/recognition/specs", data={"name": "x"})
    assert "application/json" in complaint(form, 415)


PAGE = "https://page.example"


@pytest.fixture(scope="module")
def open_to_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Serve pages of another origin too."""
    with serving(tmp_path_factory.mktemp("cors"), cors=(PAGE,)) as running:
        yield running


def preflight(service: Serving, origin: str) -> httpx.Response:
    asked = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "x-api-key"}
    return httpx.options(service.client.base_url.join("networks/1"), headers={"Origin": origin, **asked})


def test_pages_of_an_origin_that_is_allowed_may_call(open_to_page: Serving) -> None:
    asked = preflight(open_to_page, PAGE)  # without a key, as browsers send it
    assert asked.status_code == 200
    assert asked.headers["Access-Control-Allow-Origin"] == PAGE
    assert "DELETE" in asked.headers["Access-Control-Allow-Methods"]
    assert "x-api-key" in asked.headers["Access-Control-Allow-Headers"].lower()
    assert "Access-Control-Allow-Credentials" not in asked.headers
    for path, status in (("/networks", 200), ("/networks/999", 404)):
        answer = open_to_page.client.get(path, headers={"Origin": PAGE})
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE, "errors can be read too"
        assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
    keyless = httpx.get(open_to_page.client.base_url.join("networks"), headers={"Origin": PAGE})
    assert (keyless.status_code, keyless.headers["Access-Control-Allow-Origin"]) == (401, PAGE)


def test_pages_of_other_origins_may_not_call(service: Serving, open_to_page: Serving) -> None:
    for running, origin in ((service, PAGE), (open_to_page, "https://other.example")):
        assert preflight(running, origin).status_code in (400, 405)
        answers = preflight(running, origin), running.client.get("/networks", headers={"Origin": origin})
        assert all("Access-Control-Allow-Origin" not in answer.headers for answer in answers)


def test_lists_by_id_miss_nothing_though_rows_are_deleted_on_the_way(service: Serving) -> None:
    made_ids = [make_spec(service.client)["id"] for _ in range(7)]
    url, seen = f"/recognition/specs/?after_id={made_ids[0] - 1}&limit=3&extra=a", []
    while url:
        page = service.client.get(url).json()
        assert page["prev"] is page["previous"] is None
        for row in page["results"]:
            seen.append(row["id"])
            assert service.client.delete(f"/recognition/specs/{row['id']}").status_code == 204
        url = page["next"]
        assert url is None or ("offset" not in url and f"after_id={seen[-1]}" in url and "extra=a" in url)
    assert seen == made_ids


def test_lists_by_id_take_no_offset_beside_it(service: Serving) -> None:
    for path in ("/recognition/specs", "/networks", "/recognition/versions", "/tasks"):
        assert "leave one out" in complaint(service.client.get(f"{path}?after_id=1&offset=1"))
        assert service.client.get(f"{path}?after_id=99999999").json()["results"] == []


def test_compressed_bodies_say_so(service: Serving) -> None:
    body = gzip.compress(b'{"name": "x", "outputs": []}')
    headers = {"Content-Type": "application/json"}
    declared = service.client.post(
        "/recognition/specs", content=body, headers={**headers, "Content-Encoding": "gzip"}
    )
    assert 'Content-Encoding: expected none, got "gzip"; send the body as it is' in complaint(declared, 415)
    assert declared.headers["Accept-Encoding"] == "identity"
    silent = service.client.post("/recognition/specs", content=body, headers=headers)
    assert "the body: expected JSON; it is compressed with gzip" in complaint(silent)


def test_bodies_beyond_their_limits_are_a_413(small: Serving) -> None:
    def chunked(size: int) -> Iterator[bytes]:
        yield from (b"x" * 100 for _ in range(size // 100))

    json_type = {"Content-Type": "application/json"}
    for path, limit in (("/recognition/specs", 2000), (INFERENCE, 3000)):
        for content in (b"x" * (limit + 100), chunked(limit + 100)):
            response = small.client.post(path, content=content, headers=json_type)
            assert f"at most {limit:,} bytes" in complaint(response, 413)
        assert "not JSON" in complaint(small.client.post(path, content=b"x" * limit, headers=json_type))
    folder = small.services.settings.data / "staging"
    for files in ({"m": ("f", MODEL + b" x" * 2500)}, {"a": ("f", b"x" * 4000), "b": ("f", b"x" * 4000)}):
        complaint(post_network(small.client, files), 413)
        wait_until(lambda: not list(folder.iterdir()))  # removed after the answer
    made(post_network(small.client, {"m": ("f", MODEL + b" x" * 2400)}))


def test_bodies_together_beyond_the_memory_are_a_503(small: Serving) -> None:
    memory = small.app.state.bodies.memory
    wait_until(lambda: memory.used == 0)  # given back after the answer
    taken = SMALL["max_inputs_bytes"] - 100
    assert memory.take("third", int(taken))  # as if others were read right now
    try:
        response = small.client.post(INFERENCE, files={"inputs[0]image.source": ("f", b"x" * 200)})
        assert complaint(response, 503)
        assert response.headers["Retry-After"] == "1"
        wait_until(lambda: memory.used == taken)
    finally:
        memory.give_back("third", int(taken))
    made(small.client.post(INFERENCE, files=IMAGE))
    wait_until(lambda: memory.used == 0)


def test_body_that_stops_coming_is_a_408(small: Serving) -> None:
    host, port = small.host.removeprefix("http://").split(":")
    head = f"POST /v0.7/recognition/specs HTTP/1.1\r\nHost: x\r\nX-API-KEY: {KEY}\r\nContent-Length: 100\r\n"
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(f"{head}Content-Type: application/json\r\n\r\n{{".encode())
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_upload_that_is_cut_off_leaves_nothing(small: Serving) -> None:
    host, port = small.host.removeprefix("http://").split(":")
    head = f"POST /v0.7/networks HTTP/1.1\r\nHost: x\r\nX-API-KEY: {KEY}\r\nContent-Length: 1000\r\n"
    part = '--B\r\nContent-Disposition: form-data; name="m"; filename="m"\r\n\r\nonnx'
    before = small.client.get("/networks").json()["count"]
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(f"{head}Content-Type: multipart/form-data; boundary=B\r\n\r\n{part}".encode())
    made(small.client.post(INFERENCE, files=IMAGE))
    folder = small.services.settings.data / "staging"
    wait_until(lambda: not list(folder.iterdir()))
    assert small.client.get("/networks").json()["count"] == before


def test_failure_is_a_500_with_the_id_of_the_log(
    service: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **options: Any) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(service.services.networks, "list", fail)
    response = service.client.get("/networks")
    message = complaint(response, 500)
    assert response.headers["X-Request-ID"] in message
    assert "secret" not in response.text
    assert "ZeroDivisionError: secret detail" in caplog.text


def test_id_that_a_request_came_with_is_kept_where_it_is_valid(service: Serving) -> None:
    for given in ("a", "7F000001:ED38_7F000001:1F40_5F3A", "Root=1-67891233-abcdef0123456789", "x" * 128):
        answer = service.client.get("/networks/9", headers={"X-Request-ID": given})
        assert answer.headers["X-Request-ID"] == given
    for given in ("", "x" * 129, "two words", 'quo"te', "ümlaut".encode(), "a,b", "$(x)"):
        answer = service.client.get("/networks", headers={"X-Request-ID": given})  # type: ignore[dict-item]
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])
    twice = service.client.get("/networks", headers=[("X-Request-ID", "a"), ("X-Request-ID", "b")])
    assert twice.headers["X-Request-ID"] not in ("a", "b", "a, b")


def test_requests_that_are_refused_are_counted_by_cause(
    service: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(cause: str) -> float:
        found = service.services.metrics.registry.get_sample_value("postproc_refused_total", {"cause": cause})
        return found or 0.0

    def fail(*_: object, **options: Any) -> None:
        raise OperationalError("SELECT 1", {}, Exception("database is locked"))

    before = {cause: refused(cause) for cause in CAUSES}
    monkeypatch.setattr(service.engine, "is_full", True)
    complaint(service.client.post(INFERENCE, files=IMAGE), 503)
    monkeypatch.setattr(service.services.uploads, "_total", 0)
    monkeypatch.setattr(service.services.uploads, "_used", 1)
    complaint(post_network(service.client), 503)
    monkeypatch.setattr(service.services.networks, "list", fail)
    complaint(service.client.get("/networks"), 503)
    assert service.client.get("/networks/999").status_code == 404
    wait_until(lambda: refused("database") > before["database"])  # counted after the answer
    grown = {cause: refused(cause) - before[cause] for cause in CAUSES}
    assert grown == dict.fromkeys(CAUSES, 0) | {"queue": 1, "uploads": 1, "database": 1}


def test_no_503_goes_uncounted() -> None:
    folder = ROOT / "postproc" / "service"
    assert not [path for path in folder.rglob("*.py") if re.search(r"ApiError\(\s*503", path.read_text())]


def test_database_that_does_not_answer_is_a_503(service: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **options: Any) -> None:
        raise OperationalError("SELECT 1", {}, Exception("database is locked"))

    monkeypatch.setattr(service.services.networks, "list", fail)
    response = service.client.get("/networks")
    complaint(response, 503)
    assert response.headers["Retry-After"] == "1"


def test_upload_whose_row_cannot_be_written_leaves_nothing(
    service: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **options: Any) -> None:
        raise OperationalError("INSERT", {}, Exception("disk I/O error"))

    folder = service.services.settings.data / "networks"
    before = sorted(folder.iterdir())
    monkeypatch.setattr(service.services.networks, "add", fail)
    complaint(post_network(service.client), 503)
    wait_until(lambda: sorted(folder.iterdir()) == before)


def test_log_has_a_line_a_request_and_neither_keys_nor_images(
    service: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    response = service.client.post("/networks/public/digits-yolo/inference/?x=secret", files=IMAGE)
    route = "/v0.7/networks/public/{name}/inference"  # which no other test here asks for with a key

    def entries() -> list[dict[str, Any]]:
        lines = [record.getMessage() for record in caplog.records if record.name == "postproc.service"]
        return [entry for entry in map(json.loads, lines) if entry["route"] == route]

    wait_until(entries)  # written after the answer, and so may be lines of earlier tests
    [entry] = entries()
    assert entry.pop("ms") > 0
    assert entry == {
        "event": "request",
        "tenant": "one",
        "task": response.json()["task_id"],
        "method": "POST",
        "route": route,
        "status": 201,
        "bytes": len(response.content),
    }
    own = "".join(record.getMessage() for record in caplog.records if record.name.startswith("postproc"))
    assert not [text for text in (KEY, "an image", "secret") if text in own]
    assert (route, "POST", 201) in service.services.metrics.requests


def test_service_killed_between_files_and_row_serves_neither(tmp_path: Path) -> None:
    with serving(tmp_path) as first:
        kept = make_network(first.client)
        folders = first.services.folders
        staged = folders.stage()
        (staged / "0").write_bytes(b"half")
        folders.publish(staged)
        folders.stage()
    with serving(tmp_path) as second:
        assert [row["id"] for row in second.client.get("/networks").json()["results"]] == [kept["id"]]
        row = second.services.networks.get("one", kept["id"])
        assert [path.name for path in (tmp_path / "networks").iterdir()] == [row.folder]
        assert list((tmp_path / "staging").iterdir()) == []
