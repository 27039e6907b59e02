"""Probes and scrapes: in the log only where something changes, whoever asks however often."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from postproc.service.http.middleware import PROBES
from postproc.service.logs import is_heard
from tests.service.serving import Serving, serving
from tests.service.waiting import wait_until


class Log(logging.Handler):
    """What the service's own handler would write."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(logging.Filter("postproc"))
        self.addFilter(is_heard)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def count(self, text: str) -> int:
        return sum(text in line for line in self.lines)

    def requests(self) -> list[tuple[str, int]]:
        entries: list[dict[str, Any]] = [json.loads(line) for line in self.lines]
        return [(entry["route"], entry["status"]) for entry in entries if entry["event"] == "request"]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Log]:
    caplog.set_level(logging.INFO)
    handler = Log()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def ask(service: Serving, path: str, times: int = 1, **headers: str) -> set[int]:
    with httpx.Client(trust_env=False) as client:
        return {client.get(service.host + path, headers=headers).status_code for _ in range(times)}


def mark(service: Serving, log: Log) -> None:
    """Send a request that is logged, after which all before it is in the log."""
    service.client.get("/accounts/me")
    wait_until(lambda: log.requests() and log.requests()[-1][0] == "/v0.7/accounts/me")


def test_probes_are_all_that_those_who_run_the_service_look_at(service: Serving) -> None:
    paths = service.app.openapi()["paths"]
    own = {path for path, item in paths.items() if item.get("get", {}).get("tags") == ["operations"]}
    assert own == set(PROBES)


def test_probes_that_are_well_are_not_logged(service: Serving, log: Log) -> None:
    for path in ("/healthz", "/healthz/", "/metrics"):
        assert ask(service, path, 20) == {200}
    mark(service, log)
    assert log.requests() == [("/v0.7/accounts/me", 200)]
    assert ("/metrics", "GET", 200) in service.services.metrics.requests, "they are counted all the same"


def test_probes_are_logged_where_that_is_asked_for(tmp_path: Path, log: Log) -> None:
    with serving(tmp_path, log_probes=True) as service:
        ask(service, "/healthz", 3)
        mark(service, log)
    assert log.requests()[:3] == [("/healthz", 200)] * 3


def test_probe_that_fails_is_logged_once_with_its_reason_and_so_is_its_end(
    service: Serving, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **options: Any) -> None:
        raise ZeroDivisionError("the reason")

    with monkeypatch.context() as broken:
        broken.setattr("postproc.service.routes.operations.generate_latest", fail)
        assert ask(service, "/metrics", 20) == {500}
    assert ask(service, "/metrics", 20) == {200}
    mark(service, log)
    assert log.requests() == [("/metrics", 500), ("/metrics", 200), ("/v0.7/accounts/me", 200)]
    assert log.count("ZeroDivisionError: the reason") == 1


def test_service_that_is_not_ready_tells_the_log_once_why(
    service: Serving, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(type(service.services), "was_warm", False)
        assert ask(service, "/readyz", 20) == {503}
    assert ask(service, "/readyz", 20) == {200}
    mark(service, log)
    assert log.requests() == [("/readyz", 503), ("/readyz", 200), ("/v0.7/accounts/me", 200)]
    assert log.count("kernels are being compiled for the first time") == 1


def test_database_that_is_away_does_not_fill_the_log_by_probes(
    service: Serving, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **options: Any) -> None:
        raise OperationalError("SELECT 1", {}, Exception("it is away"))

    monkeypatch.setattr(service.services.database, "check", fail)
    ask(service, "/healthz", 20)
    before = log.count("it is away")
    assert before <= 1
    monkeypatch.setattr(service.services.networks, "list", fail)
    for _ in range(3):
        assert service.client.get("/networks").status_code == 503
    mark(service, log)
    assert log.count("it is away") == before + 3, "others are logged"
    monkeypatch.undo()
    ask(service, "/healthz")


def test_stranger_hides_no_failure_of_a_probe(
    service: Serving, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **options: Any) -> None:
        raise ZeroDivisionError("the reason")

    assert ask(service, "/metrics", 2, Host="a/b") == {400}
    assert httpx.delete(f"{service.host}/metrics").status_code == 405
    with monkeypatch.context() as broken:
        broken.setattr("postproc.service.routes.operations.generate_latest", fail)
        assert ask(service, "/metrics", 2) == {500}
        assert ask(service, "/metrics", 2, Host="a/b") == {400}
        assert ask(service, "/metrics", 2) == {500}
    ask(service, "/metrics")
    mark(service, log)
    statuses = [status for _, status in log.requests()]
    assert statuses == [400, 400, 405, 500, 400, 400, 200, 200]
    assert log.count("ZeroDivisionError: the reason") == 1
