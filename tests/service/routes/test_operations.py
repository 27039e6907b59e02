"""Whether the service lives, and whether it takes requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from sqlalchemy.exc import OperationalError

from postproc.service.services import _MOST_THREADS
from postproc.service.sharing import Shares
from postproc.service.store import probing
from tests.service.objects import IMAGE, complaint, made
from tests.service.serving import Serving, serving
from tests.service.waiting import wait_until

INFERENCE = "/recognition/public/digits-yolo/inference"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path) as running:
        yield running


def fail(*_: object, **options: Any) -> None:
    raise OperationalError("SELECT 1 FROM secret", {}, Exception("no answer from secret"))


def asked(service: Serving, path: str, status: int) -> dict[str, Any]:
    """Ask without a key, and check the form of the answer."""
    response = httpx.get(f"{service.host}/{path}", timeout=20, trust_env=False)
    assert response.status_code == status, response.text
    assert "secret" not in response.text
    answer: dict[str, Any] = response.json()
    document = service.app.openapi()
    content = document["paths"][f"/{path}"]["get"]["responses"][str(status)]["content"]
    jsonschema.validate(
        answer, {**content["application/json"]["schema"], "components": document["components"]}
    )
    return answer


def test_probes_of_a_service_at_work(service: Serving) -> None:
    for path in ("healthz", "readyz"):
        answer = asked(service, path, 200)
        assert (answer["status"], answer["database"], answer["reasons"]) == ("ok", "ok", [])
        assert answer["store"] == {"behind": 0, "seconds": 0}


def test_probes_while_the_database_is_away(service: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.services.probe, "_reads", fail)
    alive = asked(service, "healthz", 200)
    assert (alive["status"], alive["database"]) == ("degraded", "away")
    assert asked(service, "readyz", 503)["reasons"] == ["the database does not answer"]


def test_probes_while_the_database_hangs_are_answered_and_make_one_thread(
    service: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr(probing, "_SECONDS", 0.2)
    monkeypatch.setattr(service.services.probe, "_reads", lambda: go.wait(20))
    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: asked(service, "healthz", 200), range(24)))
    assert time.monotonic() - started < 10
    assert {answer["database"] for answer in answers} == {"away"}
    assert [thread.name for thread in threading.enumerate()].count("postproc-probe") == 1
    go.set()
    wait_until(lambda: asked(service, "healthz", 200)["database"] == "ok")


def test_probes_are_answered_while_all_threads_of_tenants_wait(
    service: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, started = threading.Event(), threading.Semaphore(0)

    def wait(*_: object, **options: Any) -> Any:
        started.release()
        assert go.wait(20)
        fail()

    monkeypatch.setattr(service.services.networks, "list", wait)
    with ThreadPoolExecutor(64) as pool:
        clients = [service.client, service.other] * 32
        futures = [pool.submit(client.get, "/networks") for client in clients]
        for _ in range(2 * _MOST_THREADS):
            assert started.acquire(timeout=10)
        assert asked(service, "healthz", 200)["status"] == "ok"
        go.set()
        for future in futures:
            complaint(future.result(20), 503)


def test_probes_while_the_store_is_behind(service: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.services.reporter, "_write", fail)
    task = made(service.client.post(INFERENCE, files=IMAGE))["task_id"]
    wait_until(lambda: service.services.reporter.is_behind)
    alive = asked(service, "healthz", 200)
    assert (alive["status"], alive["database"], alive["store"]["behind"]) == ("degraded", "ok", 1)
    assert alive["store"]["seconds"] > 0
    assert asked(service, "readyz", 503)["reasons"] == ["results wait for the database to take them"]
    assert service.client.get(f"/tasks/{task}").json()["status"] == "success"
    monkeypatch.undo()
    wait_until(lambda: not service.services.reporter.is_behind)
    assert asked(service, "readyz", 200)["store"]["behind"] == 0


def test_readiness_follows_writes_and_comes_back_by_itself(
    service: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.services.database, "writing", fail)
    complaint(service.client.post(INFERENCE, files=IMAGE), 503)
    assert asked(service, "healthz", 200)["database"] == "read-only"
    assert asked(service, "readyz", 503)["reasons"] == ["the database takes no writes"]
    monkeypatch.undo()
    assert asked(service, "readyz", 200)["database"] == "ok"
    task = made(service.client.post(INFERENCE, files=IMAGE))["task_id"]
    assert (
        service.services.tasks.list("", range(1, task), 0, 10, max_bytes=999)[0] == 0
    )  # the trial left nothing


def test_readiness_waits_for_kernels_once(service: Serving) -> None:
    warmed = list(service.engine.warmed)
    service.engine.warmed.clear()
    answer = asked(service, "readyz", 503)
    assert (answer["kernels"], answer["reasons"]) == (
        "compiling",
        ["kernels are being compiled for the first time"],
    )
    assert asked(service, "healthz", 200)["status"] == "ok"
    service.engine.warmed.extend(warmed)
    assert asked(service, "readyz", 200)["kernels"] == "ready"
    service.engine.warmed.clear()
    assert asked(service, "readyz", 200)["kernels"] == "compiling"


def test_readiness_ends_with_the_service(service: Serving) -> None:
    service.services._stopping.set()
    assert asked(service, "readyz", 503)["reasons"] == ["the service is being stopped"]


def test_task_is_not_taken_while_too_many_results_wait(
    service: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Shares(1)
    places.hold("one")
    monkeypatch.setattr(service.services.reporter, "_places", places)
    response = service.client.post(INFERENCE, files=IMAGE)
    assert "results wait" in complaint(response, 503)
    assert response.headers["Retry-After"] == "2"
    assert service.engine.works == []


def test_task_that_cannot_be_queued_after_it_was_written_ends_in_error(
    service: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    def submit(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(service.engine, "submit", submit)
    complaint(service.client.post(INFERENCE, files=IMAGE), 500)
    wait_until(lambda: service.client.get("/tasks/1").json()["status"] == "error")
    assert service.engine.places == 0


def test_networks_that_are_held_back_are_counted(service: Serving) -> None:
    assert asked(service, "healthz", 200)["held_networks"] == 0
    service.engine.held_networks = 2
    found = asked(service, "healthz", 200)
    assert (found["held_networks"], found["status"]) == (2, "degraded")
    assert asked(service, "readyz", 200)["held_networks"] == 2  # others are served


def test_cluster_that_is_away_is_said(service: Serving) -> None:
    assert asked(service, "healthz", 200)["networks"] == "ok"
    service.engine.is_away = True
    found = asked(service, "healthz", 200)
    assert (found["networks"], found["status"]) == ("away", "degraded")
    assert asked(service, "readyz", 200)["networks"] == "away"
