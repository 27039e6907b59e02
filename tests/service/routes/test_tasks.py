"""Tasks over HTTP: pending, then done, then gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from postproc.service.work import STOPPED
from tests.service.objects import IMAGE, complaint, made, make_network, make_spec
from tests.service.serving import Serving, serving
from tests.service.waiting import wait_until

INFERENCE = "/recognition/public/digits-yolo/inference"


def test_task_is_pending_until_the_engine_is_done(service: Serving) -> None:
    service.engine.holds = True
    try:
        task_id = made(service.client.post(INFERENCE, files=IMAGE))["task_id"]
    finally:
        service.engine.holds = False
    task = service.client.get(f"/tasks/{task_id}/").json()
    assert (task["status"], task["data"], task["error"], task["date_updated"]) == (
        "pending",
        None,
        None,
        None,
    )
    service.engine.release()
    assert service.client.get(f"/tasks/{task_id}/").json()["status"] == "success"


def test_task_that_failed_says_why(service: Serving) -> None:
    service.engine.error = "the network broke"
    try:
        task_id = made(service.client.post(INFERENCE, files=IMAGE))["task_id"]
    finally:
        service.engine.error = None
    task = service.client.get(f"/tasks/{task_id}/").json()
    assert (task["status"], task["error"], task["data"]) == ("error", "the network broke", None)


def test_tasks_are_listed_by_their_ids_only(service: Serving) -> None:
    ids = [made(service.client.post(INFERENCE, files=IMAGE))["task_id"] for _ in range(3)]
    url = f"/tasks/?task_ids={ids[2]}&task_ids={ids[0]}&task_ids=999999&offset=0&limit=100"
    page = service.client.get(url).json()
    assert [row["id"] for row in page["results"]] == [ids[0], ids[2]]
    assert page["count"] == 2
    for none in ("/tasks/?offset=0&limit=100", "/tasks/?task_ids=999999"):
        assert service.client.get(none).json()["results"] == []
    assert service.other.get(url).json()["count"] == 0
    complaint(service.client.get("/tasks/?task_ids=x"))


def test_task_ids_are_integers_in_every_answer(service: Serving) -> None:
    network, spec = make_network(service.client), make_spec(service.client)
    task_id = made(service.client.post(INFERENCE, files=IMAGE))["task_id"]
    task = service.client.get(f"/tasks/{task_id}").json()
    [row] = service.client.get(f"/tasks?task_ids={task_id}").json()["results"]
    assert type(task_id) is type(task["id"]) is type(row["id"]) is type(network["task_id"]) is int
    assert task["id"] == row["id"] == task_id
    assert spec["task_id"] is None


@pytest.mark.parametrize("as_sent", [int, str], ids=["integer", "text"])
def test_task_ids_are_taken_as_integers_and_as_text(service: Serving, as_sent: type) -> None:
    client = service.client
    first, second = (as_sent(made(client.post(INFERENCE, files=IMAGE))["task_id"]) for _ in range(2))
    assert client.get(f"/tasks/{first}/").json()["id"] == int(first)
    rows = client.get("/tasks/", params={"task_ids": [second, first]}).json()["results"]
    assert [row["id"] for row in rows] == [int(first), int(second)]
    # Where an object is sent back as it was read, or as an older client holds it.
    network, spec = make_network(client), make_spec(client)
    sent = {**network, "task_id": as_sent(network["task_id"]), "description": "changed"}
    for method in ("PATCH", "PUT"):
        answer = client.request(method, f"/networks/{network['id']}", json=sent)
        assert (answer.status_code, answer.json()["task_id"]) == (200, network["task_id"])
        answer = client.request(method, f"/recognition/specs/{spec['id']}", json={**spec, "task_id": first})
        assert (answer.status_code, answer.json()["task_id"]) == (200, None)
    made(client.post("/recognition/specs", json={**spec, "task_id": first}))


def test_tasks_pending_at_a_stop_end_in_error(tmp_path: Path) -> None:
    with serving(tmp_path) as first:
        first.engine.holds = True
        task_id = made(first.client.post(INFERENCE, files=IMAGE))["task_id"]
    with serving(tmp_path) as second:
        task = second.client.get(f"/tasks/{task_id}/").json()
        assert (task["status"], task["error"]) == ("error", STOPPED)


def test_results_are_kept_for_a_time(tmp_path: Path) -> None:
    with serving(tmp_path, task_seconds=0.2) as service:
        task_id = made(service.client.post(INFERENCE, files=IMAGE))["task_id"]
        wait_until(lambda: service.client.get(f"/tasks/{task_id}/").status_code == 404)
