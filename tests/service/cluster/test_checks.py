"""What the check of all tasks finds wrong: each would be a fault of the service."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from postproc.service.taking_over import DIED, TOO_LATE
from tests.service.cluster import checks
from tests.service.cluster.ledger import Ledger, Promised
from tests.service.vendor import expected

ROW = {
    "id": 1,
    "status": "success",
    "error": None,
    "date_created": "2026-11-30T12:00:00.000000Z",
    "date_updated": "2026-11-30T12:00:00.100000Z",
    "data": expected(),
}
ERROR = {**ROW, "status": "error", "data": None}


@dataclass
class Front:
    """A front end that knows some tasks."""

    rows: list[dict[str, Any]]

    def client(self, key: str) -> httpx.Client:
        def answer(request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, content=json.dumps({"results": self.rows}))

        return httpx.Client(transport=httpx.MockTransport(answer), base_url="http://front")


def found(*rows: dict[str, Any] | None, seen: dict[str, Any] | None = None) -> list[str]:
    ledger = Ledger({"one": {1: Promised(0.0, seen)}})
    scene: Any = SimpleNamespace(keys={"one": "key"}, fronts=[Front([row] if row else []) for row in rows])
    checks.check(scene, ledger)
    return ledger.unexpected


@pytest.mark.parametrize("row", [ROW, *({**ERROR, "error": text} for text in (DIED, TOO_LATE.format(60.0)))])
def test_task_that_ended_the_same_everywhere_is_well(row: dict[str, Any]) -> None:
    assert found(row, row, seen=row) == []


@pytest.mark.parametrize(
    ("rows", "seen", "words"),
    [
        ([ROW, {**ROW, "date_updated": "2026-11-30T12:00:02.500000Z"}], None, "several answers"),
        ([ROW, ROW], {**ERROR, "error": DIED}, "several answers"),
        ([ROW, None], None, "several answers"),
        ([None, None], None, "lost"),
        ([{**ROW, "data": {"outputs": []}}] * 2, None, "its result is wrong"),
        ([{**ERROR, "error": "a surprise"}] * 2, None, "a surprise"),
        ([{**ERROR, "error": ""}] * 2, None, "error: "),
        ([{**ROW, "status": "pending", "date_updated": None}] * 2, None, "pending"),
        ([{**ROW, "date_updated": "2026-11-30T12:02:00.000000Z"}] * 2, None, "it took 120.0 s"),
    ],
)
def test_task_that_is_not_well_is_found(
    rows: list[dict[str, Any] | None], seen: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "BOUND", 0.2 if None in rows or "pending" in words else checks.BOUND)
    assert words in "\n".join(found(*rows, seen=seen))
