"""The service as a process: how it starts, says where it is, and ends."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import httpx
from deepomatic.api.client import Client

from tests.service.objects import LABELS, OUTPUTS, POST_PROCESSINGS
from tests.service.running import running

FAKE = ("tests.service.fake_service",)


def test_service_ends_gracefully(tmp_path: Path) -> None:
    with running(tmp_path, module=FAKE) as service:
        headers = {"X-API-KEY": service.key}
        assert httpx.get(f"{service.host}/v0.7/accounts/me", headers=headers).json() == {"name": "default"}
        assert service.stop() in (0, -15)
    log = [json.loads(line) for line in service.lines]
    assert [entry["status"] for entry in log if entry["event"] == "request"] == [200]


def test_client_finds_after_a_kill_what_was_acknowledged(tmp_path: Path) -> None:
    preprocessing = {
        "inputs": [{"tensor_name": "images:0", "image": {"target_size": "64x64", "pixel_scaling": 2.0}}],
        "batched_output": True,
    }
    with running(tmp_path, module=FAKE) as service:
        client = Client(api_key=service.key, host=service.host)
        network = client.Network.create(
            name="123",
            framework="tensorflow-1.x",
            preprocessing=preprocessing,
            files={"saved_model.pb": BytesIO(b"onnx boxes:0 scores:0 classes:0")},
        )
        spec = client.RecognitionSpec.create(name="spec", outputs=OUTPUTS)
        version = client.RecognitionVersion.create(
            spec_id=spec["id"], network_id=network["id"], post_processings=POST_PROCESSINGS
        )
        service.kill()
    with running(tmp_path, module=FAKE) as service:
        client = Client(api_key=service.key, host=service.host)
        found = client.Network.retrieve(network["id"])
        assert found["preprocessing"] == preprocessing
        assert client.Task.retrieve(found["task_id"]).wait()["status"] == "success"
        found = client.RecognitionSpec.retrieve(spec["id"])
        assert found["current_version_id"] == version["id"]
        assert found["outputs"][0]["labels"]["labels"] == LABELS
        assert [row["id"] for row in found.versions()] == [version["id"]]
