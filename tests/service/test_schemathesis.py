"""Requests made from the OpenAPI document, sent to the service with its real engine.

``python -m tests.service.test_schemathesis --phases coverage,fuzzing,stateful --max-time 600 -n 2000`` runs
longer, with options of ``schemathesis run``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from postproc import demo
from postproc.service.http.examples import MODEL
from tests.service.digits import SECONDS, client_of, ended, log_of, post_image, publish, version_document
from tests.service.objects import made
from tests.service.running import ROOT, Running, running

_SEED = "6"
_SECONDS = 3600

# JSON Schema cannot say most of what a body must fulfil: that a spec is there and the tenant's own, that
# thresholds are as many as labels, that base64 is an image. A body that the document allows may be refused.
_EXCLUDED = "positive_data_acceptance"

_GOOD = range(200, 300)
_BUSY = 503

Answers = Counter[tuple[str, str, int]]
"""How many answers there were of each method, route and status."""


def schemathesis(
    service: Running, ids: dict[str, list[int]], folder: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    """Run schemathesis on a service that has some objects; its own files go to a folder."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{service.host}/openapi.json"]
    given = ["-H", f"X-API-KEY:{service.key}", "--checks", "all", "--exclude-checks", _EXCLUDED]
    hooks = {
        "SCHEMATHESIS_HOOKS": "tests.service.schemathesis_hooks",
        "SCHEMATHESIS_IDS": json.dumps(ids),
    }
    return subprocess.run(
        [*command, *given, "--no-color", "--seed", _SEED, "--request-timeout", "30", *options],
        cwd=folder,
        env={**os.environ, **hooks, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )


def first_ids(client: httpx.Client) -> dict[str, list[int]]:
    """Make two networks and specs, two versions of the first of them, and a task; return their ids."""
    first, second = publish(client), publish(client)
    document = version_document(first.spec, first.network)
    version = made(client.post("/recognition/versions", json=document))["id"]
    return {
        "network": [first.network, second.network],
        "spec": [first.spec, second.spec],
        "version": [first.version, version],
        "task": [made(post_image(client, version))["task_id"]],
    }


def answers_of(service: Running, start: int = 0) -> Answers:
    """Count the answers in a service's log from an entry on."""
    return Counter(
        (entry["method"], entry["route"], entry["status"])
        for entry in log_of(service)[start:]
        if entry["event"] == "request"
    )


def document_of(service: Running) -> dict[str, Any]:
    """Return a service's OpenAPI document."""
    return dict(httpx.get(f"{service.host}/openapi.json", timeout=SECONDS, trust_env=False).json())


def operations_of(document: dict[str, Any]) -> set[tuple[str, str]]:
    """Return the methods and routes of a document."""
    return {(method.upper(), path) for path, item in document["paths"].items() for method in item}


def example_of(document: dict[str, Any], path: str, method: str = "post") -> dict[str, Any]:
    """Return the example of a body of JSON."""
    content = document["paths"][f"/v0.7{path}"][method]["requestBody"]["content"]
    return dict(content["application/json"]["example"])


def never_good(answers: Answers, operations: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the operations that were not once answered with success."""
    return operations - {(method, route) for method, route, status in answers if status in _GOOD}


def failed(answers: Answers, document: dict[str, Any]) -> Answers:
    """Return the answers of 5xx, but for a 503 that the document has."""
    return Counter(
        {
            (method, route, status): count
            for (method, route, status), count in answers.items()
            if status >= 500 and not (status == _BUSY and _has(document, method, route, status))
        }
    )


def _has(document: dict[str, Any], method: str, route: str, status: int) -> bool:
    operation = document["paths"].get(route, {}).get(method.lower(), {"responses": {}})
    return str(status) in operation["responses"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a service, shared by the tests of this file."""
    with running(tmp_path_factory.mktemp("service") / "data", "--log-probes") as started:
        yield started


def test_examples_of_the_document_are_accepted(service: Running) -> None:
    document = document_of(service)
    fields = {
        name: schema["examples"][0]
        for name, schema in document["components"]["schemas"]["NetworkUpload"]["properties"].items()
        if "examples" in schema
    }
    fields["preprocessing"] = json.dumps(fields["preprocessing"])
    files = {"model.onnx": demo.model_path(MODEL).read_bytes()}
    with client_of(service) as client:
        network = made(client.post("/networks", data=fields, files=files))["id"]
        path = "/recognition/specs"
        spec = made(client.post(path, json=example_of(document, path)))["id"]
        path = "/recognition/versions"
        parents = {"spec_id": spec, "network_id": network}
        version = made(client.post(path, json={**example_of(document, path), **parents}))["id"]
        networks, specs = ("/networks", "network_id", network), ("/recognition/specs", "spec_id", spec)
        for path, name, identifier in (networks, specs, ("/recognition/versions", "version_id", version)):
            example = example_of(document, f"{path}/{{{name}}}/inference")
            task = made(client.post(f"{path}/{identifier}/inference", json=example))["task_id"]
            assert ended(client, task)["status"] == "success"
        for path, name, identifier in (networks, specs):
            for method in ("patch", "put"):
                example = example_of(document, f"{path}/{{{name}}}", method)
                answer = client.request(method, f"{path}/{identifier}", json=example)
                assert answer.status_code == 200, answer.text
                assert answer.json().items() >= example.items()


def test_service_answers_as_its_document_says(service: Running, tmp_path: Path) -> None:
    document = document_of(service)
    operations = operations_of(document)
    assert len(operations) > 25
    with client_of(service) as client:
        ids = first_ids(client)
        start = len(log_of(service))
        result = schemathesis(service, ids, tmp_path, "--phases", "fuzzing", "-n", "8", "--no-shrink")
        answers = answers_of(service, start)
        assert result.returncode == 0, result.stdout[-8000:] + result.stderr[-2000:]
        assert never_good(answers, operations) == set()
        assert not failed(answers, document)
        assert client.get("/accounts/me").json() == {"name": "default"}
        made(post_image(client, ids["version"][0]))
    assert service.stop() in (0, -15)


def table(answers: Answers, operations: set[tuple[str, str]]) -> str:
    """Return how often each operation answered each status, as text."""
    counts: dict[str, Counter[int]] = {
        f"{method} {route}": Counter() for route, method in _by_route(operations)
    }
    counts.update({"others": Counter(), "all": Counter()})
    for (method, route, status), count in answers.items():
        for name in (f"{method} {route}" if (method, route) in operations else "others", "all"):
            counts[name][status] += count
    statuses = sorted(counts["all"])
    rows = [
        ["", *statuses],
        *([name, *(found[status] or "" for status in statuses)] for name, found in counts.items()),
    ]
    return "\n".join(f"{row[0]:60}" + "".join(f"{cell:>7}" for cell in row[1:]) for row in rows)


def _by_route(operations: set[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted((route, method) for method, route in operations)


def main() -> None:
    """Run schemathesis with the options of the command line, and say what was answered."""
    with tempfile.TemporaryDirectory() as name, running(Path(name, "data"), "--log-probes") as service:
        with client_of(service) as client:
            ids = first_ids(client)
        document = document_of(service)
        operations = operations_of(document)
        start = len(log_of(service))
        result = schemathesis(service, ids, Path(name), *sys.argv[1:])
        answers = answers_of(service, start)
        good = len(operations) - len(never_good(answers, operations))
        sys.stdout.write(
            f"{result.stdout}{result.stderr}\n{table(answers, operations)}\n"
            f"answered with success: {good} of {len(operations)} operations\n"
        )
    sys.exit(result.returncode or bool(failed(answers, document)) or good < len(operations))


if __name__ == "__main__":
    main()
