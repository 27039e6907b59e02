"""The service that the page's tests run against, with faults on demand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from postproc.service import ServiceSettings, create_app
from tests.service.digits import post_network, wait_for_kernels
from tests.service.objects import made
from tests.service.page.expected import documents

KEY = "a-key-of-the-tests"
MAX_BODY = 4 << 20
HOSTILE = '<img src=x onerror="window.hacked=1">'
"""The label of digit 3 in the version with names that are HTML."""


def make_app(folder: Path) -> ASGIApp:
    """Return a service with the key `KEY`."""
    return create_app(ServiceSettings(data=folder, max_body=MAX_BODY), keys={KEY: "tester"})


def make_versions(url: str) -> None:
    """Give the tenant of a service the versions of `documents_of_tests`, in order."""
    with httpx.Client(base_url=f"{url}/v0.7", headers={"X-API-KEY": KEY}, timeout=60) as client:
        for kind, spec, version in documents_of_tests():
            network = made(post_network(client, kind, kind))
            parent = made(client.post("/recognition/specs/", json=spec))
            ids = {"spec_id": parent["id"], "network_id": network["id"]}
            document = {"post_processings": version["post_processings"], **ids}
            made(client.post("/recognition/versions/", json=document))
    wait_for_kernels(url)


def documents_of_tests() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Return the tenant's versions: the name of a network of the demo, a spec and a version each."""
    return [_hostile_documents(), _agnostic_documents()]


def _hostile_documents() -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return a network of the demo, a spec with names that are HTML, and a version."""
    spec, version = documents("yolo")
    spec["name"] = "<b>hostile</b>"
    spec["outputs"][0]["labels"]["labels"][3]["name"] = HOSTILE
    return "yolo", spec, version


def _agnostic_documents() -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return a network of the demo, a spec, and a version that merges boxes of different labels."""
    spec, version = documents("direct")
    spec["name"] = "agnostic"
    version["post_processings"][0]["detection"]["class_agnostic"] = True
    return "direct", spec, version


@dataclass
class Faults:
    """An app in front of another, which answers in its place as often as it is told to."""

    app: ASGIApp
    answers: list[tuple[str, int, Any, dict[str, str]]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    def add(self, part_of_path: str, status: int, message: str, **headers: str) -> None:
        """Answer the next request to such a path with an error."""
        self.add_answer(part_of_path, status, {"error": {"message": message}, "detail": message}, **headers)

    def add_answer(self, part_of_path: str, status: int, body: Any, **headers: str) -> None:
        """Answer the next request to such a path with this."""
        answered = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append((part_of_path, status, body, answered))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        self.seen.append(f"{scope.get('method')} {path}")
        for answer in self.answers:
            part, status, body, headers = answer
            if part in path:
                self.answers.remove(answer)
                return await JSONResponse(body, status, headers)(scope, receive, send)
        await self.app(scope, receive, send)
