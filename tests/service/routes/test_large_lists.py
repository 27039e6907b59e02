"""Lists with large rows over HTTP: pages of bounded size, and answers whose memory is bounded."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from postproc.service.http import pagination, streaming
from postproc.service.sharing import Turns
from tests.service.objects import IMAGE, complaint, made
from tests.service.rows import add_network, add_spec, add_version
from tests.service.serving import Serving, serving
from tests.service.sockets import head, is_well, open_to, rest_of, status_of
from tests.service.waiting import wait_until

INFERENCE = "/recognition/public/digits-yolo/inference"
LARGE = {"text": "x" * 100_000}


@pytest.fixture(params=["sqlite"])
def small(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Serving]:
    """Serve with small limits: three of LARGE fit on a page."""
    url = request.getfixturevalue("postgres")() if request.param == "postgresql" else None
    monkeypatch.setattr(pagination, "MAX_BYTES", 320_000)
    monkeypatch.setattr(streaming, "_TOGETHER", 20_000)
    monkeypatch.setattr(streaming, "_PIECE", 5_000)
    with serving(tmp_path, database=url) as service:
        service.services.answers = Turns(400_000, most=120_000, waiting=9)
        yield service
        wait_until(lambda: service.services.answers.used == 0)
        assert service.services.answers.waiting == 0


def finished(service: Serving, *data: Any, tenant: str = "one") -> list[int]:
    """Make tasks with results; None for one that is pending, a text for one that ended in error."""
    store = service.services.tasks
    ids = [store.add(tenant) for _ in data]
    for task_id, item in zip(ids, data, strict=True):
        if isinstance(item, str):
            store.finish([(task_id, None, item)])
        elif item is not None:
            store.finish([(task_id, json.dumps(item), None)])
    return ids


def pages(client: httpx.Client, url: str, **query: Any) -> Iterator[dict[str, Any]]:
    """Follow the links of a list."""
    answer = client.get(url, params=query)
    while True:
        assert answer.status_code == 200, answer.text
        page: dict[str, Any] = answer.json()
        yield page
        if page["next"] is None:
            return
        answer = client.get(page["next"])


@pytest.mark.parametrize(
    ("limit", "by", "count"),
    [(2, {}, 6), (5, {}, 4), (100, {}, 4), (2, {"after_id": 0}, 7), (5, {"after_id": 0}, 4)],
)
def test_pages_of_large_results_are_shorter_and_give_each_task_once(
    small: Serving, limit: int, by: dict[str, int], count: int
) -> None:
    data = [LARGE, {"n": 1}, LARGE, None, LARGE, LARGE, "why", {"text": "x" * 600_000}, LARGE, {"n": 2}]
    ids = finished(small, *data)
    found = list(pages(small.client, "/tasks", task_ids=ids, limit=limit, **by))
    assert {page["count"] for page in found} == {10}
    rows = [row for page in found for row in page["results"]]
    assert [row["id"] for row in rows] == ids
    assert [row["error"] or row["data"] for row in rows] == data
    assert len(found) == count
    for page in found:
        sizes = [len(json.dumps(row["data"])) for row in page["results"]]
        assert len(sizes) == 1 or sum(sizes) < 321_000


def large_rows(service: Serving, kind: str, texts: Sequence[str]) -> tuple[str, list[int]]:
    """Make rows of a kind, each with a text, and return where they are listed, and their ids."""
    database = service.services.database
    if kind == "networks":
        return "/networks", [add_network(database, meta={"text": text}).id for text in texts]
    if kind == "specs":
        return "/recognition/specs", [add_spec(database, extra={"text": text}).id for text in texts]
    network, spec = add_network(database), add_spec(database)
    if kind == "versions":
        rows = [add_version(database, spec, network, text=text) for text in texts]
        return "/recognition/versions", [row.id for row in rows]
    if kind == "versions of a spec":
        add_version(database, add_spec(database), network, text="of another")
        rows = [add_version(database, spec, network, text=text) for text in texts]
        return f"/recognition/specs/{spec.id}/versions", [row.id for row in rows]
    assert kind == "versions by the names of their networks"
    rows = [add_version(database, spec, add_network(database, name=text)) for text in texts]
    return "/recognition/versions", [row.id for row in rows]


@pytest.mark.parametrize("small", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize(
    "kind",
    ["networks", "specs", "versions", "versions of a spec", "versions by the names of their networks"],
)
def test_pages_of_large_rows_are_shorter_and_give_each_once(
    small: Serving, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    lengths = [100_000, 10, 100_000, 100_000, 100_000, 600_000, 100_000, 10]
    texts = ["x" * length for length in lengths]
    url, ids = large_rows(small, kind, texts)
    length_of = dict(zip(ids, lengths, strict=True))
    store = getattr(small.services, kind.split()[0])
    listed, together = store.listed, []

    def spy(tenant: str, identifiers: Sequence[int]) -> Any:
        together.append(sum(length_of[number] for number in identifiers) if len(identifiers) > 1 else 0)
        return listed(tenant, identifiers)

    monkeypatch.setattr(store, "listed", spy)
    for limit, by, count in ((100, {}, 4), (2, {}, 5), (100, {"after_id": 0}, 4), (2, {"after_id": 0}, 6)):
        found = list(pages(small.client, url, limit=limit, **by))
        assert {page["count"] for page in found} == {8}
        assert [row["id"] for page in found for row in page["results"]] == ids
        assert len(found) == count
        shown = [[length_of[row["id"]] for row in page["results"]] for page in found]
        assert all(len(page) == 1 or sum(page) <= 320_000 for page in shown)
        before = small.client.get(found[-1]["previous"]).json() if not by else None
        assert before is None or before["results"][0]["id"] < ids[-1]
    assert max(together) <= 20_000, "rows are read in groups that are small"
    fields = small.client.get(url, params={"limit": 1}).json()["results"][0]
    whole = small.client.get(
        f"/{'networks' if kind == 'networks' else 'recognition/' + kind.split()[0]}/{ids[0]}"
    )
    left_out = {"outputs", "post_processings"}
    assert fields == {name: value for name, value in whole.json().items() if name not in left_out}


def test_row_that_goes_while_a_list_is_streamed_is_left_out(
    small: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, ids = large_rows(small, "specs", ["x" * 100_000] * 3)
    store = small.services.specs
    listed = store.listed

    def spy(tenant: str, identifiers: Sequence[int]) -> Any:
        if ids[1] in identifiers:
            store.remove(tenant, ids[1])
        return listed(tenant, identifiers)

    monkeypatch.setattr(store, "listed", spy)
    page = small.client.get(url).json()
    assert [row["id"] for row in page["results"]] == [ids[0], ids[2]]


def test_pages_lead_back(small: Serving) -> None:
    ids = finished(small, *[LARGE] * 8)
    last = list(pages(small.client, "/tasks", task_ids=ids, limit=4))[-1]
    assert last["previous"] == last["prev"]
    before = small.client.get(last["previous"]).json()
    assert before["results"][0]["id"] <= ids[3]


def test_tasks_are_streamed_as_they_are_stored(small: Serving) -> None:
    """The stored text is not parsed: what JSON allows and Python would write otherwise is there as it was."""
    store = small.services.tasks
    task_id = store.add("one")
    text = '{ "a":\t[1e2, 1.50, "\\u00e9é"' + ", 7" * 3000 + "]}"
    store.finish([(task_id, text, None)])
    for url, query in ((f"/tasks/{task_id}", {}), ("/tasks", {"task_ids": task_id})):
        answer = small.client.get(url, params=query)
        assert text in answer.text
        assert answer.headers["content-type"] == "application/json"
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert answer.json()
    assert list(small.client.get(f"/tasks/{task_id}").json()) == [
        *("id", "status", "error", "date_created", "date_updated", "data", "subtasks")
    ]


def test_outcomes_that_are_not_written_yet_are_answered(
    small: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    write = small.services.reporter._write

    def wait(outcomes: Any) -> None:
        assert go.wait(20)
        write(outcomes)

    monkeypatch.setattr(small.services.reporter, "_write", wait)
    small.engine.data = LARGE
    try:
        ids = [made(small.client.post(INFERENCE, files=IMAGE))["task_id"] for _ in range(6)]
        found = list(pages(small.client, "/tasks", task_ids=ids))
        assert [len(page["results"]) for page in found] == [3, 3]
        assert [row["data"] for page in found for row in page["results"]] == [LARGE] * 6
        assert small.client.get(f"/tasks/{ids[0]}").json()["data"] == LARGE
        assert small.services.tasks.get("one", ids[0]).status == "pending"
    finally:
        go.set()


def test_head_and_kept_connections_work_with_streamed_answers(small: Serving) -> None:
    ids = finished(small, LARGE, LARGE, {"n": 1})
    path = f"/v0.7/tasks?task_ids={ids[0]}&task_ids={ids[1]}&task_ids={ids[2]}"
    with open_to(small) as connection:
        for method, close in (("HEAD", ""), ("GET", ""), ("HEAD", "Connection: close")):
            connection.sendall(head(path, *([close] if close else []), method=method))
            if method == "GET":
                body = b""
                while not body.endswith(b"0\r\n\r\n"):
                    body += connection.recv(1 << 16)
                assert body.count(b'"subtasks":null') == 3
            elif not close:
                text = b""
                while b"\r\n\r\n" not in text:
                    text += connection.recv(1 << 16)
                assert text.startswith(b"HTTP/1.1 200")
                assert text.endswith(b"\r\n\r\n")
        assert b"subtasks" not in rest_of(connection)


def gone(service: Serving, task_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a task go between the moment when it is listed and that when its result is read."""
    read = service.services.tasks.texts

    def texts(tenant: str, identifiers: Any) -> dict[int, str]:
        return {number: text for number, text in read(tenant, identifiers).items() if number != task_id}

    monkeypatch.setattr(service.services.tasks, "texts", texts)


@pytest.mark.parametrize("row", [0, 1, 2])
def test_task_that_goes_while_a_list_is_streamed_is_left_out(
    small: Serving, monkeypatch: pytest.MonkeyPatch, row: int
) -> None:
    ids = finished(small, LARGE, LARGE, LARGE)
    gone(small, ids[row], monkeypatch)
    page = small.client.get("/tasks", params={"task_ids": ids}).json()
    assert [task["id"] for task in page["results"]] == [task_id for task_id in ids if task_id != ids[row]]
    complaint(small.client.get(f"/tasks/{ids[row]}"), 404)


def test_database_that_goes_away_is_an_error_and_no_broken_list(
    small: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = finished(small, LARGE, LARGE, LARGE)
    read, calls = small.services.tasks.texts, []

    def texts(tenant: str, identifiers: Any) -> dict[int, str]:
        calls.append(identifiers)
        if len(calls) != 2:
            raise OSError(28, "No space left on device")
        return read(tenant, identifiers)

    monkeypatch.setattr(small.services.tasks, "texts", texts)
    complaint(small.client.get("/tasks", params={"task_ids": ids}), 507)
    with pytest.raises(httpx.RemoteProtocolError):  # it has begun: the connection ends before the list does
        small.client.get("/tasks", params={"task_ids": ids})
    assert len(calls) == 3


def test_slow_readers_of_a_tenant_leave_room_for_others(small: Serving) -> None:
    large = {"text": "x" * 6_000_000}  # more than the kernel takes for a client
    [own] = finished(small, large)
    [other] = finished(small, LARGE, tenant="other")
    answers = small.services.answers
    answers._total, answers._most = 20_000_000, 7_000_000
    slow = [open_to(small, receive_buffer=4096) for _ in range(6)]
    try:
        for connection in slow:
            connection.sendall(head(f"/v0.7/tasks/{own}", method="GET"))
        wait_until(lambda: (answers.used, answers.waiting) == (6_000_012, 5))
        assert small.other.get(f"/tasks/{other}").json()["data"] == LARGE
        is_well(small)
        [tiny] = finished(small, {"n": 1})
        assert small.client.get(f"/tasks/{tiny}").json()["data"] == {"n": 1}
        slow[0].close()
        wait_until(lambda: answers.waiting == 4)
    finally:
        for connection in slow:
            connection.close()


def test_more_than_may_wait_for_room_are_a_503(small: Serving) -> None:
    [own] = finished(small, {"text": "x" * 6_000_000})
    answers = small.services.answers
    answers._total = answers._most = 7_000_000
    connections = [open_to(small, receive_buffer=4096) for _ in range(9)]
    try:
        for connection in connections:
            connection.sendall(head(f"/v0.7/tasks/{own}", method="GET"))
        wait_until(lambda: answers.waiting == 8)
        with open_to(small) as connection:
            connection.sendall(head(f"/v0.7/tasks/{own}", method="GET"))
            assert status_of(connection) == 503
    finally:
        for connection in connections:
            connection.close()
