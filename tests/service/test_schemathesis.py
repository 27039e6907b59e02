"""Requests made from the OpenAPI document, sent to the service with its real engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.service.digits import client_of, log_of, post_image, publish
from tests.service.objects import made
from tests.service.running import ROOT, Running, running

_SEED = "6"
_SECONDS = 240

# JSON Schema cannot say most of what a body must fulfil: that a spec is there and the tenant's own, that
# thresholds are as many as labels, that base64 is an image. A body that the document allows may be refused.
_EXCLUDED = "positive_data_acceptance"


def schemathesis(service: Running, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run schemathesis on a service; its own files go to a folder."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{service.host}/openapi.json"]
    given = ["-H", f"X-API-KEY:{service.key}", "--checks", "all", "--exclude-checks", _EXCLUDED]
    return subprocess.run(
        [*command, *given, "--no-color", "--seed", _SEED, "--request-timeout", "30", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )


def test_service_answers_as_its_document_says(tmp_path: Path) -> None:
    folder = tmp_path / "schemathesis"
    folder.mkdir()
    with running(tmp_path / "data") as service:
        with client_of(service) as client:
            version = publish(client).version
            result = schemathesis(
                service, folder, "--phases", "examples,coverage,fuzzing", "-n", "3", "--no-shrink"
            )
            assert result.returncode == 0, result.stdout[-8000:] + result.stderr[-2000:]
            assert "No issues found" in result.stdout
            assert client.get("/accounts/me").json() == {"name": "default"}
            if client.get(f"/recognition/versions/{version}").status_code == 200:  # it may have been deleted
                made(post_image(client, version))
        statuses = [entry["status"] for entry in log_of(service) if entry["event"] == "request"]
        assert len(statuses) > 100
        assert max(statuses) < 500
        assert service.stop() in (0, -15)
