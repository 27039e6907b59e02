"""Requests made from the OpenAPI document, sent to the service with its real engine.

``python -m tests.service.test_schemathesis --phases coverage,fuzzing,stateful --max-time 600 -n 2000`` runs
longer, with options of ``schemathesis run``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.service.digits import client_of, log_of, post_image, publish
from tests.service.objects import made
from tests.service.running import ROOT, Running, running

_SEED = "6"
_SECONDS = 3600

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
            result = schemathesis(service, folder, "--phases", "fuzzing", "-n", "8", "--no-shrink")
            assert result.returncode == 0, result.stdout[-8000:] + result.stderr[-2000:]
            assert client.get("/accounts/me").json() == {"name": "default"}
            if client.get(f"/recognition/versions/{version}").status_code == 200:  # it may have been deleted
                made(post_image(client, version))
        statuses = [entry["status"] for entry in log_of(service) if entry["event"] == "request"]
        assert len(statuses) > 100
        assert max(statuses) < 500
        assert service.stop() in (0, -15)


def main() -> None:
    """Run schemathesis with the options of the command line, and say what was answered."""
    with tempfile.TemporaryDirectory() as name, running(Path(name, "data")) as service:
        with client_of(service) as client:
            publish(client)
        result = schemathesis(service, Path(name), *sys.argv[1:])
        statuses = Counter(entry["status"] for entry in log_of(service) if entry["event"] == "request")
        sys.stdout.write(f"{result.stdout}{result.stderr}\nanswers by status: {dict(statuses)}\n")
    sys.exit(result.returncode)


if __name__ == "__main__":
    main()
